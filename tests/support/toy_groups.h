/* Ranks as threads (toy_rank.h) in groups: each group in a view of the communicator, with segments
 * and a state of its own; ranks of no group are idle. Include after cmocka.h. */
#ifndef MUSTER_TESTS_TOY_GROUPS_H
#define MUSTER_TESTS_TOY_GROUPS_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/core/layout.h"
#define MU_CHUNK 2500
#include "orchestrator/core/layout.c"
#undef MU_CHUNK

#include "orchestrator/base/log.h"
#include "tests/support/toy_outcome.h"

enum {
    GROUPS = 3, /* the first one: idle */
    MOST_HOSTS = 3,
    PATIENCE_S = 20, /* for a schedule, which takes milliseconds */
    BOARD_RANK = 999,
};

/* The dead free nothing. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

static const struct mu_tensor_spec specs[] = {
    {.name = "tied", .rows = 9, .cols = 256, .dense = true, .row_addends = 1},
    {.name = "untied", .rows = 10, .cols = 250, .row_addends = 1},
    {.name = "w", .rows = 11, .cols = 300, .decay = true, .dense = true},
    {.name = "v", .rows = 9, .cols = 377, .dense = true},
};

struct schedule {
    uint32_t size, hosts[GROUPS];
    uint32_t group[MOST_RANKS];
    uint64_t host[MOST_RANKS];
    uint32_t variant[GROUPS]; /* bit 0: a step is redone; bit 1: a step is skipped */
    struct mu_settings settings;
    uint32_t looks;
    struct fake_fate fate[MOST_RANKS];
};

static struct mu_segment segments[GROUPS][MOST_HOSTS];
static struct mu_layout layout;
static struct mu_board *board;
static uint64_t seed, number;
static uint32_t mates[MOST_RANKS]; /* in its group, when it began */
static enum mu_status (*repair_of_rank)(void *context) = repair;

static void give_up(const char *what)
{
    fprintf(stderr, "%s: MUSTER_TEST_SEED=%llu MUSTER_TEST_FIRST=%llu MUSTER_TEST_COUNT=1\n", what,
            (unsigned long long)seed, (unsigned long long)number);
    for (int i = 0; i < fake.size; i++)
        fprintf(stderr, "  rank %d group %llu%s%s: step %lld, epoch %u, status %d, poller %d\n", i,
                (unsigned long long)rank[i].recovery.group, rank[i].died ? " dead" : "",
                rank[i].idle ? " idle" : "", (long long)rank[i].step, rank[i].recovery.epoch,
                (int)rank[i].status, (int)rank[i].poller.status);
    for (int g = 0; g < GROUPS; g++)
        for (int h = 0; h < MOST_HOSTS; h++)
            if (segments[g][h].header)
                shm_unlink(segments[g][h].name);
    mu_board_close(board);
    _exit(1);
}

static void at_abort(int signal_number)
{
    (void)signal_number;
    give_up("an assertion failed");
}

static enum mu_status never(void *context)
{
    (void)context;
    return MU_OK;
}

/* The members of its group, by place: their names, and their hosts. */
static uint32_t find_members(const struct schedule *s, uint32_t group, int *names, uint64_t *host)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->size; i++)
        if (s->group[i] == group) {
            names[count] = (int)i;
            host[count++] = s->host[i];
        }
    return count;
}

static void open_segments(const struct schedule *s, uint32_t group)
{
    int names[MOST_RANKS];
    uint64_t host[MOST_RANKS];
    uint32_t count = find_members(s, group, names, host);
    struct mu_roll roll;

    if (count == 0)
        return;
    assert_int_equal(mu_roll_init(&roll, 0, host, count), MU_OK);
    for (uint32_t h = 0; h < roll.hosts; h++) {
        struct mu_segment_options o = {.layout = &layout,
                                       .run_key = (uint64_t)getpid() << 32 | group,
                                       .generation = 1,
                                       .host = h,
                                       .ranks = roll.host[h].count,
                                       .leader = true,
                                       .keep_sweep = true,
                                       .deadline_ms = 60000,
                                       .poll = never};

        assert_int_equal(mu_segment_open(&segments[group][h], &o), MU_OK);
    }
    mu_roll_deinit(&roll);
}

/* With a state of its own in its group's segment, and in its view. */
static void join_group(const struct schedule *s, struct rank *r, uint32_t group)
{
    const uint32_t variant = s->variant[group];
    int names[MOST_RANKS], own = (int)(r - rank);
    uint64_t host[MOST_RANKS];
    uint32_t count = find_members(s, group, names, host);
    struct mu_comm *view;

    mates[own] = count;
    assert_int_equal(mu_comm_view(fake_comm(own), names, (int)count, group, &view), MU_OK);
    assert_int_equal(mu_roll_init(&r->roll, 0, host, count), MU_OK);
    assert_int_equal(open_device(&r->poller, false, false, &r->worker.device), MU_OK);
    assert_true(toy_open(&r->toy, r->worker.device, specs, variant & 2 ? 2 : TOY_NEVER,
                         variant & 1 ? 1 : TOY_NEVER));
    r->toy.pause = pause_in_shard;
    r->toy.context = &r->poller;
    r->segment = segments[group][r->roll.host_of[mu_comm_rank(view)]];
    r->worker = (struct mu_worker){.settings = &s->settings,
                                   .comm = view,
                                   .board = board,
                                   .poller = &r->poller,
                                   .roll = &r->roll,
                                   .device = r->worker.device,
                                   .workload = &r->toy.base,
                                   .segment = &r->segment};
    assert_int_equal(mu_worker_init(&r->worker), MU_OK);
    assert_int_equal(mu_worker_fill_initial(&r->worker, 0), MU_OK);
    r->recovery.comm = view;
    r->recovery.group = group;
    r->recovery.trial = 10 * group;
    r->recovery.phase = MU_RECOVERY_RUNNING;
    r->recovery.duties = 0;
}

static void make_rank(const struct schedule *s, uint32_t i)
{
    struct rank *r = &rank[i];

    memset(r, 0, sizeof *r);
    r->looks = s->looks;
    mu_poller_init(&r->poller, fake_comm((int)i), board);
    r->poller.repair = repair_of_rank;
    r->poller.repair_context = r;
    r->recovery = (struct mu_recovery){.base = fake_comm((int)i),
                                       .board = board,
                                       .worker = &r->worker,
                                       .roll = &r->roll,
                                       .phase = MU_RECOVERY_IDLE};
    assert_int_equal(mu_recover_init(&r->recovery), MU_OK);
    if (s->group[i] > 0)
        join_group(s, r, s->group[i]);
    r->control = mu_control_init(r->worker.comm, &r->poller, 0, 1000 * PATIENCE_S);
}

static void free_rank(struct rank *r)
{
    if (r->worker.workload) {
        mu_worker_deinit(&r->worker);
        toy_close(&r->toy);
        mu_device_close(r->worker.device);
        mu_roll_deinit(&r->roll);
    }
    mu_comm_view_close(r->worker.comm);
    mu_recover_deinit(&r->recovery);
}

static void set_the_stage(const struct schedule *s)
{
    fake_open((int)s->size, seed + number, 5);
    memcpy(fake.fate, s->fate, s->size * sizeof *s->fate);
    for (uint32_t g = 1; g < GROUPS; g++)
        open_segments(s, g);
    for (uint32_t i = 0; i < s->size; i++)
        make_rank(s, i);
}

static void run(const struct schedule *s, void *(*life)(void *))
{
    struct timespec until;

    ended = 0;
    for (uint32_t i = 0; i < s->size; i++)
        if (!fake.dead[i])
            assert_int_equal(pthread_create(&rank[i].thread, NULL, life, &rank[i]), 0);
        else
            ended++;
    clock_gettime(CLOCK_REALTIME, &until); /* pthread's; the patience is long */
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (ended < s->size)
        if (pthread_cond_timedwait(&one_ended, &lock, &until) == ETIMEDOUT)
            give_up("some ranks did not end");
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0; i < s->size; i++)
        if (rank[i].ended)
            pthread_join(rank[i].thread, NULL);
}

static void clean_up(const struct schedule *s)
{
    fake_close();
    for (uint32_t i = 0; i < s->size; i++)
        free_rank(&rank[i]);
    for (int g = 0; g < GROUPS; g++)
        for (int h = 0; h < MOST_HOSTS; h++)
            if (segments[g][h].header)
                mu_segment_close(&segments[g][h], true);
    memset(segments, 0, sizeof segments);
}

static int open_stage(const char *name)
{
    const char *given = getenv("MUSTER_TEST_SEED");
    char text[16], job[64];

    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    number = UINT32_MAX;
    print_message("MUSTER_TEST_SEED=%llu\n", (unsigned long long)seed);
    mu_log_set_level(MU_LOG_SILENT);
    signal(SIGABRT, at_abort);
    snprintf(text, sizeof text, "%d", BOARD_RANK);
    snprintf(job, sizeof job, "test-%s-%ld", name, (long)getpid());
    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", text, 1);
    return mu_layout_init(&layout, specs, 4) == MU_OK && mu_board_open(&board) == MU_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mu_board_close(board);
    mu_layout_deinit(&layout);
    return 0;
}

#endif
