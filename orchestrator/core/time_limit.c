#include "orchestrator/core/time_limit.h"

static const uint64_t second_ns = 1000000000;
static const uint64_t leave_ns = 2000000000; /* the summary, the plot, MPI's end */
static const uint64_t assumed_bytes_per_s = 100000000;
/* The longest time between two questions loses this part of itself at each: after 700 steps a
 * single long one (the first, a repair) counts half; evaluations come more often than that. */
static const uint64_t fading = 1024;

struct mu_time_limit mu_time_limit_init(uint64_t start_ns, uint64_t limit_s, uint64_t state_bytes)
{
    return (struct mu_time_limit){
        .end_ns = limit_s ? start_ns + limit_s * second_ns : 0,
        .save_ns = state_bytes / assumed_bytes_per_s * second_ns +
                   state_bytes % assumed_bytes_per_s * second_ns / assumed_bytes_per_s,
    };
}

uint64_t mu_time_limit_need_ns(const struct mu_time_limit *t)
{
    return 2 * t->longest_ns + (t->saves_next ? t->save_ns : 0) + t->save_ns + t->save_ns / 2 +
           leave_ns;
}

bool mu_time_limit_ask(struct mu_time_limit *t, uint64_t now_ns, bool saves_next)
{
    uint64_t passed = t->asked_ns ? now_ns - t->asked_ns : 0;

    passed -= t->saving_ns < passed ? t->saving_ns : passed;
    t->saving_ns = 0;
    t->saves_next = saves_next;
    t->longest_ns -= t->longest_ns / fading;
    if (passed > t->longest_ns)
        t->longest_ns = passed;
    t->asked_ns = now_ns;
    return t->end_ns && (now_ns >= t->end_ns || t->end_ns - now_ns <= mu_time_limit_need_ns(t));
}

void mu_time_limit_expect(struct mu_time_limit *t, uint64_t save_ns)
{
    t->save_ns = save_ns;
    t->has_saved = true;
}

/* The first measurement replaces the estimate. */
void mu_time_limit_saved(struct mu_time_limit *t, uint64_t took_ns)
{
    if (!t->has_saved || took_ns > t->save_ns)
        t->save_ns = took_ns;
    t->has_saved = true;
    t->saving_ns += took_ns;
}
