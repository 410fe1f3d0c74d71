/* What a sweep file says beside the run configuration that it includes: its group `sweep`, checked.
 * Sizes, budgets and laws here; which trials follow from them: trials.h. */
#ifndef MUSTER_SWEEP_SPEC_H
#define MUSTER_SWEEP_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/config.h"
#include "orchestrator/fit/flops.h"

enum {
    MU_SWEEP_LIST = 64, /* entries of any list */
    MU_SWEEP_WORD = 80, /* bytes of a key, a name, a value */
    MU_SWEEP_FORMULA = 200,
};

/* X(name, word, meaning) */
#define MU_SWEEP_KIND_TABLE(X)                                                \
    X(ISOFLOP, "isoflop", "sizes around the expected optimum of each budget") \
    X(LADDER, "ladder", "every size with every number of tokens a parameter") \
    X(GRID, "grid", "every combination of the values of any keys")
enum mu_sweep_kind {
#define MU_SWEEP_KIND_ENUM(name, word, meaning) MU_SWEEP_##name,
    MU_SWEEP_KIND_TABLE(MU_SWEEP_KIND_ENUM)
#undef MU_SWEEP_KIND_ENUM
};

/* How a law's value is rounded: to six digits, to a power of two, to an integer. */
enum mu_sweep_round { MU_SWEEP_ROUND_DIGITS, MU_SWEEP_ROUND_POW2, MU_SWEEP_ROUND_INT };
enum mu_sweep_unit { MU_SWEEP_UNIT_OWN, MU_SWEEP_UNIT_TOKENS };

struct mu_sweep_numbers {
    uint32_t count;
    double item[MU_SWEEP_LIST];
};

/* A key's value as a formula of N (parameters, as `count` has it), D (tokens), C (FLOPs) and size
 * (the value of the size's key). */
struct mu_sweep_law {
    char key[MU_SWEEP_WORD], value[MU_SWEEP_FORMULA];
    int64_t round, unit; /* enum mu_sweep_round, mu_sweep_unit */
};

struct mu_sweep_cell {
    double size, budget;
};
struct mu_sweep_repeat {
    double budget;
    int64_t seeds;
};
struct mu_sweep_axis {
    char key[MU_SWEEP_WORD];
    struct {
        uint32_t count;
        char item[MU_SWEEP_LIST][MU_SWEEP_WORD];
    } values;
};

struct mu_sweep_spec {
    char name[MU_SWEEP_WORD];
    int64_t kind;                      /* enum mu_sweep_kind */
    struct mu_sweep_numbers budgets;   /* FLOPs of a cell run alone */
    struct mu_sweep_numbers multiples; /* ladder: tokens a parameter */
    int64_t count, flops;              /* enum mu_count_kind, mu_flops_kind */
    char size_key[MU_SWEEP_WORD];
    struct mu_sweep_numbers sizes; /* values of that key, ascending */
    struct {
        int64_t points, each_side, extend;
        double tokens_per_parameter; /* of the expected optimum */
    } window;
    struct {
        uint32_t count;
        struct mu_sweep_law item[MU_SWEEP_LIST];
    } laws;
    struct {
        struct {
            uint32_t count;
            struct mu_sweep_cell item[MU_SWEEP_LIST];
        } cells;
        struct mu_sweep_numbers factors;
        int64_t seed;
    } tune;
    bool share_trunk;
    struct mu_sweep_numbers trunk_tax; /* sizes that also run alone */
    struct {
        uint32_t count;
        struct mu_sweep_repeat item[MU_SWEEP_LIST];
    } repeats;
    struct {
        uint32_t count;
        struct mu_sweep_axis item[8];
    } grid;
    int64_t retries;
    struct {
        struct {
            uint32_t count;
            char item[8][MU_SWEEP_WORD];
        } methods;
        int64_t bootstrap;
        char holdout[MU_SWEEP_WORD];
        struct mu_sweep_numbers targets;
    } fit;
};

/* Reads a sweep file: the run configuration to *base (not resolved), the group `sweep` to *out. All
 * mistakes of both are told, a line each: MU_CONFIG. source->take_sweep is not looked at. */
enum mu_status mu_sweep_read(const struct mu_config_source *source, struct mu_settings *base,
                             struct mu_sweep_spec *out) MU_CHECKED;

/* Every key of the group, as "laws[].key", with what it must be and what it is for. */
void mu_sweep_keys(void (*tell)(const char *key, const char *expected, const char *help));

/* The key that a law, an axis or the sizes name. Beside the schema's keys there is "batch.tokens":
 * batch.sequences, in tokens. NULL: none. */
const struct mu_key *mu_sweep_key(const char *name);
/* What is tuned instead of computed: a law whose value is "tune"; NULL: nothing. */
const struct mu_sweep_law *mu_sweep_tuned(const struct mu_sweep_spec *spec);

#endif
