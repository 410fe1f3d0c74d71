/* Decimal commas, as spreadsheets of many countries write them. */
#ifndef MUSTER_POINTS_DECIMALS_H
#define MUSTER_POINTS_DECIMALS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/base/status.h"

/* Whether column k's commas are decimal, into comma[width]: each of its numbers with a comma has
 * one and no dot, none without it has a dot, and in one at least the comma cannot set thousands
 * apart ("0,0967", "2,71"). All false where commas separate cells. The text is that of a whole
 * file. */
enum mu_status mu_decimals_find(const char *path, const char *text, size_t size, bool *comma,
                                size_t width) MU_CHECKED;

/* As mu_cell_number, of a column with decimal commas. */
const char *mu_decimals_number(const char *text, int exponent, double *out);

#endif
