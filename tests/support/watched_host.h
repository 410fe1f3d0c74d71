/* A pretended host whose ranks each look at each other by core/watch, as their watchdogs do, and
 * end each other. Include after cmocka.h. */
#ifndef MUSTER_TESTS_WATCHED_HOST_H
#define MUSTER_TESTS_WATCHED_HOST_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/watch.h"

enum { MOST = 64, TIMEOUT_MS = 10000, SLACK_MS = 3 * MU_WATCH_LOOK_MS };

static const uint64_t ms = 1000000;

/* The pretended host. */
static struct mu_watch_view rank[MOST];
static bool hung[MOST]; /* its main thread; the watchdog runs */
static struct mu_watch *watch[MOST];
static int ranks;
static uint64_t now_ns, timeout_ms;
static bool sees_all = true;

/* What has come of it. */
static int ended_by[MOST]; /* -1: nobody has */
static uint64_t ended_ms[MOST], ended_times[MOST];
static struct mu_watch_fence fence_of[MOST];
static struct mu_watch_slow slow[MOST];
static int slow_by[MOST], slows;
static int given_up_by; /* -1: nobody has given up a repair */
static uint64_t given_up_ms;

static inline bool is_stopped(int r)
{
    return rank[r].process == MU_PROCESS_STOPPED || rank[r].process == MU_PROCESS_TRACED ||
           rank[r].process == MU_PROCESS_GONE;
}

static inline void open_host(int count)
{
    memset(rank, 0, sizeof rank);
    memset(hung, 0, sizeof hung);
    memset(ended_times, 0, sizeof ended_times);
    ranks = count;
    slows = 0;
    given_up_by = -1;
    now_ns = 1000 * ms;
    timeout_ms = TIMEOUT_MS;
    for (int r = 0; r < count; r++) {
        rank[r] = (struct mu_watch_view){.rank = r,
                                         .pid = 100 + (uint32_t)r,
                                         .start_time = 7,
                                         .phase = MU_PHASE_RUNNING,
                                         .process = MU_PROCESS_RUNS};
        watch[r] = realloc(watch[r], sizeof *watch[r]);
        assert_non_null(watch[r]);
        mu_watch_init(watch[r], r, sees_all);
        ended_by[r] = -1;
    }
}

static inline int close_host(void **state)
{
    (void)state;
    for (int r = 0; r < MOST; r++) {
        free(watch[r]);
        watch[r] = NULL;
    }
    return 0;
}

/* The process is killed, as the shell does it. */
static inline void carry_out(int by, const struct mu_watch_actions *a)
{
    for (int i = 0; i < a->fences; i++) {
        const struct mu_watch_fence *f = &a->fence[i];

        assert_int_equal(f->pid, rank[f->rank].pid);
        assert_int_equal(f->start_time, rank[f->rank].start_time);
        assert_int_equal(f->polls, rank[f->rank].polls);
        assert_int_equal(f->phase, rank[f->rank].phase);
        ended_by[f->rank] = by;
        ended_ms[f->rank] = now_ns / ms - 1000;
        ended_times[f->rank]++;
        fence_of[f->rank] = *f;
        rank[f->rank].process = MU_PROCESS_GONE;
    }
    if (a->gives_up_ms > 0 && given_up_by < 0) {
        given_up_by = by;
        given_up_ms = now_ns / ms - 1000;
    }
    for (int i = 0; i < a->slows; i++) {
        assert_in_range(slows, 0, MOST - 1);
        slow_by[slows] = by;
        slow[slows++] = a->slow[i];
    }
}

static inline void look_by(int r)
{
    static struct mu_watch_actions actions;
    struct mu_watch_view seen[MOST];

    rank[r].beats++;
    for (int i = 0; i < ranks; i++) {
        seen[i] = rank[i];
        if (!mu_watch_asks(watch[r], i))
            seen[i].process = MU_PROCESS_NOT_ASKED;
    }
    mu_watch_look(watch[r], seen, ranks, timeout_ms, now_ns, &actions);
    carry_out(r, &actions);
}

/* Time passes; whoever can moves, and looks. */
static inline void pass(uint64_t gap_ms)
{
    now_ns += gap_ms * ms;
    for (int r = 0; r < ranks; r++)
        if (!is_stopped(r) && !hung[r] && rank[r].phase != MU_PHASE_REPAIRING)
            rank[r].polls++;
    for (int r = 0; r < ranks; r++)
        if (!is_stopped(r))
            look_by(r);
}

static inline void pass_looks(uint64_t whole_ms)
{
    for (uint64_t t = 0; t < whole_ms; t += MU_WATCH_LOOK_MS)
        pass(MU_WATCH_LOOK_MS);
}

static inline void stop(int r)
{
    rank[r].process = MU_PROCESS_STOPPED;
}

static inline void assert_nobody_ended(void)
{
    for (int r = 0; r < ranks; r++)
        assert_int_equal(ended_by[r], -1);
}

static inline void assert_ended(int r, int by, enum mu_fence_why why, uint64_t from_ms)
{
    assert_int_equal(ended_by[r], by);
    assert_int_equal(ended_times[r], 1);
    assert_int_equal(fence_of[r].why, why);
    assert_in_range(ended_ms[r], from_ms, from_ms + SLACK_MS);
}

#endif
