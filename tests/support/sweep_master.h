/* A sweep's master (orchestrator/sweep_run/master.h) with four ranks and two or four trials, and
 * how a test lets it hear things. */
#ifndef TESTS_SUPPORT_SWEEP_MASTER_H
#define TESTS_SUPPORT_SWEEP_MASTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/sweep_run/master.h"

/* Two sizes with one or two lengths. */
#define RUN                                                      \
    "run = { steps = 100; }; model = { kind = \"synthetic\"; };" \
    "batch = { sequences = 64; shards = 8; };"                   \
    "optim = { schedule = { kind = \"wsd\"; cooldown = 0.2; }; };"
#define SWEEP(more)                                                                         \
    RUN "sweep = { name = \"t\"; kind = \"ladder\"; sizes = { key = \"synthetic.params\"; " \
        "values = [1e4, 2e4]; }; " more " };"
#define ALONE  SWEEP("multiples = [100];")
#define BRANCH SWEEP("multiples = [100, 300]; share_trunk = true;")

enum { RANKS = 4, FIRST = 100 };

static struct mu_sweep_spec spec;
static struct mu_settings base;
static struct mu_sweep_master m;
static const int names[RANKS] = {0, 1, 2, 3};
static const uint32_t one_host[RANKS];
static bool all_there; /* what mu_sweep_master.is_there says */

static inline bool is_there(void *context, uint32_t trial)
{
    (void)context;
    (void)trial;
    return all_there;
}

static inline void begin(const char *text)
{
    struct mu_sweep_stages stages;

    assert_int_equal(mu_sweep_read(&(struct mu_config_source){.text = text,
                                                              .text_size = strlen(text),
                                                              .text_name = "test"},
                                   &base, &spec),
                     MU_OK);
    assert_int_equal(mu_sweep_stages_init(&stages, &spec, &base, "test"), MU_OK);
    assert_int_equal(mu_sweep_master_init(&m, "runs/t", &stages, names, one_host, RANKS, FIRST),
                     MU_OK);
    m.is_there = is_there;
    mu_sweep_master_advance(&m);
    assert_int_equal(m.status, MU_OK);
}

static inline int end(void **state)
{
    (void)state;
    mu_sweep_master_deinit(&m);
    return 0;
}

/* Decides, and forgets the news. */
static inline void decide(void)
{
    m.state.now += 2; /* as seldom as it likes */
    mu_sweep_master_advance(&m);
    mu_sweep_master_decide(&m);
    assert_int_equal(m.status, MU_OK);
    m.news_count = 0;
}

static inline void ready(int rank)
{
    const uint64_t group = mu_sweep_master_member(&m, rank)->group;

    mu_sweep_master_hear_ready(&m, rank, group);
}

static inline uint64_t group_of(int rank)
{
    return mu_sweep_master_member(&m, rank)->group;
}

static inline uint32_t trial_of(int rank)
{
    const struct mu_sweep_group *g = mu_sweep_master_group(&m, group_of(rank));

    assert_non_null(g);
    return g->trial;
}

static inline const struct mu_cell *cell_of(uint32_t trial)
{
    return &m.state.cell[trial];
}

static inline struct mu_trial_outcome outcome(enum mu_trial_end kind, int64_t step)
{
    return (struct mu_trial_outcome){.end = kind,
                                     .leads = true,
                                     .step = step,
                                     .tokens = (uint64_t)step * 8192,
                                     .train_loss = 3,
                                     .valid_loss = 3.5,
                                     .valid_bits_per_byte = NAN,
                                     .message = "as told"};
}

/* The group of that rank ends so, and its members say so. */
static inline void end_group(int leader, enum mu_trial_end kind, int64_t step)
{
    const uint64_t group = group_of(leader);
    const struct mu_trial_outcome o = outcome(kind, step);

    assert_int_equal(mu_sweep_master_leader(&m, group), leader);
    mu_sweep_master_hear_outcome(&m, group, &o);
    for (int i = 0; i < RANKS; i++)
        if (group_of(i) == group)
            ready(i);
}

/* There is no room for it, wherever it is tried; the others are complete before it is tried
 * alone. */
static inline void end_without_memory(uint32_t trial)
{
    for (int rounds = 0; rounds < 20 && !mu_cell_has_ended(cell_of(trial)->phase); rounds++) {
        uint32_t one = trial;

        decide();
        for (uint32_t i = 0; i < m.known && cell_of(trial)->group == 0; i++)
            if (cell_of(i)->group != 0)
                one = i;
        end_group(mu_sweep_master_leader(&m, cell_of(one)->group),
                  one == trial ? MU_TRIAL_OUT_OF_MEMORY : MU_TRIAL_COMPLETE, 0);
    }
    decide();
    assert_int_equal(cell_of(trial)->phase, MU_CELL_OUT_OF_MEMORY);
}

/* The words of those that live, as the master believes them to be. */
static inline uint32_t words(struct mu_rank_word word[RANKS], const int *dead, int dead_count)
{
    uint32_t count = 0;

    for (int i = 0; i < RANKS; i++) {
        bool died = !mu_sweep_master_member(&m, i)->lives;

        for (int d = 0; d < dead_count; d++)
            died |= dead[d] == i;
        if (!died)
            word[count++] = (struct mu_rank_word){.name = i, .group = group_of(i)};
    }
    return count;
}

static inline void die(int rank)
{
    struct mu_rank_word word[RANKS];

    mu_sweep_master_hear_words(&m, word, words(word, &rank, 1));
}

/* Until nothing is left; ranks are given work and end it at once. */
static inline void finish(void)
{
    for (int rounds = 0; rounds < 50 && !mu_sweep_master_is_over(&m); rounds++) {
        m.state.now += 1;
        for (int i = 0; i < RANKS; i++) {
            const uint64_t group = group_of(i);

            if (!mu_sweep_master_member(&m, i)->lives)
                continue;
            if (group == 0)
                ready(i);
            else if (mu_sweep_master_leader(&m, group) == i)
                end_group(i, MU_TRIAL_COMPLETE, 1000);
        }
        decide();
    }
    assert_true(mu_sweep_master_is_over(&m));
}

#define TEST(f) cmocka_unit_test_teardown(f, end)

#endif
