/* R1 by groups (worker/recover.h): ranks of one communicator that work in views of it, two groups of
 * them and some that are idle, under random deaths. Each group ends with the bits of its own
 * undisturbed run; a repair for a death elsewhere leaves a group nothing to compute again; who is
 * idle takes part until the last has ended, and who did not hear its group's last word hears it in
 * a repair.
 *
 * A schedule is drawn from the seed and its number, as in test_step_deaths.c: MUSTER_TEST_SEED,
 * MUSTER_TEST_FIRST and MUSTER_TEST_COUNT run it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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
    VARIANTS = 4,
    SCHEDULES = 100, /* unless MUSTER_TEST_COUNT says so */
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

/* Where ranks die, and among how many passages. */
static const struct place {
    unsigned kind, most;
} places[] = {
    {FAKE_POLL, 80},
    {FAKE_TEST, 60},
    {FAKE_SEND, 30},
    {FAKE_RECEIVE, 30},
    {GRADIENT, 24},
    {FAKE_FAULTS + MU_FAULT_ADDING, 12},
    {FAKE_FAULTS + MU_FAULT_ADDED, 12},
    {FAKE_FAULTS + MU_FAULT_REDUCED, 20},
    {FAKE_FAULTS + MU_FAULT_FLIP, STEPS},
    {FAKE_FAULTS + MU_FAULT_EXCHANGE, 4},
    {FAKE_SHRUNK, 4},
    {FAKE_GATHERED, 6},
    {FAKE_AGREE, 4},
    {FAKE_AGREED, 4},
};
enum { PLACES = sizeof places / sizeof *places };

struct schedule {
    uint32_t size, hosts[GROUPS];
    uint32_t group[MOST_RANKS];
    uint64_t host[MOST_RANKS];
    uint32_t variant[GROUPS]; /* as in test_step_deaths.c */
    struct mu_settings settings;
    uint32_t looks;
    struct fake_fate fate[MOST_RANKS];
};

static struct mu_segment segments[GROUPS][MOST_HOSTS];
static struct mu_layout layout;
static struct mu_board *board;
static uint64_t seed, number;
static struct rank undisturbed[VARIANTS];
static uint32_t mates[MOST_RANKS]; /* in its group, when it began */
static _Atomic uint64_t calm_repairs, disturbed;

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

/* ---- a schedule ---- */
static uint64_t draws;

static uint32_t below(uint32_t n)
{
    return mu_rng_draw(seed, MU_RNG_SYNTHETIC, (uint32_t)number, draws++).w[0] % n;
}

static struct schedule draw_schedule(void)
{
    struct schedule s = {.settings = toy_settings(STEPS)};
    uint32_t survivor, victims;

    draws = 0;
    s.size = 2 + below(MOST_RANKS - 1);
    for (uint32_t g = 1; g < GROUPS; g++) {
        s.hosts[g] = 1 + below(MOST_HOSTS);
        s.variant[g] = below(VARIANTS);
    }
    for (uint32_t i = 0; i < s.size; i++) {
        s.group[i] = i < 2 ? 1 + i : below(5) == 0 ? 0 : 1 + below(GROUPS - 1);
        s.host[i] = s.group[i] > 0 ? below(s.hosts[s.group[i]]) : 0;
    }
    s.looks = below(2) ? below(1 << (STEPS + 1)) : 0;
    for (uint32_t i = 0; i < MOST_RANKS; i++)
        s.fate[i].kind = FAKE_KINDS;
    survivor = below(s.size);
    victims = 1 + below(below(2) ? s.size - 1 : 1);
    for (uint32_t i = below(s.size), n = 0; n < victims; i++) {
        const struct place *p = &places[below(PLACES)];

        if (i % s.size == survivor)
            continue;
        s.fate[i % s.size] = (struct fake_fate){.kind = p->kind, .let_through = below(p->most)};
        n++;
    }
    return s;
}

static enum mu_status never(void *context)
{
    (void)context;
    return MU_OK;
}

/* Living members: places of the view. A death elsewhere has cost nothing but the repair. */
static enum mu_status repair_and_look(void *context)
{
    struct rank *r = context;
    enum mu_status st = repair(r);
    const struct mu_recovery_plan *p = &r->recovery.plan;

    if (st != MU_OK || !r->recovery.comm)
        return st;
    if ((uint32_t)mu_comm_size(r->worker.comm) < mates[r - rank]) {
        disturbed++;
        return st;
    }
    calm_repairs++;
    if (p->restart || mu_shard_set_count(&p->again) > 0 || r->roll.size != mates[r - rank])
        give_up("a death in another group has cost this one something");
    for (uint32_t i = 0; i < r->worker.fleet.ranks; i++)
        if (mu_shard_set_count(&p->counted[i]) > 0)
            give_up("a sum of another group's is counted");
    return st;
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
    r->poller.repair = repair_and_look;
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

static int set_up(void **state)
{
    struct schedule alone = {
        .size = 1, .group = {1}, .settings = toy_settings(STEPS), .looks = ~0u};
    const char *given = getenv("MUSTER_TEST_SEED");
    char text[16], job[64];

    (void)state;
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("MUSTER_TEST_SEED=%llu\n", (unsigned long long)seed);
    mu_log_set_level(MU_LOG_SILENT);
    signal(SIGABRT, at_abort);
    snprintf(text, sizeof text, "%d", BOARD_RANK);
    snprintf(job, sizeof job, "test-step-groups-%ld", (long)getpid());
    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", text, 1);
    if (mu_layout_init(&layout, specs, 4) != MU_OK || mu_board_open(&board) != MU_OK)
        return -1;
    alone.fate[0].kind = FAKE_KINDS;
    number = UINT32_MAX;
    for (uint32_t v = 0; v < VARIANTS; v++) {
        alone.variant[1] = v;
        set_the_stage(&alone);
        run(&alone, run_rank);
        undisturbed[v] = rank[0];
        clean_up(&alone);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mu_board_close(board);
    mu_layout_deinit(&layout);
    return 0;
}

/* ---- one repair, of ranks that are at different points ---- */
static void *repair_once(void *context)
{
    struct rank *r = context;

    r->status = mu_recover(&r->recovery);
    pthread_mutex_lock(&lock);
    r->ended = true;
    ended++;
    pthread_cond_broadcast(&one_ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Ranks 0, 1, 2 in group 1; 3, 4 in group 2; 5 is idle. */
static struct schedule three_kinds(void)
{
    struct schedule s = {.size = 6,
                         .group = {1, 1, 1, 2, 2, 0},
                         .settings = toy_settings(STEPS),
                         .host = {0, 0, 1, 0, 1, 0}};

    number = UINT32_MAX;
    for (uint32_t i = 0; i < MOST_RANKS; i++)
        s.fate[i].kind = FAKE_KINDS;
    set_the_stage(&s);
    return s;
}

static void starts_again_is_decided_among_the_group(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    for (int i = 0; i < 3; i++)
        rank[i].recovery.phase = MU_RECOVERY_STARTING;
    rank[2].recovery.phase = MU_RECOVERY_REFUSED; /* not all: the start is not over */
    fake_kill(1);
    run(&s, repair_once);
    for (uint32_t i = 0; i < s.size; i++) {
        const struct mu_recovery *r = &rank[i].recovery;

        if (i == 1)
            continue;
        assert_int_equal(rank[i].status, MU_OK);
        assert_int_equal(r->plan.restart, i < 3);
        assert_false(r->plan.finished);
        assert_int_equal(r->dead_count, 1);
        assert_int_equal(r->dead[0], 1);
    }
    assert_int_equal(mu_comm_size(rank[0].worker.comm), 2);
    assert_int_equal(mu_comm_name(rank[2].worker.comm, 1), 2);
    assert_int_equal(mu_comm_rank(rank[2].worker.comm), 1);
    assert_int_equal(mu_comm_rank(rank[4].worker.comm), 1);
    assert_int_equal(rank[3].roll.size, 2);
    assert_int_equal(rank[3].roll.epoch, 1);
    clean_up(&s);
}

static void everybody_hears_who_works_on_what(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    rank[0].recovery.duties = 3;
    rank[5].recovery.ended = 9;
    fake_kill(2);
    run(&s, repair_once);
    for (uint32_t i = 0; i < s.size; i++) {
        const struct mu_rank_word *word = rank[i].recovery.word;

        if (i == 2)
            continue;
        for (int place = 0; place < 5; place++) {
            int name = place + (place >= 2);

            assert_int_equal(word[place].name, name);
            assert_int_equal(word[place].group, s.group[name]);
            assert_int_equal(word[place].trial, 10 * s.group[name]);
            assert_int_equal(word[place].phase, name == 5 ? MU_RECOVERY_IDLE : MU_RECOVERY_RUNNING);
            assert_int_equal(word[place].step, 0);
            assert_int_equal(word[place].bytes > 0, name != 5);
            assert_int_equal(word[place].ended, name == 5 ? 9 : 0);
        }
        assert_int_equal(word[0].duties, 3);
    }
    assert_int_equal(rank[0].recovery.plan.duties, 3);
    assert_int_equal(rank[3].recovery.plan.duties, 0);
    clean_up(&s);
}

static void what_one_rank_knows_to_be_done_is_done(void **state)
{
    struct schedule s = three_kinds();

    (void)state;
    rank[5].recovery.ended = 1; /* it was in it, and is idle again */
    for (int i = 3; i < 5; i++)
        rank[i].recovery.phase = MU_RECOVERY_REFUSED;
    fake_kill(0);
    run(&s, repair_once);
    for (uint32_t i = 1; i < s.size; i++) {
        assert_int_equal(rank[i].status, MU_OK);
        assert_int_equal(rank[i].recovery.plan.finished, i < 5);
        assert_false(rank[i].recovery.plan.restart);
    }
    assert_int_equal(rank[1].roll.size, 2); /* it has a state, and could go on */
    clean_up(&s);
}

/* ---- many ---- */
static void groups_end_with_their_own_bits(void **state)
{
    const char *first_given = getenv("MUSTER_TEST_FIRST"), *given = getenv("MUSTER_TEST_COUNT");
    uint64_t first = first_given ? strtoull(first_given, NULL, 10) : 0;
    uint64_t count = given ? strtoull(given, NULL, 10) : SCHEDULES, deaths = 0;

    (void)state;
    calm_repairs = disturbed = 0;
    for (number = first; number < first + count; number++) {
        struct schedule s = draw_schedule();

        set_the_stage(&s);
        run(&s, run_rank);
        for (uint32_t i = 0; i < s.size; i++) {
            const char *fault = NULL;

            deaths += rank[i].died;
            if (!rank[i].died && s.group[i] > 0)
                fault = fault_of(&rank[i], &undisturbed[s.variant[s.group[i]]], &layout);
            else if (!rank[i].died && rank[i].status != MU_OK)
                fault = "who was idle failed";
            if (fault)
                give_up(fault);
        }
        clean_up(&s);
    }
    print_message("%llu schedules: %llu deaths, %llu repairs by ranks whose group nobody died in, "
                  "%llu by others\n",
                  (unsigned long long)count, (unsigned long long)deaths,
                  (unsigned long long)calm_repairs, (unsigned long long)disturbed);
    if (count >= SCHEDULES)
        assert_true(deaths > count / 2 && calm_repairs > count / 4 && disturbed > count / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_again_is_decided_among_the_group),
        cmocka_unit_test(everybody_hears_who_works_on_what),
        cmocka_unit_test(what_one_rank_knows_to_be_done_is_done),
        cmocka_unit_test(groups_end_with_their_own_bits),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
