/* A sweep that is under way, for tests of how it is shown. Include after cmocka.h. */
#ifndef MUSTER_TESTS_SWEEP_SHOW_H
#define MUSTER_TESTS_SWEEP_SHOW_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/sweep_run/state.h"

enum { TRIALS = 8 };

static struct mu_sweep_spec spec;
static struct mu_settings base;
static struct mu_sweep_stages stages;
static struct mu_sweep_trial trial[TRIALS];
static struct mu_cell cell[TRIALS];
static struct mu_sweep_span span[4];
static struct mu_sweep_state sweep;

static inline void set_trial(uint32_t i, const char *name, double size, double budget,
                             enum mu_cell_phase phase, int64_t step)
{
    trial[i] = (struct mu_sweep_trial){.role = MU_SWEEP_CELL,
                                       .size = size,
                                       .budget = budget,
                                       .n = 1000 * size,
                                       .tokens = budget / 6000 / size,
                                       .flops = budget,
                                       .trunk = MU_TRIAL_ALONE};
    snprintf(trial[i].name, sizeof trial[i].name, "%s", name);
    trial[i].settings.run_steps = 400;
    cell[i] = (struct mu_cell){.phase = phase,
                               .host = UINT32_MAX,
                               .step = step,
                               .train_loss = NAN,
                               .valid_loss = NAN,
                               .valid_bits_per_byte = NAN,
                               .tokens_per_s = NAN,
                               .wanted = NAN};
}

static inline void train(uint32_t i, uint32_t workers, double loss, double tokens_per_s,
                         double wanted)
{
    cell[i].workers = workers;
    cell[i].train_loss = loss;
    cell[i].tokens_per_s = tokens_per_s;
    cell[i].wanted = wanted;
}

/* Two train, one moves, one waits, one is ready; complete, diverged and failed ones have ended. */
static inline int begin(void **state)
{
    (void)state;
    memset(&spec, 0, sizeof spec);
    memset(&stages, 0, sizeof stages);
    strcpy(spec.name, "toy");
    strcpy(spec.size_key, "model.width");
    spec.kind = MU_SWEEP_ISOFLOP;
    spec.budgets = (struct mu_sweep_numbers){3, {1e11, 3e11, 1e12}};
    spec.laws.count = 1;
    strcpy(spec.laws.item[0].key, "optim.lr");
    strcpy(spec.laws.item[0].value, "tune");
    set_trial(0, "width16-c1e+11-s1", 16, 1e11, MU_CELL_COMPLETE, 400);
    cell[0].train_loss = 2.25;
    cell[0].valid_loss = 2.5;
    set_trial(1, "width24-c1e+11-s1", 24, 1e11, MU_CELL_DIVERGED, 37);
    strcpy(cell[1].message, "the loss is nan at step 37");
    set_trial(2, "width32-c1e+11-s1", 32, 1e11, MU_CELL_FAILED, 0);
    cell[2].retries = 2;
    strcpy(cell[2].message, "no data");
    set_trial(3, "width16-c3e+11-s1", 16, 3e11, MU_CELL_TRAINS, 120);
    train(3, 2, 2.34561, 48123, 31.2);
    set_trial(4, "width24-c3e+11-s1", 24, 3e11, MU_CELL_TRAINS, 0);
    cell[4].workers = 1;
    set_trial(5, "width32-c3e+11-s1", 32, 3e11, MU_CELL_MOVES, 399);
    train(5, 1, 3, 1960, 4000);
    cell[5].retries = 1;
    set_trial(6, "width16-c1e+12-s1", 16, 1e12, MU_CELL_READY, 0);
    set_trial(7, "width24-c1e+12-s1", 24, 1e12, MU_CELL_WAITS, 0);
    stages.trials = (struct mu_sweep_trials){.item = trial, .count = TRIALS};
    stages.tuned = (struct mu_sweep_tuned){
        .known = true, .cells = 2, .coefficient = 0.0312, .exponent = -0.25};
    stages.tuned.cell[0].is_bracketed = true;
    stages.window[0] = (struct mu_sweep_window){
        .bracket = MU_SWEEP_BRACKET_LEFT, .extended = 1, .best_size = 16, .best_loss = 2.5};
    span[0] = (struct mu_sweep_span){.trial = 0, .from = 0, .to = 20};
    span[1] = (struct mu_sweep_span){.trial = 1, .from = 5, .to = 75};
    span[2] = (struct mu_sweep_span){.trial = 3, .from = 20, .to = NAN};
    span[3] = (struct mu_sweep_span){.trial = 0, .from = 20, .to = 61};
    sweep = (struct mu_sweep_state){.path = "runs/toy",
                                    .spec = &spec,
                                    .base = &base,
                                    .stages = &stages,
                                    .cell = cell,
                                    .capacity = TRIALS,
                                    .span = span,
                                    .spans = 4,
                                    .start = 2,
                                    .began = 1.79e9,
                                    .now = 725,
                                    .ranks = 6,
                                    .busy = 4,
                                    .dead = 2,
                                    .eta = 3723};
    sweep.goodput.us[MU_LEDGER_COMPUTE] = 900000000;
    sweep.goodput.us[MU_LEDGER_IDLE] = 100000000;
    return 0;
}

/* What is said of its budgets. */
#define BUDGETS                                                                                \
    "budget   1e11    3/3 cells  minimum bracketed? no: smaller sizes wanted; best 2.5000 at " \
    "size "                                                                                    \
    "16; extended once\n"                                                                      \
    "budget   3e11    0/3 cells  minimum bracketed? not known yet\n"                           \
    "budget   1e12    0/2 cells  minimum bracketed? not known yet\n"

#endif
