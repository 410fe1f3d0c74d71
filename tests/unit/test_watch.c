/* core/watch: who is ended, by whom and when, and who is only told of; on a pretended host whose
 * ranks each look at each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/core/watch.h"

enum { MOST = 64, TIMEOUT_MS = 10000, SLACK_MS = 3 * MU_WATCH_LOOK_MS };

static const uint64_t ms = 1000000;

/* The pretended host. */
static struct mu_watch_view rank[MOST];
static bool hung[MOST]; /* its main thread; the watchdog runs */
static struct mu_watch *watch[MOST];
static int ranks;
static uint64_t now_ns, timeout_ms;

/* What has come of it. */
static int ended_by[MOST]; /* -1: nobody has */
static uint64_t ended_ms[MOST], ended_times[MOST];
static struct mu_watch_fence fence_of[MOST];
static struct mu_watch_slow slow[MOST];
static int slow_by[MOST], slows;

static bool is_stopped(int r)
{
    return rank[r].process == MU_PROCESS_STOPPED || rank[r].process == MU_PROCESS_TRACED ||
           rank[r].process == MU_PROCESS_GONE;
}

static void open_host(int count)
{
    memset(rank, 0, sizeof rank);
    memset(hung, 0, sizeof hung);
    memset(ended_times, 0, sizeof ended_times);
    ranks = count;
    slows = 0;
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
        mu_watch_init(watch[r], r);
        ended_by[r] = -1;
    }
}

static int close_host(void **state)
{
    (void)state;
    for (int r = 0; r < MOST; r++) {
        free(watch[r]);
        watch[r] = NULL;
    }
    return 0;
}

/* The process is killed, as the shell does it. */
static void carry_out(int by, const struct mu_watch_actions *a)
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
    for (int i = 0; i < a->slows; i++) {
        assert_in_range(slows, 0, MOST - 1);
        slow_by[slows] = by;
        slow[slows++] = a->slow[i];
    }
}

static void look_by(int r)
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
static void pass(uint64_t gap_ms)
{
    now_ns += gap_ms * ms;
    for (int r = 0; r < ranks; r++)
        if (!is_stopped(r) && !hung[r] && rank[r].phase != MU_PHASE_REPAIRING)
            rank[r].polls++;
    for (int r = 0; r < ranks; r++)
        if (!is_stopped(r))
            look_by(r);
}

static void pass_looks(uint64_t whole_ms)
{
    for (uint64_t t = 0; t < whole_ms; t += MU_WATCH_LOOK_MS)
        pass(MU_WATCH_LOOK_MS);
}

static void stop(int r)
{
    rank[r].process = MU_PROCESS_STOPPED;
}

static void assert_nobody_ended(void)
{
    for (int r = 0; r < ranks; r++)
        assert_int_equal(ended_by[r], -1);
}

static void assert_ended(int r, int by, enum mu_fence_why why, uint64_t from_ms)
{
    assert_int_equal(ended_by[r], by);
    assert_int_equal(ended_times[r], 1);
    assert_int_equal(fence_of[r].why, why);
    assert_in_range(ended_ms[r], from_ms, from_ms + SLACK_MS);
}

/* ---- one rank ---- */
static void who_moves_is_left_alone(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(200000);
    assert_nobody_ended();
}

static void who_stands_still_is_ended_at_the_deadline(void **state)
{
    (void)state;
    open_host(4);
    hung[2] = true;
    pass_looks(30000);
    assert_ended(2, 0, MU_FENCE_STILL, TIMEOUT_MS);
    assert_in_range(fence_of[2].still_ms, TIMEOUT_MS, TIMEOUT_MS + SLACK_MS);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r], r == 2 ? 0 : -1);
}

static void one_poll_begins_the_deadline_again(void **state)
{
    (void)state;
    open_host(3);
    hung[1] = true;
    pass_looks(TIMEOUT_MS - 500);
    rank[1].polls++;
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    rank[1].phase = MU_PHASE_EVALUATING; /* as does a move to another phase */
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    pass_looks(1000);
    assert_int_equal(ended_by[1], 0);
}

/* By hand: what each phase is given, with a timeout of 10 s and of 700 s. */
static void each_phase_has_its_deadline(void **state)
{
    enum { NEVER = 0, REPAIR_S = 1800 };
    static const struct {
        enum mu_phase phase;
        uint64_t at_10_s, at_700_s;
    } expected[MU_PHASE_COUNT] = {
        {MU_PHASE_STARTING, NEVER, NEVER}, {MU_PHASE_MEETING, 600, 700},
        {MU_PHASE_PREPARING, 600, 700},    {MU_PHASE_LOADING, 600, 700},
        {MU_PHASE_RUNNING, 10, 700},       {MU_PHASE_EVALUATING, 10, 700},
        {MU_PHASE_SAVING, 600, 700},       {MU_PHASE_RECORDING, 600, 700},
        {MU_PHASE_REPAIRING, 10, 700}, /* as the others are not in it */
        {MU_PHASE_SPARE, 10, 700},         {MU_PHASE_LEAVING, NEVER, NEVER},
    };

    (void)state;
    for (int i = 0; i < MU_PHASE_COUNT; i++)
        for (int longer = 0; longer < 2; longer++) {
            uint64_t s = longer ? expected[i].at_700_s : expected[i].at_10_s;

            open_host(2);
            timeout_ms = longer ? 700000 : 10000;
            rank[1].phase = expected[i].phase;
            hung[1] = true;
            pass_looks(2000000);
            if (s == NEVER)
                assert_int_equal(ended_by[1], -1);
            else
                assert_in_range(ended_ms[1], 1000 * s, 1000 * s + SLACK_MS);
            assert_int_equal(ended_by[0], -1);
        }
    assert_false(mu_phase_polls(MU_PHASE_SAVING));
    assert_true(mu_phase_polls(MU_PHASE_RUNNING));
    assert_string_equal(mu_phase_name(MU_PHASE_SAVING), "saving");
    assert_string_equal(mu_phase_name((enum mu_phase)99), "?");
    assert_int_equal(mu_phase_of_life(MU_LIFE_EVALUATING), MU_PHASE_EVALUATING);
    assert_int_equal(mu_phase_of_life(MU_LIFE_FAILED), MU_PHASE_LEAVING);
}

static void without_a_timeout_nobody_is_ended_for_standing_still(void **state)
{
    (void)state;
    open_host(2);
    timeout_ms = 0;
    hung[1] = true;
    pass_looks(2000000);
    assert_nobody_ended();
    stop(1);
    pass_looks(3000);
    assert_int_equal(ended_by[1], 0);
}

/* The first step of a large model: a minute, but it polls. */
static void a_long_step_that_polls_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    hung[0] = hung[1] = hung[2] = true;
    for (int s = 0; s < 60; s++) {
        pass_looks(TIMEOUT_MS - 1000);
        for (int r = 0; r < 3; r++)
            rank[r].polls++;
    }
    assert_nobody_ended();
}

static void who_is_stopped_is_ended_soon_in_every_phase(void **state)
{
    (void)state;
    for (int phase = 0; phase < MU_PHASE_COUNT; phase++) {
        open_host(3);
        pass_looks(1000);
        for (int r = 0; r < 3; r++)
            rank[r].phase = (enum mu_phase)phase;
        pass(MU_WATCH_LOOK_MS);
        stop(1);
        pass_looks(4000);
        assert_ended(1, 0, MU_FENCE_STOPPED, 1100 + MU_WATCH_STOPPED_MS);
        assert_int_equal(ended_by[0], -1);
        assert_int_equal(ended_by[2], -1);
    }
}

static void who_is_continued_in_time_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    for (int i = 0; i < 20; i++) {
        stop(1);
        pass_looks(MU_WATCH_STOPPED_MS - 200);
        rank[1].process = MU_PROCESS_RUNS;
        pass(MU_WATCH_LOOK_MS);
    }
    assert_nobody_ended();
}

static void who_is_held_by_a_debugger_is_left_alone(void **state)
{
    (void)state;
    open_host(3);
    rank[1].process = MU_PROCESS_TRACED;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
    rank[1].process = MU_PROCESS_RUNS;
    hung[1] = true; /* from here on it counts */
    pass_looks(TIMEOUT_MS - 500);
    assert_nobody_ended();
    pass_looks(1000);
    assert_int_equal(ended_by[1], 0);
}

static void the_dead_are_not_ended(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    rank[0].process = rank[2].process = MU_PROCESS_GONE;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
}

/* The same entry, another process: nothing that was seen of the first counts for it. */
static void a_new_process_is_begun_afresh(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        open_host(2);
        hung[1] = true;
        pass_looks(TIMEOUT_MS - 500);
        if (what == 0)
            rank[1].pid++;
        else
            rank[1].start_time++;
        pass_looks(TIMEOUT_MS - 500);
        assert_nobody_ended();
        pass_looks(1000);
        assert_int_equal(ended_by[1], 0);
    }
    open_host(2); /* in the place of a dead one, too */
    rank[1].process = MU_PROCESS_GONE;
    pass_looks(5000);
    rank[1].start_time++;
    rank[1].process = MU_PROCESS_RUNS;
    hung[1] = true;
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[1], 0);
}

/* ---- the looker's own time ---- */
static void a_late_look_begins_afresh(void **state)
{
    (void)state;
    open_host(3);
    hung[2] = true;
    stop(1);
    pass_looks(1800);
    pass(3600 * 1000); /* suspended, or stopped */
    assert_nobody_ended();
    pass_looks(MU_WATCH_STOPPED_MS - 200);
    assert_nobody_ended();
    pass_looks(500);
    assert_int_equal(ended_by[1], 0);
    assert_int_equal(ended_by[2], -1);
}

static void time_that_runs_backwards_begins_afresh(void **state)
{
    (void)state;
    open_host(2);
    hung[1] = true;
    pass_looks(TIMEOUT_MS - 200);
    now_ns -= 5000 * ms;
    pass(0);
    pass_looks(TIMEOUT_MS - 200);
    assert_nobody_ended();
    pass_looks(500);
    assert_int_equal(ended_by[1], 0);
}

/* Looks that come nine times too late each count for two. */
static void a_deadline_is_so_many_looks(void **state)
{
    int looks = 0;

    (void)state;
    open_host(2);
    hung[1] = true;
    while (ended_by[1] < 0 && looks < 1000) {
        pass(MU_WATCH_LATE_MS - 100);
        looks++;
    }
    assert_in_range(looks, TIMEOUT_MS / (2 * MU_WATCH_LOOK_MS),
                    TIMEOUT_MS / (2 * MU_WATCH_LOOK_MS) + 3);
}

/* Looks at random times, ranks that get on now and then only, for an hour. */
static void an_overloaded_machine_is_no_reason(void **state)
{
    uint64_t draws = 0;

    (void)state;
    open_host(8);
    for (int r = 0; r < 8; r++)
        hung[r] = true;
    while (now_ns < 3600 * 1000 * ms) {
        for (int r = 0; r < 8; r++)
            rank[r].polls += mu_rng_draw(1, MU_RNG_SYNTHETIC, 1, draws++).w[0] % 3 == 0;
        pass(50 + mu_rng_draw(1, MU_RNG_SYNTHETIC, 2, draws++).w[0] % 400);
    }
    assert_nobody_ended();
}

/* ---- who acts ---- */
/* Every subset of six ranks is stopped at once: those who run end all of them, and nobody else. */
static void any_are_stopped_at_once(void **state)
{
    enum { N = 6 };

    (void)state;
    for (int mask = 0; mask < 1 << N; mask++) {
        int lowest = 0;

        open_host(N);
        pass_looks(1000);
        while (lowest < N && mask >> lowest & 1)
            lowest++;
        for (int r = 0; r < N; r++)
            if (mask >> r & 1)
                stop(r);
        pass_looks(4000);
        for (int r = 0; r < N; r++)
            if (!(mask >> r & 1) || lowest == N)
                assert_int_equal(ended_by[r], -1);
            else
                assert_ended(r, lowest, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
        if (lowest < N)
            continue;
        for (int r = 0; r < N; r++) /* all: Ctrl-Z, and on */
            rank[r].process = MU_PROCESS_RUNS;
        pass_looks(3 * TIMEOUT_MS);
        assert_nobody_ended();
    }
}

/* They are continued one after the other, within half a second. */
static void all_are_stopped_and_continued(void **state)
{
    (void)state;
    open_host(5);
    pass_looks(1000);
    for (int r = 0; r < 5; r++)
        stop(r);
    now_ns += 60000 * ms;
    for (int r = 4; r >= 0; r--) {
        rank[r].process = MU_PROCESS_RUNS;
        pass(MU_WATCH_LOOK_MS);
    }
    pass_looks(3 * TIMEOUT_MS);
    assert_nobody_ended();
}

static void the_fencer_is_ended_by_the_next(void **state)
{
    (void)state;
    open_host(4);
    hung[0] = true; /* its watchdog runs, and does not end its own rank */
    pass_looks(TIMEOUT_MS + 1000);
    assert_ended(0, 1, MU_FENCE_STILL, TIMEOUT_MS);
    hung[1] = hung[3] = true; /* now 1 is the fencer of 3, and 2 that of 1 */
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[1], 2);
    assert_int_equal(ended_by[3], 1);
    assert_int_equal(ended_by[2], -1);
}

static void the_fencer_is_dead_when_another_is_stopped(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    rank[0].process = MU_PROCESS_GONE;
    stop(3);
    pass_looks(4000);
    assert_ended(3, 1, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    assert_int_equal(ended_by[0], -1);
}

static void alone_nobody_is_ended(void **state)
{
    (void)state;
    open_host(1);
    hung[0] = true;
    pass_looks(100 * TIMEOUT_MS);
    assert_nobody_ended();
}

/* Its process does not go away at once (it waits for a disk): it is not ended again and again. */
static void nobody_is_ended_twice(void **state)
{
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    struct mu_watch_view v[2] = {
        {.rank = 0, .pid = 1, .phase = MU_PHASE_RUNNING},
        {.rank = 1, .pid = 2, .phase = MU_PHASE_RUNNING, .process = MU_PROCESS_RUNS}};
    int fences = 0;

    (void)state;
    mu_watch_init(&w, 0);
    for (uint64_t t = 1; t < 100000; t += MU_WATCH_LOOK_MS) {
        v[0].beats++;
        v[0].polls++;
        mu_watch_look(&w, v, 2, TIMEOUT_MS, t * ms, &actions);
        fences += actions.fences;
    }
    assert_int_equal(fences, 1);
    v[1].polls++; /* the shell saw it move and let it live: then it may be ended another time */
    for (uint64_t t = 100001; t < 120000; t += MU_WATCH_LOOK_MS) {
        v[0].beats++;
        v[0].polls++;
        mu_watch_look(&w, v, 2, TIMEOUT_MS, t * ms, &actions);
        fences += actions.fences;
    }
    assert_int_equal(fences, 2);
}

static void many_are_ended_in_several_looks(void **state)
{
    (void)state;
    open_host(MOST);
    pass_looks(1000);
    for (int r = 10; r < MOST; r++)
        stop(r);
    pass_looks(4000);
    for (int r = 0; r < MOST; r++) {
        assert_int_equal(ended_by[r], r < 10 ? -1 : 0);
        assert_int_equal(ended_times[r], r < 10 ? 0 : 1);
    }
}

/* ---- inside a repair ---- */
static void enter(int r, uint32_t epoch)
{
    rank[r].phase = MU_PHASE_REPAIRING;
    rank[r].repair = epoch;
}

static void leave(int r)
{
    rank[r].phase = MU_PHASE_RUNNING;
}

/* Rank 5 has died, 3 is stopped, the others sit in the shrink that waits for 3. */
static void a_stopped_rank_is_ended_and_not_those_who_wait_for_it(void **state)
{
    (void)state;
    open_host(6);
    timeout_ms = 1000; /* shorter than the wait itself */
    pass_looks(1000);
    rank[5].process = MU_PROCESS_GONE;
    stop(3);
    for (int r = 0; r < 5; r++)
        if (r != 3)
            enter(r, 1);
    pass_looks(60000);
    assert_ended(3, 0, MU_FENCE_STOPPED, 1000 + 1000);
    for (int r = 0; r < 6; r++)
        assert_int_equal(ended_by[r], r == 3 ? 0 : -1);
}

/* The one that is stopped is the fencer. */
static void a_stopped_fencer_is_ended_in_a_repair(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    stop(0);
    for (int r = 1; r < 4; r++)
        enter(r, 1);
    pass_looks(60000);
    assert_ended(0, 1, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    for (int r = 1; r < 4; r++)
        assert_int_equal(ended_by[r], -1);
}

static void who_is_stopped_inside_shrink_is_ended(void **state)
{
    (void)state;
    open_host(4);
    pass_looks(1000);
    for (int r = 0; r < 4; r++)
        enter(r, 1);
    stop(2);
    pass_looks(60000);
    assert_ended(2, 0, MU_FENCE_STOPPED, 1000 + MU_WATCH_STOPPED_MS);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r], r == 2 ? 0 : -1);
}

static void who_does_not_come_to_a_repair_is_ended_at_its_deadline(void **state)
{
    (void)state;
    open_host(4);
    hung[3] = true;
    pass_looks(3000);
    for (int r = 0; r < 3; r++)
        enter(r, 1);
    pass_looks(60000);
    assert_ended(3, 0, MU_FENCE_BEHIND, TIMEOUT_MS);
    for (int r = 0; r < 3; r++)
        assert_int_equal(ended_by[r], -1);
    enter(0, 2); /* again, in the next epoch */
    enter(1, 2);
    leave(2);
    hung[2] = true;
    pass_looks(TIMEOUT_MS + 1000);
    assert_int_equal(ended_by[2], 0);
    assert_int_equal(fence_of[2].why, MU_FENCE_BEHIND);
    assert_int_equal(ended_by[1], -1);
}

/* Who writes to a slow disk is waited for, as without a repair; else one death would cost all who
 * are saving. */
static void who_is_saving_is_waited_for(void **state)
{
    (void)state;
    open_host(4);
    for (int r = 1; r < 4; r++) {
        rank[r].phase = MU_PHASE_SAVING;
        hung[r] = true;
    }
    enter(0, 1);
    pass_looks(590000);
    assert_nobody_ended();
    for (int r = 1; r < 4; r++)
        enter(r, 1);
    pass_looks(60000); /* the time in the save does not count here */
    assert_nobody_ended();
}

static void who_stays_in_a_repair_that_is_over_is_ended(void **state)
{
    (void)state;
    open_host(3);
    for (int r = 0; r < 3; r++)
        enter(r, 1);
    pass_looks(9900);
    leave(0);
    leave(1);
    pass_looks(TIMEOUT_MS - 500); /* from when the others came out */
    assert_nobody_ended();
    pass_looks(1000);
    assert_ended(2, 0, MU_FENCE_IN_REPAIR, 9900 + TIMEOUT_MS);
    assert_int_equal(ended_by[0], -1);
    assert_int_equal(ended_by[1], -1);
}

/* All have come and nobody comes out, for very long: one at a time. */
static void a_repair_that_does_not_end_costs_one_rank_at_a_time(void **state)
{
    (void)state;
    open_host(4);
    for (int r = 0; r < 4; r++)
        enter(r, 1);
    pass_looks(MU_PHASE_REPAIR_MS - 1000);
    assert_nobody_ended();
    pass_looks(2000);
    assert_ended(1, 0, MU_FENCE_IN_REPAIR, MU_PHASE_REPAIR_MS);
    pass_looks(MU_PHASE_REPAIR_MS - 3000);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r], r == 1 ? 0 : -1);
    pass_looks(5000);
    for (int r = 0; r < 4; r++)
        assert_int_equal(ended_by[r] == -1, r == 0 || r == 3);
    rank[0].process = MU_PROCESS_GONE; /* the next fencer has waited as long, and gives time too */
    pass_looks(MU_PHASE_REPAIR_MS);
    assert_int_equal(ended_by[3], -1);
}

static void nobody_waits_for_the_dead_nor_for_those_who_left(void **state)
{
    (void)state;
    open_host(5);
    pass_looks(1000);
    rank[3].process = MU_PROCESS_GONE; /* in epoch 1; its entry stays */
    rank[4].phase = MU_PHASE_LEAVING;
    pass_looks(3000);
    for (int r = 0; r < 3; r++)
        enter(r, 2);
    pass_looks(10000);
    leave(0);
    leave(1); /* not 2 */
    pass_looks(TIMEOUT_MS + 500);
    assert_int_equal(ended_by[2], 0);
    for (int r = 3; r < 5; r++)
        assert_int_equal(ended_by[r], -1);
}

/* ---- slow ranks ---- */
/* Everybody's shards, at so many ms each, for so long. */
static void train(const uint64_t *shard_ms, uint64_t whole_ms)
{
    uint64_t left[MOST] = {0};

    for (uint64_t t = 0; t < whole_ms; t += MU_WATCH_LOOK_MS) {
        for (int r = 0; r < ranks; r++) {
            for (left[r] += MU_WATCH_LOOK_MS; shard_ms[r] && left[r] >= shard_ms[r];
                 left[r] -= shard_ms[r]) {
                rank[r].shards_done++;
                rank[r].compute_ns += shard_ms[r] * ms;
            }
            rank[r].point = t / MU_WATCH_LOOK_MS % 3 == 0 ? MU_FAULT_FORWARD : MU_FAULT_BACKWARD;
        }
        pass(MU_WATCH_LOOK_MS);
    }
}

static void who_is_slow_is_told_of_and_left_alone(void **state)
{
    static const uint64_t shard_ms[MOST] = {200, 210, 220, 820, 230};

    (void)state;
    open_host(5);
    train(shard_ms, 9000);
    assert_int_equal(slows, 0);
    train(shard_ms, 5000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow_by[0], 0);
    assert_int_equal(slow[0].rank, 3);
    assert_int_equal((int)slow[0].shard_ms, 820);
    assert_int_equal((int)slow[0].others_ms, 210); /* 200 210 220 230: the lower of the two */
    assert_int_equal(slow[0].point, MU_FAULT_BACKWARD);
    train(shard_ms, 50000); /* once in a minute */
    assert_int_equal(slows, 1);
    train(shard_ms, 20000);
    assert_int_equal(slows, 2);
    assert_nobody_ended();
}

static void twice_the_median_is_slow_and_less_is_not(void **state)
{
    static const uint64_t just[MOST] = {400, 200}, less[MOST] = {390, 200},
                          among[MOST] = {100, 199, 100, 150},
                          both[MOST] = {100, 100, 100, 1000, 300};

    (void)state;
    open_host(2);
    train(just, 11000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow[0].rank, 0);
    open_host(2);
    train(less, 60000);
    assert_int_equal(slows, 0);
    open_host(4);
    train(among, 60000);
    assert_int_equal(slows, 0);
    open_host(5);
    train(both, 11000);
    assert_int_equal(slows, 2);
    assert_int_equal(slow[0].rank, 3);
    assert_int_equal(slow[1].rank, 4);
}

static void ranks_without_shards_are_not_slow(void **state)
{
    static const uint64_t spares[MOST] = {100, 0, 0, 110}, alone[MOST] = {100};

    (void)state;
    open_host(4);
    train(spares, 60000);
    open_host(2);
    train(alone, 60000);
    open_host(1);
    train(alone, 60000);
    assert_int_equal(slows, 0);
}

/* A shard of its takes longer than the interval: it is compared when it has one. */
static void a_very_slow_rank_is_told_of_when_it_has_a_shard(void **state)
{
    static const uint64_t shard_ms[MOST] = {1000, 1000, 35000};

    (void)state;
    open_host(3);
    train(shard_ms, 34000);
    assert_int_equal(slows, 0);
    train(shard_ms, 50000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow[0].rank, 2);
    assert_nobody_ended();
}

/* Rates from before a pause of the looker are not mixed with those after it. */
static void the_next_fencer_tells_of_slow_ranks(void **state)
{
    static const uint64_t shard_ms[MOST] = {100, 100, 100, 500};

    (void)state;
    open_host(4);
    rank[0].process = MU_PROCESS_GONE;
    train(shard_ms, 12000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow_by[0], 1);
}

/* ---- limits ---- */
static void entries_that_make_no_sense_are_passed_over(void **state)
{
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    const struct mu_watch_view v[] = {
        {.rank = -1},
        {.rank = 1, .phase = (enum mu_phase)77},
        {.rank = 2, .phase = MU_PHASE_RUNNING, .point = (enum mu_fault_point)1000},
        {.rank = MU_WATCH_RANKS}};

    (void)state;
    mu_watch_init(&w, 0);
    for (uint64_t t = 1; t < 100000; t += MU_WATCH_LOOK_MS) {
        mu_watch_look(&w, v, 4, TIMEOUT_MS, t * ms, &actions);
        assert_int_equal(actions.fences + actions.slows, 0);
    }
    assert_false(mu_watch_asks(&w, -1));
    assert_false(mu_watch_asks(&w, MU_WATCH_RANKS));
}

static void a_host_of_4096_ranks_is_cheap(void **state)
{
    enum { LOOKS = 500 };
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    static struct mu_watch_view v[MU_WATCH_RANKS];
    uint64_t began_ns = mu_clock_ns(), took_ns;

    (void)state;
    mu_watch_init(&w, 0);
    for (int i = 0; i < LOOKS; i++) {
        for (int r = 0; r < MU_WATCH_RANKS; r++) {
            v[r].rank = r;
            v[r].phase = MU_PHASE_RUNNING;
            v[r].pid = 1;
            v[r].polls++;
            v[r].beats++;
            v[r].shards_done++;
            v[r].compute_ns += 1000 + (uint64_t)(r * 7 % 900);
        }
        mu_watch_look(&w, v, MU_WATCH_RANKS, TIMEOUT_MS, (1 + (uint64_t)i * 100) * ms, &actions);
        assert_int_equal(actions.fences, 0);
    }
    took_ns = mu_clock_ns() - began_ns;
    print_message("a look at 4096 ranks: %.0f us\n", 1e-3 * (double)took_ns / LOOKS);
    assert_true(took_ns / LOOKS < 5 * ms); /* 0.1 ms; sanitizers and a loaded machine have time */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_moves_is_left_alone),
        cmocka_unit_test(who_stands_still_is_ended_at_the_deadline),
        cmocka_unit_test(one_poll_begins_the_deadline_again),
        cmocka_unit_test(each_phase_has_its_deadline),
        cmocka_unit_test(without_a_timeout_nobody_is_ended_for_standing_still),
        cmocka_unit_test(a_long_step_that_polls_is_left_alone),
        cmocka_unit_test(who_is_stopped_is_ended_soon_in_every_phase),
        cmocka_unit_test(who_is_continued_in_time_is_left_alone),
        cmocka_unit_test(who_is_held_by_a_debugger_is_left_alone),
        cmocka_unit_test(the_dead_are_not_ended),
        cmocka_unit_test(a_new_process_is_begun_afresh),
        cmocka_unit_test(a_late_look_begins_afresh),
        cmocka_unit_test(time_that_runs_backwards_begins_afresh),
        cmocka_unit_test(a_deadline_is_so_many_looks),
        cmocka_unit_test(an_overloaded_machine_is_no_reason),
        cmocka_unit_test(any_are_stopped_at_once),
        cmocka_unit_test(all_are_stopped_and_continued),
        cmocka_unit_test(the_fencer_is_ended_by_the_next),
        cmocka_unit_test(the_fencer_is_dead_when_another_is_stopped),
        cmocka_unit_test(alone_nobody_is_ended),
        cmocka_unit_test(nobody_is_ended_twice),
        cmocka_unit_test(many_are_ended_in_several_looks),
        cmocka_unit_test(a_stopped_rank_is_ended_and_not_those_who_wait_for_it),
        cmocka_unit_test(a_stopped_fencer_is_ended_in_a_repair),
        cmocka_unit_test(who_is_stopped_inside_shrink_is_ended),
        cmocka_unit_test(who_does_not_come_to_a_repair_is_ended_at_its_deadline),
        cmocka_unit_test(who_is_saving_is_waited_for),
        cmocka_unit_test(who_stays_in_a_repair_that_is_over_is_ended),
        cmocka_unit_test(a_repair_that_does_not_end_costs_one_rank_at_a_time),
        cmocka_unit_test(nobody_waits_for_the_dead_nor_for_those_who_left),
        cmocka_unit_test(who_is_slow_is_told_of_and_left_alone),
        cmocka_unit_test(twice_the_median_is_slow_and_less_is_not),
        cmocka_unit_test(ranks_without_shards_are_not_slow),
        cmocka_unit_test(a_very_slow_rank_is_told_of_when_it_has_a_shard),
        cmocka_unit_test(the_next_fencer_tells_of_slow_ranks),
        cmocka_unit_test(entries_that_make_no_sense_are_passed_over),
        cmocka_unit_test(a_host_of_4096_ranks_is_cheap),
    };

    return cmocka_run_group_tests(tests, NULL, close_host);
}
