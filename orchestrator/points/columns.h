/* Which column of a table holds what, from the names in its head. */
#ifndef MUSTER_POINTS_COLUMNS_H
#define MUSTER_POINTS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/base/status.h"
#include "orchestrator/points/points_csv.h"

enum { MU_CURVE_GUESSES = 6 };

struct mu_columns {
    int at[MU_COLUMNS];       /* -1: none */
    int exponent[MU_COLUMNS]; /* unit of the head, as a power of ten: 9 for "Params (B)" */
    /* Columns that may name runs whose rows are moments of one curve, the likeliest first. When they
     * were guessed, at[MU_COLUMN_curve] is still -1: the rows decide. */
    int curve[MU_CURVE_GUESSES];
    size_t curves;
    bool curve_guessed;
    int step;    /* a column of training steps; -1: none */
    bool single; /* one of n, d and c, and the other two cannot be derived */
};

/* For the user, in `found`, printf style; further ones are lost when it is full. */
void mu_points_note(struct mu_points_found *found, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* MU_USAGE: a name given that is not there, too little found, or a choice that is the user's. Fills
 * found->column and notes. */
enum mu_status mu_columns_find(const struct mu_points_request *request, const char *const *head,
                               size_t count, struct mu_columns *out,
                               struct mu_points_found *found) MU_CHECKED;

/* A note of the columns from which nothing was taken; those that another was preferred to have
 * theirs. */
void mu_columns_tell_unused(const struct mu_columns *columns, const char *const *head, size_t count,
                            struct mu_points_found *found);

#endif
