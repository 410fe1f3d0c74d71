/* The whole step (worker/step.c, reduce.c, worker.c), each rank a thread with a view of its host's
 * segment, hosts pretended, messages in memory in any order: the same bits on every roll, also of
 * steps that are redone or skipped; and a death leaves the committed state whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "tests/support/fake_comm.h"
#include "tests/support/seed.h"
#include "tests/support/toy.h"

enum { SHARDS = TOY_SHARDS, STEPS = 4, OUTLIERS_AT = TOY_OUTLIERS_AT, MOST_RANKS = 9 };

/* Two chunks. */
static const struct mu_tensor_spec specs[] = {
    {.name = "w", .rows = 300, .cols = 900, .decay = true, .dense = true},
    {.name = "b", .rows = 1, .cols = 77, .dense = true},
    {.name = "tied", .rows = 250, .cols = 256, .dense = true, .row_addends = 1},
    {.name = "untied", .rows = 210, .cols = 250, .row_addends = 1},
};

/* ---- a job ---- */
struct job {
    uint32_t size;
    uint64_t host[MOST_RANKS];
    struct mu_settings settings;
    int64_t nan_at, surprise_at;
    bool apart;      /* devices with memory of their own */
    int dies;        /* rank; -1: none */
    int dies_before; /* step */
};

struct rank {
    const struct job *job;
    const struct mu_roll *roll;
    struct mu_board *board;
    pthread_barrier_t *meet; /* where the ranks of a job agree */
    uint64_t run_key;
    uint32_t place;
    /* what came out */
    enum mu_status status;
    struct mu_step_result step[STEPS];
    int64_t committed;
    struct mu_hash hash; /* of the committed state */
};

static uint64_t draws;

static enum mu_status poll_rank(void *poller)
{
    return mu_poll(poller);
}

static enum mu_status train(struct rank *r, struct mu_worker *w)
{
    struct mu_hash together;
    enum mu_status st = MU_OK;

    for (int k = 0; k < STEPS; k++) {
        if (k == r->job->dies_before && r->job->dies == (int)r->place) {
            fake_kill((int)r->place);
            break;
        }
        if (k == 1 && r->place == r->roll->size - 1)
            w->requests = MU_REQUEST_CHECKPOINT;
        MU_TRY(mu_worker_step(w, k, &r->step[k]), st, done);
    }
    if (r->job->dies < 0) {
        MU_TRY(mu_worker_hash(w, &together), st, done);
        if (!mu_hash_equal(together, toy_hash(w->segment, &w->workload->layout)))
            st = MU_INTERNAL;
    }
done:
    return st;
}

static enum mu_status open_segment(const struct rank *r, const struct mu_layout *l,
                                   struct mu_poller *poller, struct mu_segment *s)
{
    uint32_t host = r->roll->host_of[r->place];
    struct mu_segment_options o = {.layout = l,
                                   .run_key = r->run_key,
                                   .generation = 1,
                                   .host = host,
                                   .ranks = r->roll->host[host].count,
                                   .slot = mu_roll_local_index(r->roll, r->place),
                                   .leader = mu_roll_local_index(r->roll, r->place) == 0,
                                   .deadline_ms = 60000,
                                   .poll = poll_rank,
                                   .poll_context = poller};

    return mu_segment_open(s, &o);
}

static void *run_rank(void *context)
{
    struct rank *r = context;
    const struct mu_device_options options = {
        .kind = MU_DEVICE_REFERENCE, .isa = MU_ISA_GENERIC, .threads = 1};
    struct mu_worker w = {.settings = &r->job->settings, .board = r->board, .roll = r->roll};
    struct mu_poller poller;
    struct mu_segment segment = {0};
    struct toy toy;
    bool leader = mu_roll_local_index(r->roll, r->place) == 0;

    w.comm = fake_comm((int)r->place);
    mu_poller_init(&poller, w.comm, r->board);
    w.poller = &poller;
    w.segment = &segment;
    w.workload = &toy.base;
    r->status = mu_device_open(&options, &w.device);
    MU_ASSERT(r->status == MU_OK);
    if (r->job->apart)
        w.device = apart_wrap(w.device);
    MU_ASSERT(toy_open(&toy, w.device, specs, r->job->nan_at, r->job->surprise_at));
    r->status = open_segment(r, &toy.base.layout, &poller, &segment);
    if (r->status == MU_OK)
        r->status = mu_worker_init(&w);
    if (r->status == MU_OK)
        r->status = mu_worker_fill_initial(&w, 0);
    pthread_barrier_wait(r->meet);
    if (r->status == MU_OK)
        r->status = train(r, &w);
    pthread_barrier_wait(r->meet); /* others may still commit a step that this one gave up */
    if (segment.header) {
        r->committed = mu_segment_step(&segment);
        r->hash = toy_hash(&segment, &toy.base.layout);
    }
    mu_worker_deinit(&w);
    mu_segment_close(&segment, leader);
    toy_close(&toy);
    mu_device_close(w.device);
    return NULL;
}

static struct rank rank[MOST_RANKS];

static void run(const struct job *job)
{
    pthread_t thread[MOST_RANKS];
    pthread_barrier_t meet;
    struct mu_roll roll;
    struct mu_board *board;

    assert_int_equal(pthread_barrier_init(&meet, NULL, job->size), 0);
    assert_int_equal(mu_roll_init(&roll, 0, job->host, job->size), MU_OK);
    assert_int_equal(mu_board_open(&board), MU_OK);
    fake_open((int)job->size, seed + ++draws, 5);
    for (uint32_t i = 0; i < job->size; i++) {
        rank[i] = (struct rank){.job = job,
                                .roll = &roll,
                                .board = board,
                                .meet = &meet,
                                .run_key = (uint64_t)getpid() << 32 | draws,
                                .place = i};
        assert_int_equal(pthread_create(&thread[i], NULL, run_rank, &rank[i]), 0);
    }
    for (uint32_t i = 0; i < job->size; i++)
        pthread_join(thread[i], NULL);
    fake_close();
    mu_board_close(board);
    mu_roll_deinit(&roll);
    pthread_barrier_destroy(&meet);
}

static struct job job_of(uint32_t size, const char *hosts)
{
    struct job job = {
        .size = size,
        .nan_at = TOY_NEVER,
        .surprise_at = TOY_NEVER,
        .dies = -1,
        .settings = toy_settings(STEPS),
    };

    for (uint32_t i = 0; i < size; i++)
        job.host[i] = (uint64_t)hosts[i];
    return job;
}

/* From one rank to more ranks than shards, from one host to a host each. */
static const char *const rolls[] = {"aa",    "ab",      "aba",      "abc",
                                    "ababc", "abcdefg", "aaaaaaaa", "bacbacbaa"};
enum { ROLLS = sizeof rolls / sizeof *rolls };

static void assert_same(const struct rank *a, const struct rank *b)
{
    assert_int_equal(a->status, b->status);
    assert_true(a->committed == b->committed);
    assert_true(mu_hash_equal(a->hash, b->hash));
    for (int k = 0; k < STEPS; k++) {
        assert_memory_equal(&a->step[k].loss, &b->step[k].loss, sizeof a->step[k].loss);
        assert_memory_equal(&a->step[k].gradient_norm, &b->step[k].gradient_norm, sizeof(double));
        assert_true(a->step[k].step == b->step[k].step);
        assert_true(a->step[k].tokens == b->step[k].tokens);
        assert_true(a->step[k].escapes == b->step[k].escapes);
        assert_true(a->step[k].redone == b->step[k].redone);
        assert_true(a->step[k].skipped == b->step[k].skipped);
        assert_int_equal(a->step[k].requests, b->step[k].requests);
    }
}

/* `job` on one rank, then on every roll; all alike. Gives back what one rank had. */
static struct rank same_on_every_roll(struct job job)
{
    struct job alone = job;
    struct rank one;

    alone.size = 1;
    alone.host[0] = 'a';
    run(&alone);
    one = rank[0];
    for (int i = 0; i < ROLLS; i++) {
        struct job other = job_of((uint32_t)strlen(rolls[i]), rolls[i]);

        other.settings = job.settings;
        other.nan_at = job.nan_at;
        other.surprise_at = job.surprise_at;
        other.apart = job.apart;
        run(&other);
        for (uint32_t r = 0; r < other.size; r++)
            assert_same(&rank[r], &one);
    }
    return one;
}

/* The mean of what toy_gradient hands out, by plain addition. */
static double mean_loss(int64_t step)
{
    double sum = 0;

    for (uint64_t s = 0; s < SHARDS; s++)
        sum += 20 + (double)toy_noise((uint64_t)step * SHARDS + s, 0, 9);
    return sum / (SHARDS * TOY_TOKENS);
}

static void the_same_bits_on_every_roll(void **state)
{
    struct rank one = same_on_every_roll(job_of(1, "a"));

    (void)state;
    assert_int_equal(one.status, MU_OK);
    assert_true(one.committed == STEPS);
    assert_true(one.step[0].redone); /* nothing is known of the first one */
    for (int k = 0; k < STEPS; k++) {
        assert_true(one.step[k].step == k + 1);
        assert_true(one.step[k].tokens == SHARDS * TOY_TOKENS);
        assert_true(fabs(one.step[k].loss - mean_loss(k)) < 1e-12);
        assert_true(one.step[k].gradient_norm > 0);
        assert_false(one.step[k].skipped);
        if (k > 0)
            assert_true(!one.step[k].redone && one.step[k].escapes == (k == OUTLIERS_AT ? 2 : 0));
        assert_int_equal(one.step[k].requests, k == 1 ? MU_REQUEST_CHECKPOINT : 0);
    }
}

static void surprises_are_redone_and_steps_without_a_number_skipped(void **state)
{
    struct job job = job_of(1, "a");
    struct rank one;

    (void)state;
    job.surprise_at = 1;
    job.nan_at = 2;
    one = same_on_every_roll(job);
    assert_int_equal(one.status, MU_OK);
    assert_true(one.committed == STEPS);
    assert_true(one.step[1].redone);
    assert_true(one.step[1].gradient_norm > 1e5 * one.step[0].gradient_norm);
    assert_false(one.step[0].skipped || one.step[1].skipped || one.step[3].skipped);
    assert_true(one.step[2].skipped);
}

/* The audit reads gradients, so it is there too: on hosts of more than one rank. */
static void a_device_with_memory_of_its_own_has_the_same_bits(void **state)
{
    (void)state;
    for (int surprises = 0; surprises < 2; surprises++) {
        struct job job = job_of(1, "a");
        struct rank plain, apart;

        job.surprise_at = surprises ? 1 : TOY_NEVER;
        job.nan_at = surprises ? 2 : TOY_NEVER;
        run(&job);
        plain = rank[0];
        job.apart = true;
        job.settings.run_audit_every = 1;
        apart = same_on_every_roll(job);
        assert_int_equal(apart.status, MU_OK);
        assert_same(&apart, &plain);
    }
}

static void the_fast_sum_over_it_too(void **state)
{
    struct job job = job_of(3, "aaa");
    struct rank plain;

    (void)state;
    job.settings.batch_reduce = MU_REDUCE_FAST;
    run(&job);
    plain = rank[0];
    job.apart = true;
    run(&job);
    for (uint32_t r = 0; r < job.size; r++)
        assert_same(&rank[r], &plain);
}

/* Everybody stops, and the state before it is what stays. */
static void a_step_without_a_number_stops_everybody(void **state)
{
    struct job job = job_of(1, "a"), before = job_of(1, "a");
    struct rank one;

    (void)state;
    job.nan_at = 2;
    job.settings.run_on_nonfinite = MU_NONFINITE_STOP;
    one = same_on_every_roll(job);
    assert_int_equal(one.status, MU_FAILED);
    assert_true(one.committed == 2);
    before.dies = 0; /* alone: it ends there */
    before.dies_before = 2;
    run(&before);
    assert_true(mu_hash_equal(rank[0].hash, one.hash));
}

/* In fp32 all ranks of one roll agree; on one host the sum's order is that of the ranks. */
static void the_fast_sum_is_the_same_within_a_roll(void **state)
{
    (void)state;
    for (int i = 0; i < ROLLS; i += 2) {
        struct job job = job_of((uint32_t)strlen(rolls[i]), rolls[i]);

        job.settings.batch_reduce = MU_REDUCE_FAST;
        run(&job);
        for (uint32_t r = 0; r < job.size; r++) {
            assert_int_equal(rank[r].status, MU_OK);
            assert_same(&rank[r], &rank[0]);
        }
    }
}

/* A rank is gone before step 2. Its host has committed two steps; another host may have seen the
 * death one step earlier. Each state is what it would be without. */
static void a_death_leaves_the_state_whole(void **state)
{
    struct mu_hash after[3];

    (void)state;
    for (int k = 1; k <= 2; k++) {
        struct job alone = job_of(1, "a");

        alone.dies = 0;
        alone.dies_before = k;
        run(&alone);
        assert_true(rank[0].committed == k);
        after[k] = rank[0].hash;
    }
    for (int i = 0; i < ROLLS; i++) {
        struct job job = job_of((uint32_t)strlen(rolls[i]), rolls[i]);

        /* one with shards, so that the others cannot do without it */
        job.dies = (int)((seed + (uint64_t)i) % (job.size < SHARDS ? job.size : SHARDS));
        job.dies_before = 2;
        run(&job);
        for (uint32_t r = 0; r < job.size; r++) {
            assert_int_equal(rank[r].status, (int)r == job.dies ? MU_OK : MU_PEER_LOST);
            assert_in_range(rank[r].committed, job.host[r] == job.host[job.dies] ? 2 : 1, 2);
            assert_true(mu_hash_equal(rank[r].hash, after[rank[r].committed]));
        }
    }
}

static int set_up_all(void **state)
{
    mu_log_set_level(MU_LOG_SILENT);
    return print_seed(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_on_every_roll),
        cmocka_unit_test(surprises_are_redone_and_steps_without_a_number_skipped),
        cmocka_unit_test(a_device_with_memory_of_its_own_has_the_same_bits),
        cmocka_unit_test(the_fast_sum_over_it_too),
        cmocka_unit_test(a_step_without_a_number_stops_everybody),
        cmocka_unit_test(the_fast_sum_is_the_same_within_a_roll),
        cmocka_unit_test(a_death_leaves_the_state_whole),
    };

    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
