#ifndef MUSTER_FIT_REFUSAL_H
#define MUSTER_FIT_REFUSAL_H

#include <stdbool.h>

/* Why a method, or a part of one, gives nothing. A refusal is an answer to the user, not an error:
 * what was found, what would be needed. */
struct mu_refusal {
    bool refused;
    char why[240];
};

/* In place: 1e+22 and 1e-07, as printf writes them, become 1e22 and 1e-7, as reports do. */
void mu_shorten_exponents(char *text);

void mu_refuse(struct mu_refusal *refusal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
