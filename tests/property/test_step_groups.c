/* R1 by groups (worker/recover.h): ranks of one communicator that work in views of it, two groups
 * of them and some that are idle, under random deaths. Each group ends with the bits of its own
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

#include "tests/support/toy_groups.h"

enum {
    VARIANTS = 4,
    SCHEDULES = 100, /* unless MUSTER_TEST_COUNT says so */
};

static struct rank undisturbed[VARIANTS];
static _Atomic uint64_t calm_repairs, disturbed;

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

static int set_up(void **state)
{
    struct schedule alone = {
        .size = 1, .group = {1}, .settings = toy_settings(STEPS), .looks = ~0u};

    (void)state;
    if (open_stage("step-groups") != 0)
        return -1;
    repair_of_rank = repair_and_look;
    alone.fate[0].kind = FAKE_KINDS;
    for (uint32_t v = 0; v < VARIANTS; v++) {
        alone.variant[1] = v;
        set_the_stage(&alone);
        run(&alone, run_rank);
        undisturbed[v] = rank[0];
        clean_up(&alone);
    }
    return 0;
}

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
        cmocka_unit_test(groups_end_with_their_own_bits),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
