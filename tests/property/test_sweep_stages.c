/* Stages of a sweep: whatever order results come in, how many at a time, and how often the sweep is
 * begun again with what it has, the trials are the same in the end, with the same settings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "tests/support/seed.h"
#include "tests/support/sweep_world.h"

static uint64_t draws;

static uint64_t below(uint64_t n)
{
    const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draws++);

    return mu_rng_below(n, x.w[0], x.w[1]);
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct mu_sweep_trial *)a)->name,
                  ((const struct mu_sweep_trial *)b)->name);
}

/* By name, with names in the place of indices. */
struct outcome {
    struct mu_sweep_trial *item;
    char (*trunk)[128];
    uint32_t count;
    struct mu_sweep_tuned tuned;
    struct mu_sweep_window window[MU_SWEEP_LIST];
};

static struct outcome take_outcome(void)
{
    struct outcome o = {.count = stages.trials.count, .tuned = stages.tuned};

    o.item = calloc(o.count, sizeof *o.item);
    o.trunk = calloc(o.count, sizeof *o.trunk);
    assert_true(o.item && o.trunk);
    memcpy(o.window, stages.window, sizeof o.window);
    memcpy(o.item, stages.trials.item, o.count * sizeof *o.item);
    qsort(o.item, o.count, sizeof *o.item, compare);
    for (uint32_t i = 0; i < o.count; i++) {
        if (o.item[i].trunk != MU_TRIAL_ALONE)
            strcpy(o.trunk[i], stages.trials.item[o.item[i].trunk].name);
        o.item[i].trunk = 0;
    }
    return o;
}

static void free_outcome(struct outcome *o)
{
    free(o->item);
    free(o->trunk);
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct mu_sweep_trial *x = &a->item[i], *y = &b->item[i];

        assert_string_equal(x->name, y->name);
        assert_string_equal(a->trunk[i], b->trunk[i]);
        assert_memory_equal(&x->settings, &y->settings, sizeof x->settings);
        assert_true(x->shared == y->shared && x->extension == y->extension && x->role == y->role &&
                    x->tokens == y->tokens && x->flops == y->flops);
        assert_true(i == 0 || strcmp(x->name, a->item[i - 1].name) != 0);
    }
    assert_true(a->tuned.coefficient == b->tuned.coefficient &&
                a->tuned.exponent == b->tuned.exponent);
    for (uint32_t i = 0; i < MU_SWEEP_LIST; i++)
        assert_true(a->window[i].bracket == b->window[i].bracket &&
                    a->window[i].extended == b->window[i].extended &&
                    a->window[i].is_exhausted == b->window[i].is_exhausted);
}

/* The sweep is begun again; what had ended is found again by its name, some of it late. */
static void begin_again(void)
{
    const uint32_t known = stages.trials.count;
    char(*name)[128] = calloc(known, sizeof *name);

    assert_non_null(name);
    for (uint32_t i = 0; i < known; i++)
        if (result[i].kind != MU_SWEEP_RESULT_NONE)
            strcpy(name[i], stages.trials.item[i].name);
    mu_sweep_stages_deinit(&stages);
    assert_int_equal(mu_sweep_stages_init(&stages, &spec, &base, "sweep.cfg"), MU_OK);
    memset(result, 0, sizeof result);
    do {
        for (uint32_t i = 0; i < stages.trials.count; i++)
            for (uint32_t j = 0; j < known; j++)
                if (strcmp(name[j], stages.trials.item[i].name) == 0)
                    result[i] = result_of(&stages.trials.item[i]);
    } while (advance() > 0);
    for (uint32_t j = 0; j < known; j++) { /* nothing that had ended is unknown now */
        bool found = !name[j][0];

        for (uint32_t i = 0; i < stages.trials.count; i++)
            found |= strcmp(name[j], stages.trials.item[i].name) == 0;
        assert_true(found);
    }
    free(name);
}

/* Some results at a time, of trials drawn at random. */
static void run_in_any_order(void)
{
    for (bool more = true; more;) {
        const uint64_t at_once = 1 + below(4);

        more = false;
        for (uint64_t k = 0; k < at_once; k++) {
            const uint32_t from = (uint32_t)below(stages.trials.count);

            for (uint32_t j = 0; j < stages.trials.count; j++) {
                const uint32_t i = (from + j) % stages.trials.count;

                if (result[i].kind == MU_SWEEP_RESULT_NONE) {
                    result[i] = result_of(&stages.trials.item[i]);
                    more = true;
                    break;
                }
            }
        }
        more |= advance() > 0;
        if (below(20) == 0)
            begin_again();
    }
    assert_true(stages.complete);
}

static void draw_world(void)
{
    static const char *const missing[] = {NULL, "params16000-", "params32000-c3.072e+10-s6",
                                          "tune-params4000-c1e+10-s1000-f1"};

    world.optimum = 1e3 * exp2((double)below(10));
    world.lr_at_one = 1e-3 * exp2((double)below(4));
    world.lr_power = -0.1 * (double)below(4);
    world.diverges_above = below(3) ? INFINITY : 4e-3;
    world.size_diverges_above = below(3) ? INFINITY : 100e3;
    world.missing = missing[below(4)];
}

static void any_order_ends_with_the_same_trials(void **unused)
{
    static const char *const sweeps[] = {
        SIZES "budgets = [3.072e10, 1.2288e11, 4.9152e11]; share_trunk = true;"
              "repeats = ( { budget = 3.072e10; seeds = 2; } );",
        SIZES TUNED "budgets = [3.072e10, 1.2288e11]; share_trunk = true;"
                    "window = { points = 3; each_side = 1; extend = 5; };",
        "kind = \"ladder\"; multiples = [10, 20];"
        "sizes = { key = \"synthetic.params\"; values = [4e3, 8e3, 64e3]; };" TUNED,
    };

    (void)unused;
    for (uint32_t k = 0; k < 60; k++) {
        struct outcome once, other;

        draw_world();
        open_sweep(sweeps[k % 3]);
        run_all();
        once = take_outcome();
        mu_sweep_stages_deinit(&stages);
        open_sweep(sweeps[k % 3]);
        run_in_any_order();
        other = take_outcome();
        mu_sweep_stages_deinit(&stages);
        expect_same(&once, &other);
        free_outcome(&once);
        free_outcome(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(any_order_ends_with_the_same_trials, begin),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
