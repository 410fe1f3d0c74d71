/* run.time_limit: when to stop so that checkpoint and exit are done before the time is over. Asked
 * between two steps; each rank keeps one, so that any of them can be master.
 *
 * A stop asked for now rides on the next step and is obeyed after it; the next chance to ask is
 * then. So at least two steps and a save must fit, as long as the longest recent ones; and one save
 * more where one is due between these steps. */
#ifndef MUSTER_CORE_TIME_LIMIT_H
#define MUSTER_CORE_TIME_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct mu_time_limit {
    uint64_t end_ns;     /* CLOCK_MONOTONIC; 0: no limit */
    uint64_t asked_ns;   /* when it was asked last; 0: not yet */
    uint64_t longest_ns; /* a step and what was due after it, but for saves; fades slowly */
    uint64_t save_ns;    /* a save: estimated, then the longest that was measured */
    uint64_t saving_ns;  /* since the last question */
    bool saves_next;     /* a save is due after the step that begins now */
    bool has_saved;      /* measured */
};

/* limit_s after start_ns, the start of the process; 0: none. state_bytes: of a checkpoint; until
 * one has been saved, it is taken to go at 100 MB/s. */
struct mu_time_limit mu_time_limit_init(uint64_t start_ns, uint64_t limit_s, uint64_t state_bytes);
/* Once before each step, after which a save is due or not. True: stop after it. */
bool mu_time_limit_ask(struct mu_time_limit *t, uint64_t now_ns, bool saves_next);
/* A save took so long in an earlier start. */
void mu_time_limit_expect(struct mu_time_limit *t, uint64_t save_ns);
/* A save took so long. */
void mu_time_limit_saved(struct mu_time_limit *t, uint64_t took_ns);
/* What the stop needs: two steps, a save and its half again, two seconds to leave. */
uint64_t mu_time_limit_need_ns(const struct mu_time_limit *t);

#endif
