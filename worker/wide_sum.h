/* A wide accumulator: a fixed-point number that holds any sum of doubles exactly, so that
 * scalars (loss, squared norms) do not depend on who adds what, in which order, or in how many
 * parts.
 *
 * Limb i counts units of 2^(32 i - 1088): 68 limbs reach from below the smallest subnormal
 * (2^-1074) to 2^1088, that is 2^64 times the largest double. Digits are signed: adding and
 * merging leave every limb below 2^32 in magnitude (but the highest, which keeps what remains),
 * so the limbs of up to 2^30 accumulators may simply be added as int64, in any order, as an
 * all-reduce does. Different orders may leave different digits of the same number: compare
 * values, not limbs. */
#ifndef MUSTER_WORKER_WIDE_SUM_H
#define MUSTER_WORKER_WIDE_SUM_H

#include <stdint.h>

#include "orchestrator/base/wire.h"

enum { MU_WIDE_LIMBS = 68, MU_WIDE_WIRE_BYTES = 8 * (MU_WIDE_LIMBS + 1) };

/* Plain data: a zeroed one is the sum of nothing. Non-finite addends are counted apart. */
struct mu_wide {
    int64_t limb[MU_WIDE_LIMBS];
    int64_t nonfinite;
};

void mu_wide_add(struct mu_wide *w, double x);
void mu_wide_merge(struct mu_wide *w, const struct mu_wide *other);
/* The nearest double, ties to even; infinite when the sum is; NaN when a non-finite value was
 * added. Zero is +0. */
double mu_wide_value(const struct mu_wide *w);

/* As part of a message, MU_WIDE_WIRE_BYTES long: the limbs, lowest first, then the count. */
void mu_wide_put(struct mu_wire_writer *writer, const struct mu_wide *w);
void mu_wide_get(struct mu_wire_reader *reader, struct mu_wide *w);

#endif
