/* The learning rate of a step: a pure function, in arithmetic that gives the same bits on every
 * CPU. Steps count from 0; step k has the rate of "k steps done", so that the floor is what the
 * rate falls towards and would reach at step `steps`: no step is spent at a rate of zero.
 *
 *   warm-up    k < warmup: peak (k + 1) / warmup, the first step moves already
 *   then, with u the part of the decay that is behind step k, 0 <= u < 1:
 *   wsd        peak until the cooldown begins; in it 1 - sqrt(u) (Hägele et al. 2024)
 *   cosine     (1 + cos(πu)) / 2
 *   linear     1 - u
 *   constant   1
 *
 * each shape f gives peak (floor + (1 - floor) f); where warm-up and decay overlap, the lower one
 * holds. */
#ifndef MUSTER_CORE_SCHEDULE_H
#define MUSTER_CORE_SCHEDULE_H

#include <stdint.h>

/* X(list, identifier, word in the config), as the lists of config/settings.h */
#define MU_CHOICE_SCHEDULE(X)         \
    X(SCHEDULE, WSD, "wsd")           \
    X(SCHEDULE, COSINE, "cosine")     \
    X(SCHEDULE, CONSTANT, "constant") \
    X(SCHEDULE, LINEAR, "linear")
#define MU_CHOICE_ID(list, identifier, word) MU_##list##_##identifier,
enum mu_schedule_kind { MU_CHOICE_SCHEDULE(MU_CHOICE_ID) };

struct mu_schedule {
    enum mu_schedule_kind kind;
    int64_t steps, warmup;
    double peak;
    double cooldown; /* wsd: part of steps, 0 .. 1 */
    double floor;    /* part of peak, 0 .. 1 */
};

double mu_schedule_rate(const struct mu_schedule *s, int64_t step);
/* First step of wsd's cooldown, `steps` when there is none: what comes before does not depend on
 * the length of the run. */
int64_t mu_schedule_cooldown_start(const struct mu_schedule *s);
/* A number of steps, the largest that is known without looking at each, in which both have the same
 * rates: after so many, or fewer, a run of the one schedule is a run of the other. INT64_MAX: they
 * are the same. */
int64_t mu_schedule_common(const struct mu_schedule *a, const struct mu_schedule *b);

#endif
