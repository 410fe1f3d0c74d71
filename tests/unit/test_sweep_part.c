/* orchestrator/sweep/part.h: whose each trial is; and masters of parts (sweep_run/master.h) that
 * hear of each other's results in any order: together they do what one of the whole sweep does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/sweep_run/master.h"
#include "tests/support/seed.h"
#include "tests/support/sweep_world.h"

static void a_part_is_a_number_of_a_number(void **unused)
{
    static const struct {
        const char *text;
        bool is_one;
        struct mu_sweep_part part;
    } cases[] = {
        {"0/1", true, {0, 1}},
        {"2/4", true, {2, 4}},
        {"999/1000", true, {999, 1000}},
        {"4/4", false, {0, 0}},
        {"5/4", false, {0, 0}},
        {"0/0", false, {0, 0}},
        {"", false, {0, 0}},
        {"/", false, {0, 0}},
        {"1/", false, {0, 0}},
        {"/2", false, {0, 0}},
        {"-1/2", false, {0, 0}},
        {"1/-2", false, {0, 0}},
        {" 1/2", false, {0, 0}},
        {"1 /2", false, {0, 0}},
        {"1/ 2", false, {0, 0}},
        {"1/2 ", false, {0, 0}},
        {"1/2/3", false, {0, 0}},
        {"1", false, {0, 0}},
        {"0/1001", false, {0, 0}},
        {"a/b", false, {0, 0}},
        {"4294967296/4294967297", false, {0, 0}},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_sweep_part part;

        if (mu_sweep_part_parse(cases[i].text, &part) != cases[i].is_one)
            fail_msg("'%s' is %s", cases[i].text, cases[i].is_one ? "one" : "none");
        if (!cases[i].is_one)
            continue;
        assert_true(mu_sweep_part_equal(part, cases[i].part));
        assert_string_equal(mu_sweep_part_print(part).text, cases[i].text);
    }
}

/* ---- whose they are ---- */
static uint32_t owner[MOST];

static void deal(uint32_t of)
{
    memset(owner, 0xff, sizeof owner);
    assert_int_equal(mu_sweep_part_owners(&spec, &stages.trials, of, owner), MU_OK);
    for (uint32_t i = 0; i < stages.trials.count; i++)
        assert_true(owner[i] < of);
}

static void a_branch_stays_with_its_trunk(void **unused)
{
    uint32_t branches = 0;

    (void)unused;
    open_sweep(SIZES "budgets = [1e10, 3e10, 1e11]; window = { points = 5; each_side = 1; };"
                     "share_trunk = true; controls = { trunk_tax = [16e3]; };"
                     "repeats = ( { budget = 3e10; seeds = 2; } );");
    for (uint32_t of = 1; of < 9; of++) {
        deal(of);
        for (uint32_t i = 0; i < stages.trials.count; i++) {
            const struct mu_sweep_trial *t = &stages.trials.item[i];

            branches += t->shared > 0;
            if (t->shared > 0)
                assert_int_equal(owner[i], owner[t->trunk]);
        }
    }
    assert_true(branches > 8);
}

/* The parts differ by no more than the largest unit, which is a trial here. */
static void parts_have_much_the_same_to_do(void **unused)
{
    (void)unused;
    open_sweep(SIZES TUNED
               "budgets = [1e10, 3e10, 1e11]; window = { points = 5; each_side = 1; };");
    for (uint32_t of = 1; of < 6; of++) {
        double load[8] = {0}, largest = 0;

        deal(of);
        for (uint32_t i = 0; i < stages.trials.count; i++) {
            load[owner[i]] += stages.trials.item[i].flops;
            largest = fmax(largest, stages.trials.item[i].flops);
        }
        for (uint32_t a = 0; a < of; a++)
            for (uint32_t b = 0; b < of; b++)
                assert_true(load[a] - load[b] <= largest * (1 + 1e-12));
    }
}

/* Also when budgets are extended in another order: of two lists with the same trials. */
static void whose_it_is_does_not_hang_on_the_order_of_results(void **unused)
{
    static uint32_t before[MOST];
    static char name[MOST][sizeof stages.trials.item->name];
    uint32_t count = 0, extended = 0;

    (void)unused;
    world.optimum = 128e3;
    for (int reversed = 0; reversed < 2; reversed++) {
        open_sweep(SIZES "budgets = [1e10, 3e10]; window = { points = 3; each_side = 1; };");
        if (reversed == 0) {
            run_all();
            deal(3);
            count = stages.trials.count;
            for (uint32_t i = 0; i < count; i++) {
                before[i] = owner[i];
                memcpy(name[i], stages.trials.item[i].name, sizeof name[i]);
            }
        } else { /* the second budget's results come first */
            for (int round = 0; round < 8; round++) {
                for (uint32_t i = 0; i < stages.trials.count; i++)
                    if (stages.trials.item[i].budget == 3e10)
                        result[i] = result_of(&stages.trials.item[i]);
                advance();
            }
            run_all();
            deal(3);
            assert_int_equal(stages.trials.count, count);
            for (uint32_t i = 0; i < count; i++)
                for (uint32_t j = 0; j < count; j++)
                    if (strcmp(stages.trials.item[i].name, name[j]) == 0) {
                        extended += i != j;
                        assert_int_equal(owner[i], before[j]);
                    }
        }
        mu_sweep_stages_deinit(&stages);
    }
    assert_true(extended > 0); /* the lists do differ */
}

static void a_plan_is_of_one_file(void **unused)
{
    struct mu_hash_text one, same, other;

    (void)unused;
    open_sweep(SIZES TUNED "budgets = [1e10]; window = { points = 3; each_side = 1; };");
    assert_int_equal(mu_sweep_part_plan(&spec, &base, "t", &one), MU_OK);
    assert_int_equal(mu_sweep_part_plan(&spec, &base, "t", &same), MU_OK);
    assert_string_equal(one.text, same.text);
    mu_sweep_stages_deinit(&stages);
    open_sweep(SIZES TUNED "budgets = [1.1e10]; window = { points = 3; each_side = 1; };");
    assert_int_equal(mu_sweep_part_plan(&spec, &base, "t", &other), MU_OK);
    assert_string_not_equal(one.text, other.text);
}

/* ---- masters ---- */
enum { PARTS = 5, RANKS = 2 };

static struct mu_sweep_master m[PARTS];
static struct {
    char name[128];
    struct mu_cell cell;
    uint32_t ends; /* how often somebody brought it to its end */
} done[MOST];
static uint32_t dones;
static uint64_t number;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(mu_rng_uniform(mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, number++).w[0]) * n);
}

static void begin_master(uint32_t k, uint32_t of)
{
    static const int names[RANKS] = {0, 1};
    static const uint32_t one_host[RANKS];
    struct mu_sweep_stages own;

    assert_int_equal(mu_sweep_stages_init(&own, &spec, &base, "t"), MU_OK);
    assert_int_equal(mu_sweep_master_init(&m[k], "runs/t", &own, names, one_host, RANKS, 100),
                     MU_OK);
    m[k].state.part = (struct mu_sweep_part){k, of};
    mu_sweep_master_advance(&m[k]);
    assert_int_equal(m[k].status, MU_OK);
}

static uint32_t find_done(const char *name)
{
    uint32_t i = 0;

    while (i < dones && strcmp(done[i].name, name) != 0)
        i++;
    return i;
}

/* What it has ended, for the others. */
static void publish(struct mu_sweep_master *one)
{
    for (uint32_t n = 0; n < one->news_count; n++) {
        const uint32_t trial = one->news[n].trial;
        const char *name = one->stages.trials.item[trial].name;
        const uint32_t at = find_done(name);

        if (one->news[n].kind != MU_SWEEP_NEWS_END)
            continue;
        assert_int_equal(one->side[trial].owner, one->state.part.number);
        assert_true(at < MOST);
        dones += at == dones;
        snprintf(done[at].name, sizeof done[at].name, "%s", name);
        done[at].cell = one->state.cell[trial];
        done[at].ends++;
    }
    one->news_count = 0;
}

static void look(struct mu_sweep_master *one)
{
    for (uint32_t i = 0; i < one->known; i++) {
        const uint32_t at = find_done(one->stages.trials.item[i].name);
        const bool was_open = one->state.cell[i].phase == MU_CELL_ELSEWHERE;

        if (at < dones && one->state.cell[i].is_elsewhere)
            assert_int_equal(mu_sweep_master_hear_elsewhere(one, i, &done[at].cell), was_open);
    }
}

static void end_some_group(struct mu_sweep_master *one)
{
    const uint64_t group = mu_sweep_master_member(one, (int)below(RANKS))->group;
    const struct mu_sweep_group *g = mu_sweep_master_group(one, group);
    struct mu_trial_outcome o = {.leads = true, .valid_bits_per_byte = NAN};
    const struct mu_sweep_trial *t;
    struct mu_sweep_result r;

    if (!g || group == 0)
        return;
    t = &one->stages.trials.item[g->trial];
    r = result_of(t);
    assert_false(one->state.cell[g->trial].is_elsewhere);
    o.end = r.kind == MU_SWEEP_RESULT_LOSS ? MU_TRIAL_COMPLETE : MU_TRIAL_DIVERGED;
    o.train_loss = o.valid_loss = r.loss;
    o.step = t->settings.run_steps;
    mu_sweep_master_hear_outcome(one, group, &o);
    for (int rank = 0; rank < RANKS; rank++)
        if (mu_sweep_master_member(one, rank)->group == group)
            mu_sweep_master_hear_ready(one, rank, group);
}

/* One turn of a part that has been chosen by chance. */
static void turn(struct mu_sweep_master *one)
{
    if (below(3) == 0)
        look(one);
    one->state.now += 2;
    mu_sweep_master_advance(one);
    mu_sweep_master_decide(one);
    assert_int_equal(one->status, MU_OK);
    publish(one);
    end_some_group(one);
    publish(one);
}

/* All until none has anything to do or to wait for. */
static void run_parts(uint32_t of)
{
    uint32_t over;

    dones = 0;
    memset(done, 0, sizeof done);
    for (uint32_t k = 0; k < of; k++) {
        begin_master(k, of);
        for (int rank = 0; rank < RANKS; rank++)
            mu_sweep_master_hear_ready(&m[k], rank, 0);
    }
    for (int turns = 0; turns < 20000; turns++) {
        const uint32_t k = below(of);

        if (!mu_sweep_master_is_over(&m[k]))
            turn(&m[k]);
        over = 0;
        for (uint32_t i = 0; i < of; i++)
            over += mu_sweep_master_is_over(&m[i]);
        if (over == of)
            return;
    }
    fail_msg("%u parts do not end (seed %llu)", of, (unsigned long long)seed);
}

static void end_parts(uint32_t of)
{
    for (uint32_t k = 0; k < of; k++)
        mu_sweep_master_deinit(&m[k]);
}

static void parts_do_what_the_whole_does(void **unused)
{
    static const char *const sweeps[] = {
        SIZES "budgets = [1e10, 3e10, 1e11]; window = { points = 3; each_side = 1; };"
              "share_trunk = true; controls = { trunk_tax = [16e3]; };",
        SIZES TUNED "budgets = [1e10, 3e10]; window = { points = 3; each_side = 1; };",
        SIZES TUNED "budgets = [1e10]; window = { points = 3; each_side = 1; extend = 0; };",
    };

    (void)unused;
    world.optimum = 128e3;
    world.size_diverges_above = 200e3;
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++)
        for (uint32_t round = 0; round < 12; round++) {
            const uint32_t of = 1 + round % PARTS;

            open_sweep(sweeps[i]);
            run_all();
            run_parts(of);
            assert_int_equal(dones, stages.trials.count);
            for (uint32_t j = 0; j < stages.trials.count; j++) {
                const uint32_t at = find_done(stages.trials.item[j].name);

                assert_true(at < dones);
                assert_int_equal(done[at].ends, 1);
            }
            end_parts(of);
            mu_sweep_stages_deinit(&stages);
        }
    open_sweep(sweeps[0]);
}

/* It cannot know yet whether there will be more: it waits, and is not over. Nor is it over when it
 * stops then. */
static void a_part_that_has_nothing_to_do_waits_for_the_others(void **unused)
{
    (void)unused;
    open_sweep(SIZES TUNED
               "budgets = [1e10]; window = { points = 3; each_side = 1; extend = 0; };");
    dones = 0;
    memset(done, 0, sizeof done);
    for (uint32_t k = 0; k < 2; k++) {
        begin_master(k, 2);
        for (int rank = 0; rank < RANKS; rank++)
            mu_sweep_master_hear_ready(&m[k], rank, 0);
    }
    for (int i = 0; i < 200; i++)
        turn(&m[0]);
    assert_true(mu_sweep_master_waits(&m[0]));
    assert_false(mu_sweep_master_is_over(&m[0]));
    assert_false(mu_sweep_master_is_done(&m[0]));
    assert_false(mu_sweep_master_waits(&m[1]));
    m[0].stops = true;
    assert_true(mu_sweep_master_is_over(&m[0]));
    assert_false(mu_sweep_master_is_done(&m[0]));
    m[0].stops = false;
    for (int i = 0; i < 2000; i++)
        turn(&m[i % 2]);
    for (uint32_t k = 0; k < 2; k++) {
        assert_true(mu_sweep_master_is_done(&m[k]));
        assert_false(mu_sweep_master_waits(&m[k]));
    }
    end_parts(2);
}

/* A result stands; that it failed may be taken back by who has tried it again. */
static void what_failed_elsewhere_may_come_yet(void **unused)
{
    struct mu_cell c = mu_cell_new(MU_CELL_FAILED);
    uint32_t trial = 0;

    (void)unused;
    open_sweep(SIZES "budgets = [1e10]; window = { points = 3; each_side = 1; };");
    begin_master(0, 2);
    while (!m[0].state.cell[trial].is_elsewhere)
        trial++;
    assert_int_equal(m[0].state.cell[trial].phase, MU_CELL_ELSEWHERE);
    assert_true(mu_sweep_master_hear_elsewhere(&m[0], trial, &c));
    assert_false(mu_sweep_master_hear_elsewhere(&m[0], trial, &c));
    c.phase = MU_CELL_READY;
    assert_false(mu_sweep_master_hear_elsewhere(&m[0], trial, &c));
    c.phase = MU_CELL_COMPLETE;
    assert_true(mu_sweep_master_hear_elsewhere(&m[0], trial, &c));
    c.phase = MU_CELL_FAILED;
    assert_false(mu_sweep_master_hear_elsewhere(&m[0], trial, &c));
    assert_int_equal(m[0].state.cell[trial].phase, MU_CELL_COMPLETE);
    trial = 0;
    while (m[0].state.cell[trial].is_elsewhere)
        trial++;
    assert_false(mu_sweep_master_hear_elsewhere(&m[0], trial, &c)); /* its own */
    end_parts(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_a_number_of_a_number),
        cmocka_unit_test_setup_teardown(a_branch_stays_with_its_trunk, begin, end),
        cmocka_unit_test_setup_teardown(parts_have_much_the_same_to_do, begin, end),
        cmocka_unit_test_setup(whose_it_is_does_not_hang_on_the_order_of_results, begin),
        cmocka_unit_test_setup_teardown(a_plan_is_of_one_file, begin, end),
        cmocka_unit_test_setup_teardown(parts_do_what_the_whole_does, begin, end),
        cmocka_unit_test_setup_teardown(a_part_that_has_nothing_to_do_waits_for_the_others, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_failed_elsewhere_may_come_yet, begin, end),
    };

    mu_log_set_level(MU_LOG_SILENT);

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
