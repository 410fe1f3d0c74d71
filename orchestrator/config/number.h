/* Numbers as people write them in a config: 400, 400L, 0x190, 4e8, 2.5e3, -1, .5; an integer may be
 * written in any of these ways as long as it is one. Exact: what does not fit is said, never
 * wrapped or rounded. */
#ifndef MUSTER_CONFIG_NUMBER_H
#define MUSTER_CONFIG_NUMBER_H

#include <stdint.h>

enum mu_number {
    MU_NUMBER_OK,
    MU_NUMBER_NONE,      /* not a number at all */
    MU_NUMBER_FRACTION,  /* a number, but no integer */
    MU_NUMBER_TOO_LARGE, /* for int64_t, or double */
    MU_NUMBER_TOO_SMALL, /* it would become zero */
};

enum mu_number mu_number_integer(const char *text, int64_t *out);
enum mu_number mu_number_real(const char *text, double *out); /* the nearest double */

#endif
