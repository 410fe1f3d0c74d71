/* R1 under random deaths: whole steps (worker/step.c, reduce.c, fetch.c) with the recovery as the
 * poller's repair (worker/recover.c), each rank a thread that runs the loop of job_run.c. Ranks die
 * anywhere: in a shard, in the middle of adding one, in a ring, a fetch, an update, inside the
 * repair; several, whole hosts, down to one. The survivors end with the bits of the run in which
 * nobody died, in every step's result and at every boundary where they look.
 *
 * A schedule is drawn from the seed and its number: MUSTER_TEST_SEED, MUSTER_TEST_FIRST and
 * MUSTER_TEST_COUNT run it again, though threads then interleave as they like. Chunks are small
 * here (layout.c is compiled in with another size), so that a step has several and takes no time.
 * All ranks of a host use one mapping of its segment: a thread sanitizer sees it as it is. */
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
#include "tests/support/toy_copies.h"
#include "tests/support/toy_outcome.h"

enum {
    MOST_HOSTS = MOST_RANKS,
    VARIANTS = 4,
    SCHEDULES = 200,  /* unless MUSTER_TEST_COUNT says so */
    PATIENCE_S = 20,  /* for a schedule, which takes milliseconds */
    BOARD_RANK = 999, /* of this program: on the board there is none of the ranks of a schedule */
};

/* The dead free nothing. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

/* The last two are final before a shard is over (worker/resident_buckets.h). */
static const struct mu_tensor_spec specs[] = {
    {.name = "tied", .rows = 9, .cols = 256, .dense = true, .row_addends = 1},
    {.name = "untied", .rows = 10, .cols = 250, .row_addends = 1},
    {.name = "w", .rows = 11, .cols = 300, .decay = true, .dense = true},
    {.name = "v", .rows = 9, .cols = 377, .dense = true},
};

/* Where ranks die, and among how many passages: about as many as there are in a run. */
static const struct place {
    unsigned kind, most;
    bool in_repair;
} places[] = {
    {FAKE_POLL, 80, false},
    {FAKE_TEST, 60, false},
    {FAKE_SEND, 30, false},
    {FAKE_RECEIVE, 30, false},
    {GRADIENT, 24, false},
    {QUANTISE, 60, false},
    {ADAMW, 20, false},
    {ADD_INT32, 20, false},
    {MEETING, 2, false},
    {REDUCING, 40, false},
    {FAKE_FAULTS + MU_FAULT_ADDING, 12, false},
    {FAKE_FAULTS + MU_FAULT_ADDED, 12, false},
    {FAKE_FAULTS + MU_FAULT_REDUCE, 20, false},
    {FAKE_FAULTS + MU_FAULT_REDUCED, 20, false},
    {FAKE_FAULTS + MU_FAULT_UPDATE, 16, false},
    {FAKE_FAULTS + MU_FAULT_FLIP, STEPS, false},
    {FAKE_FAULTS + MU_FAULT_GATHER, 40, false},
    {FAKE_FAULTS + MU_FAULT_HASH, STEPS, false},
    {FAKE_FAULTS + MU_FAULT_SNAPSHOT, STEPS, false},
    {MOVING, 60, false},
    {FAKE_FAULTS + MU_FAULT_SHRINK, 3, true},
    {FAKE_FAULTS + MU_FAULT_EXCHANGE, 4, true},
    {FAKE_FAULTS + MU_FAULT_AGREE, 4, true},
    {FAKE_REPAIR, 3, true},
    {FAKE_SHRUNK, 4, true},
    {FAKE_GATHER, 6, true},
    {FAKE_GATHERED, 6, true},
    {FAKE_AGREE, 4, true},
    {FAKE_AGREED, 4, true},
    {ABORTING, 3, true},
    {MOVING, 60, true},
    {FAKE_FAULTS + MU_FAULT_DEAL, 4, true},
};
enum { PLACES = sizeof places / sizeof *places, PLACES_IN_REPAIR = 12 };

struct schedule {
    uint32_t size, hosts;
    uint64_t host[MOST_RANKS];
    struct mu_settings settings;
    uint32_t variant; /* bit 0: a step is redone; bit 1: a step is skipped */
    uint32_t looks;   /* struct rank */
    struct fake_fate fate[MOST_RANKS];
    uint32_t apart; /* bitmap: whose device has memory of its own */
    uint32_t
        machines; /* of ranks whose state is their devices', on which it is copied; 0: on none */
};

static bool is_resident(const struct schedule *s)
{
    return s->settings.device_collective == MU_COLLECTIVE_NCCL;
}

static struct mu_segment segments[MOST_HOSTS];
static struct mu_layout layout;
static struct mu_board *board;
static uint64_t seed, number;
static struct rank undisturbed[VARIANTS];

/* ---- what is told of a schedule that went wrong ---- */
static const char *passage_name(unsigned kind)
{
    static const char *const messages[] = {"poll",   "test",   "send",     "receive",  "repair",
                                           "shrunk", "gather", "gathered", "to-agree", "agreed"};
    static const char *const own[] = {"gradient", "quantise", "adamw",    "add-int32",
                                      "meeting",  "reducing", "aborting", "moving"};

    if (kind < FAKE_OTHERS)
        return messages[kind];
    if (kind < FAKE_AFTER_FAULTS)
        return mu_fault_point_name((enum mu_fault_point)(kind - FAKE_FAULTS));
    return kind < PASSAGES ? own[kind - GRADIENT] : "-";
}

static void tell_rank(const struct schedule *s, uint32_t i)
{
    const struct rank *r = &rank[i];
    const struct mu_rank_words *words = &r->segment.rank[r->worker.slot];

    fprintf(stderr,
            "  rank %u host %llu slot %u%s%s: at %s (fate: %s %u%s), step %lld, epoch %u, status "
            "%d, poller %d; state %llu, entered %llu, adding %llx, claim %llx\n",
            i, (unsigned long long)s->host[i], r->worker.slot, r->ended ? " ended" : "",
            r->died ? " dead" : "", passage_name(fake.last_passed[i]),
            passage_name(s->fate[i].kind), s->fate[i].let_through,
            s->fate[i].takes_along ? " with its host" : "", (long long)r->step, r->recovery.epoch,
            (int)r->status, (int)r->poller.status, (unsigned long long)r->segment.header->state,
            (unsigned long long)words->entered, (unsigned long long)words->adding,
            (unsigned long long)words->claim);
}

static const struct schedule *running;

static void tell(const char *what)
{
    fprintf(stderr, "%s: MUSTER_TEST_SEED=%llu MUSTER_TEST_FIRST=%llu MUSTER_TEST_COUNT=1\n", what,
            (unsigned long long)seed, (unsigned long long)number);
    for (uint32_t i = 0; running && i < running->size; i++)
        tell_rank(running, i);
}

static void remove_segments(uint32_t hosts)
{
    for (uint32_t h = 0; h < hosts; h++)
        if (segments[h].header)
            mu_segment_close(&segments[h], true);
    memset(segments, 0, sizeof segments);
}

/* Threads cannot be ended: the program is. */
static void give_up(const char *what)
{
    static _Atomic bool begun;

    if (atomic_exchange(&begun, true)) { /* another thread tells; this one has waited long enough */
        mu_clock_sleep_us(1000000);
        _exit(1);
    }
    tell(what);
    for (uint32_t h = 0; h < MOST_HOSTS; h++)
        if (segments[h].header)
            shm_unlink(segments[h].name);
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

static uint32_t mates_of(const struct schedule *s, uint32_t one)
{
    uint32_t mates = 0;

    for (uint32_t i = 0; i < MOST_RANKS && i < s->size; i++)
        mates |= (uint32_t)(s->host[i] == s->host[one]) << i;
    return mates;
}

/* One rank lives; of the others one to all die, the first not inside a repair. */
static void draw_fates(struct schedule *s)
{
    uint32_t survivor = below(s->size), victims, first = below(s->size);

    if (s->size == 1)
        return;
    victims = 1 + below(below(2) ? s->size - 1 : 1);
    for (uint32_t i = first, n = 0; n < victims; i++) {
        uint32_t v = i % s->size;
        const struct place *p;

        if (v == survivor)
            continue;
        p = &places[below(n == 0 ? PLACES - PLACES_IN_REPAIR : PLACES)];
        s->fate[v] = (struct fake_fate){.kind = p->kind, .let_through = below(p->most)};
        if (below(6) == 0)
            s->fate[v].takes_along = mates_of(s, v) & ~(UINT32_C(1) << survivor);
        n++;
    }
}

static struct schedule draw_schedule(void)
{
    struct schedule s = {.settings = toy_settings(STEPS)};

    draws = 0;
    s.size = 1 + below(MOST_RANKS);
    s.hosts = 1 + below(s.size < 4 ? s.size : 4);
    for (uint32_t i = 0; i < s.size; i++)
        s.host[i] = i < s.hosts ? i : (uint64_t)below(s.hosts);
    if (below(2)) { /* the state is the devices' */
        s.settings.device_collective = MU_COLLECTIVE_NCCL;
        s.settings.device_overlap = below(4) ? MU_SWITCH_ON : MU_SWITCH_OFF;
        s.hosts = s.size;
        for (uint32_t i = 0; i < s.size; i++)
            s.host[i] = i;
    }
    s.machines = s.settings.device_collective == MU_COLLECTIVE_NCCL ? below(4) : 0;
    s.settings.run_spares = below(3);
    if (s.settings.device_collective != MU_COLLECTIVE_NCCL && below(3) == 0)
        s.settings.run_master = MU_MASTER_DEDICATED;
    s.variant = below(VARIANTS);
    s.looks = below(2) ? below(1 << (STEPS + 1)) : 0;
    for (uint32_t i = 0; i < MOST_RANKS; i++)
        s.fate[i].kind = FAKE_KINDS;
    draw_fates(&s);
    if (is_resident(&s) && below(2)) {
        s.settings.optim_shard = MU_SWITCH_ON;
        s.looks |= 1 << STEPS;
    }
    if (!is_resident(&s))
        s.apart = below(1 << MOST_RANKS);
    return s;
}

static enum mu_status never(void *context)
{
    (void)context;
    return MU_OK;
}

static uint64_t run_key(void)
{
    return (uint64_t)getpid() << 32 | (uint32_t)number;
}

static void open_segments(const struct mu_roll *roll, bool words_only)
{
    for (uint32_t h = 0; h < roll->hosts; h++) {
        struct mu_segment_options o = {.layout = &layout,
                                       .run_key = run_key(),
                                       .generation = 1,
                                       .host = h,
                                       .ranks = roll->host[h].count,
                                       .leader = true,
                                       .words_only = words_only,
                                       .deadline_ms = 60000,
                                       .poll = never};

        assert_int_equal(mu_segment_open(&segments[h], &o), MU_OK);
    }
}

static void make_rank(const struct schedule *s, uint32_t i)
{
    struct rank *r = &rank[i];

    memset(r, 0, sizeof *r);
    r->looks = s->looks;
    assert_int_equal(mu_roll_init(&r->roll, 0, s->host, s->size), MU_OK);
    mu_poller_init(&r->poller, fake_comm((int)i), board);
    assert_int_equal(open_device(&r->poller, is_resident(s), s->apart >> i & 1, &r->worker.device),
                     MU_OK);
    assert_true(toy_open(&r->toy, r->worker.device, specs, s->variant & 2 ? 2 : TOY_NEVER,
                         s->variant & 1 ? 1 : TOY_NEVER));
    r->toy.pause = pause_in_shard;
    r->toy.context = &r->poller;
    r->segment = segments[r->roll.host_of[i]];
    r->worker = (struct mu_worker){.settings = &s->settings,
                                   .comm = fake_comm((int)i),
                                   .board = board,
                                   .poller = &r->poller,
                                   .roll = &r->roll,
                                   .device = r->worker.device,
                                   .workload = &r->toy.base,
                                   .segment = &r->segment};
    assert_int_equal(mu_worker_init(&r->worker), MU_OK);
    assert_int_equal(mu_worker_fill_initial(&r->worker, 0), MU_OK);
    if (s->machines > 0)
        assert_true(toy_copies_open(r, s->machines, run_key()));
    r->recovery = (struct mu_recovery){.base = r->worker.comm,
                                       .board = board,
                                       .comm = r->worker.comm,
                                       .group = 1,
                                       .worker = &r->worker,
                                       .roll = &r->roll,
                                       .phase = MU_RECOVERY_RUNNING};
    assert_int_equal(mu_recover_init(&r->recovery), MU_OK);
    r->recovery.duties = 0;
    r->control = mu_control_init(r->worker.comm, &r->poller, 0, 1000 * PATIENCE_S);
    r->poller.repair = repair;
    r->poller.repair_context = r;
}

static void free_rank(struct rank *r)
{
    toy_copies_close(r);
    mu_worker_deinit(&r->worker);
    toy_close(&r->toy);
    mu_device_close(r->worker.device);
    mu_recover_deinit(&r->recovery);
    mu_roll_deinit(&r->roll);
}

static void wait_for_all(uint32_t size)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until); /* pthread's; the patience is long */
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (ended < size)
        if (pthread_cond_timedwait(&one_ended, &lock, &until) == ETIMEDOUT)
            give_up("some ranks did not end");
    pthread_mutex_unlock(&lock);
    for (uint32_t i = 0; i < size; i++)
        pthread_join(rank[i].thread, NULL);
}

static void run(const struct schedule *s)
{
    struct mu_roll roll;

    fake_open((int)s->size, seed + number, 5);
    memcpy(fake.fate, s->fate, s->size * sizeof *s->fate);
    assert_int_equal(mu_roll_init(&roll, 0, s->host, s->size), MU_OK);
    open_segments(&roll, is_resident(s));
    mu_roll_deinit(&roll);
    for (uint32_t i = 0; i < s->size; i++)
        make_rank(s, i);
    running = s;
    ended = 0;
    for (uint32_t i = 0; i < s->size; i++)
        assert_int_equal(pthread_create(&rank[i].thread, NULL, run_rank, &rank[i]), 0);
    wait_for_all(s->size);
}

static void clean_up(const struct schedule *s)
{
    running = NULL;
    fake_close();
    for (uint32_t i = 0; i < s->size; i++)
        free_rank(&rank[i]);
    toy_peers_clear();
    remove_segments(s->hosts);
}

/* ---- what has to hold ---- */
static struct tally {
    uint64_t deaths, repairs, survivors, alone, divided, lost;
} tally;

static uint32_t deaths_of(const struct schedule *s)
{
    uint32_t deaths = 0;

    for (uint32_t i = 0; i < s->size; i++)
        deaths += rank[i].died;
    return deaths;
}

static void check(const struct schedule *s)
{
    uint32_t survivors = 0, lost = 0;

    for (uint32_t i = 0; i < s->size; i++) {
        const char *fault =
            rank[i].died ? NULL : fault_of(&rank[i], &undisturbed[s->variant], &layout);

        if (fault)
            give_up(fault);
        survivors += !rank[i].died;
        lost += rank[i].lost;
        fault =
            toy_copies_fault(&rank[i], &layout, undisturbed[s->variant].hash, deaths_of(s) == 0);
        if (fault)
            give_up(fault);
        tally.repairs += rank[i].recovery.epoch;
    }
    /* A part is lost when two have died, and then for all. */
    if (lost > 0 ? survivors > 0 || s->size - lost < 2 : survivors == 0)
        give_up("some have lost a part of the state, others not");
    tally.divided += s->settings.optim_shard == MU_SWITCH_ON && survivors < s->size;
    tally.lost += lost > 0;
    tally.deaths += s->size - survivors;
    tally.survivors += survivors;
    tally.alone += survivors == 1 && s->size > 1;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);

    return given ? strtoull(given, NULL, 10) : otherwise;
}

static int set_up(void **state)
{
    struct schedule alone = {.size = 1, .hosts = 1, .settings = toy_settings(STEPS), .looks = ~0u};
    char text[16], job[64];

    (void)state;
    seed = number_from("MUSTER_TEST_SEED", (uint64_t)time(NULL));
    print_message("MUSTER_TEST_SEED=%llu\n", (unsigned long long)seed);
    mu_log_set_level(MU_LOG_SILENT);
    signal(SIGABRT, at_abort);
    snprintf(text, sizeof text, "%d", BOARD_RANK);
    snprintf(job, sizeof job, "test-step-deaths-%ld", (long)getpid());
    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", text, 1);
    if (mu_layout_init(&layout, specs, 4) != MU_OK || mu_board_open(&board) != MU_OK)
        return -1;
    alone.fate[0].kind = FAKE_KINDS;
    number = UINT32_MAX;
    for (alone.variant = 0; alone.variant < VARIANTS; alone.variant++) {
        run(&alone);
        undisturbed[alone.variant] = rank[0];
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

/* Else the property would say nothing. */
static void the_undisturbed_run_has_what_is_to_be_survived(void **state)
{
    (void)state;
    assert_true(layout.chunk_count >= 4);
    for (uint32_t v = 0; v < VARIANTS; v++) {
        const struct rank *r = &undisturbed[v];

        assert_int_equal(r->status, MU_OK);
        assert_int_equal(r->result[0].redone, true); /* nothing is known of the first one */
        assert_int_equal(r->result[1].redone, v & 1);
        assert_int_equal(r->result[2].skipped, (v & 2) != 0);
        if (!(v & 1)) /* else the predictions are far above */
            assert_true(r->result[TOY_OUTLIERS_AT].escapes > 0);
        for (int k = 1; k < STEPS; k++)
            assert_false(mu_hash_equal(r->hash[k], r->hash[k + 1]));
    }
}

static void survivors_end_with_the_same_bits(void **state)
{
    uint64_t first = number_from("MUSTER_TEST_FIRST", 0);
    uint64_t count = number_from("MUSTER_TEST_COUNT", SCHEDULES), began_ns = mu_clock_ns();

    (void)state;
    for (number = first; number < first + count; number++) {
        struct schedule s = draw_schedule();

        run(&s);
        check(&s);
        clean_up(&s);
    }
    print_message("%llu schedules, %.0f a second: %llu deaths, %llu repairs by a rank, %llu "
                  "survivors, %llu times one alone, %llu buckets in shards; %llu times with the "
                  "state in parts, of which one was lost %llu times\n",
                  (unsigned long long)count,
                  1e9 * (double)count / (double)(mu_clock_ns() - began_ns),
                  (unsigned long long)tally.deaths, (unsigned long long)tally.repairs,
                  (unsigned long long)tally.survivors, (unsigned long long)tally.alone,
                  (unsigned long long)begun_in_shards, (unsigned long long)tally.divided,
                  (unsigned long long)tally.lost);
    if (count >= SCHEDULES)
        assert_true(tally.deaths > count / 2 && tally.alone > 0 && tally.divided > tally.lost &&
                    begun_in_shards > count);
}

/* A share each: together the state once, for the hash without pads, and for a copy on each machine
 * with those inside; and a byte each for what they agree on. */
static void a_state_in_parts_is_downloaded_once(void **state)
{
    struct schedule s = {
        .settings = toy_settings(STEPS), .machines = 2, .looks = 1u << 2 | 1u << STEPS};
    uint64_t elements = 0, in_chunks = 0;

    (void)state;
    for (uint32_t c = 0; c < layout.chunk_count; c++)
        in_chunks += layout.chunks[c].count;
    s.settings.device_collective = MU_COLLECTIVE_NCCL;
    s.settings.optim_shard = MU_SWITCH_ON;
    for (uint32_t i = 0; i < sizeof specs / sizeof *specs; i++)
        elements += specs[i].rows * specs[i].cols;
    for (uint32_t i = 0; i < MOST_RANKS; i++) {
        s.host[i] = i;
        s.fate[i].kind = FAKE_KINDS;
    }
    for (s.size = 2; s.size <= MOST_RANKS; s.size++) {
        const uint64_t agreed = s.size;
        uint64_t to_hash = 0, to_copy = 0;

        s.hosts = s.size;
        number = UINT32_MAX;
        run(&s);
        check(&s);
        for (uint32_t i = 0; i < s.size; i++) {
            to_hash += rank[i].downloaded_to_hash;
            to_copy += rank[i].downloaded_to_copy;
        }
        assert_int_equal(to_hash, 2 * (12 * elements + agreed));
        assert_int_equal(to_copy, STEPS * (s.machines * 12 * in_chunks + agreed));
        clean_up(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_undisturbed_run_has_what_is_to_be_survived),
        cmocka_unit_test(a_state_in_parts_is_downloaded_once),
        cmocka_unit_test(survivors_end_with_the_same_bits),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
