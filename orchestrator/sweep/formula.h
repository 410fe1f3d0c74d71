/* A law's formula: arithmetic over N (parameters), D (tokens), C (FLOPs) and size. muParser's
 * grammar: + - * / ^ ( ), sqrt, exp, ln, log10, min, max. */
#ifndef MUSTER_SWEEP_FORMULA_H
#define MUSTER_SWEEP_FORMULA_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/base/status.h"

enum mu_formula_variable {
    MU_FORMULA_N,
    MU_FORMULA_D,
    MU_FORMULA_C,
    MU_FORMULA_SIZE,
    MU_FORMULA_VARIABLES
};

struct mu_formula {
    void *parser;
    double value[MU_FORMULA_VARIABLES];
    bool uses[MU_FORMULA_VARIABLES];
};

/* MU_CONFIG: `why` says what is wrong with it; not reported. Deinit in any case. The struct may not
 * move. */
enum mu_status mu_formula_init(struct mu_formula *f, const char *text, char *why,
                               size_t why_size) MU_CHECKED;
/* With the values of f->value, to 12 digits, so that libraries' last bits do not show; NAN: it has
 * no value there. */
double mu_formula_value(struct mu_formula *f);
void mu_formula_deinit(struct mu_formula *f);

const char *mu_formula_library_version(void); /* "muParser 2.3.3" */

#endif
