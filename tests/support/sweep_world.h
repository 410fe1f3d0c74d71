/* A sweep whose losses are a law of the test's own, of what a trial's settings say. Include after
 * cmocka.h. */
#ifndef MUSTER_TESTS_SWEEP_WORLD_H
#define MUSTER_TESTS_SWEEP_WORLD_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep/stages.h"

/* N = synthetic.params, C = 6 N D; a batch of 64 sequences of 128 tokens. */
#define RUN                                                                \
    "run = { steps = 100; seed = 5; }; model = { kind = \"synthetic\"; };" \
    "batch = { sequences = 64; shards = 8; };"
#define SIZES                                                                                \
    "sizes = { key = \"synthetic.params\"; values = [1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 64e3, " \
    "128e3, "                                                                                \
    "256e3, 512e3]; };"
#define TUNED                                                                               \
    "laws = ( { key = \"optim.lr\"; value = \"tune\"; } );"                                 \
    "tune = { cells = ( { size = 4e3; budget = 1e10; }, { size = 64e3; budget = 1e11; } );" \
    "factors = [0.25, 0.5, 1, 2, 4]; };"

enum { MOST = 2000, LINES = 8 };

static struct mu_sweep_spec spec;
static struct mu_settings base;
static struct mu_sweep_stages stages;
static struct mu_sweep_result result[MOST];
static char warned[LINES][400];
static uint32_t warnings;

static struct {
    double optimum;             /* N of the least loss, at every budget */
    double lr_at_one, lr_power; /* the best rate is lr_at_one N^lr_power */
    double diverges_above;      /* rate */
    double size_diverges_above; /* N */
    const char *missing;        /* name */
} world;

static inline struct mu_sweep_result result_of(const struct mu_sweep_trial *t)
{
    const double off = log(t->n / world.optimum),
                 rate = log(t->settings.optim_lr / world.lr_at_one) - world.lr_power * log(t->n);

    if (world.missing && strncmp(t->name, world.missing, strlen(world.missing)) == 0)
        return (struct mu_sweep_result){MU_SWEEP_RESULT_MISSING, NAN};
    if (t->settings.optim_lr > world.diverges_above || t->n > world.size_diverges_above)
        return (struct mu_sweep_result){MU_SWEEP_RESULT_DIVERGED, NAN};
    return (struct mu_sweep_result){MU_SWEEP_RESULT_LOSS, 3 + 0.02 * off * off +
                                                              0.05 * rate * rate +
                                                              1e-4 * (double)t->settings.run_seed};
}

static void hear(void *context, const char *line)
{
    assert_ptr_equal(context, warned);
    if (warnings < LINES)
        snprintf(warned[warnings], sizeof warned[0], "%s", line);
    warnings++;
}

static inline uint32_t advance(void)
{
    uint32_t added = UINT32_MAX;

    assert_int_equal(mu_sweep_stages_advance(&stages, result, &added, hear, warned), MU_OK);
    assert_true(stages.trials.count < MOST);
    return added;
}

/* All that have none get their results, until nothing more comes: how often something was added. */
static inline uint32_t run_all(void)
{
    uint32_t rounds = 0;

    do {
        for (uint32_t i = 0; i < stages.trials.count; i++)
            result[i] = result_of(&stages.trials.item[i]);
    } while (advance() > 0 && ++rounds);
    return rounds;
}

static inline enum mu_status init_of(const char *sweep)
{
    char text[4096];
    struct mu_config_source source = {.text = text, .text_name = "sweep.cfg"};

    snprintf(text, sizeof text, "%s sweep = { %s };", RUN, sweep);
    source.text_size = strlen(text);
    assert_int_equal(mu_sweep_read(&source, &base, &spec), MU_OK);
    return mu_sweep_stages_init(&stages, &spec, &base, "sweep.cfg");
}

static inline void open_sweep(const char *sweep)
{
    assert_int_equal(init_of(sweep), MU_OK);
    memset(result, 0, sizeof result);
    warnings = 0;
}

static inline int begin(void **unused)
{
    (void)unused;
    world.optimum = 16e3;
    world.lr_at_one = 1e-3;
    world.lr_power = 0;
    world.diverges_above = world.size_diverges_above = INFINITY;
    world.missing = NULL;
    return 0;
}

static inline int end(void **unused)
{
    (void)unused;
    mu_sweep_stages_deinit(&stages);
    return 0;
}

#endif
