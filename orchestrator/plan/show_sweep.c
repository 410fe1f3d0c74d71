/* A sweep's plan for people: a table of its trials, and what they take together. */
#include "orchestrator/plan/show_sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/log.h"
#include "orchestrator/plan/advice.h"
#include "orchestrator/plan/sweep_estimate.h"
#include "orchestrator/sweep/windows.h"

/* Trials that a line stands for: seeds of a cell, factors of what is tuned. */
static uint32_t alike(const struct mu_sweep_trials *t, uint32_t from)
{
    const struct mu_sweep_trial *first = &t->item[from];
    uint32_t to = from + 1;

    while (to < t->count && first->size > 0 && t->item[to].role == first->role &&
           t->item[to].size == first->size && t->item[to].budget == first->budget &&
           t->item[to].multiple == first->multiple)
        to++;
    return to - from;
}

/* "width16-c1e+11" of "width16-c1e+11-s1": without the seed, and what follows it. */
static int name_length(const struct mu_sweep_trial *t, uint32_t runs)
{
    const char *end = t->name + strlen(t->name);

    while (runs > 1 && end > t->name && strncmp(end, "-s", 2) != 0)
        end--;
    return (int)(end - t->name);
}

/* Where all of a line's runs have one, and it is known before the sweep. */
static const char *rate(const struct mu_sweep_spec *spec, const struct mu_sweep_trial *first,
                        uint32_t runs, char text[16])
{
    const struct mu_sweep_law *tuned = mu_sweep_tuned(spec);

    if (tuned && first->role != MU_SWEEP_TUNE && strcmp(tuned->key, "optim.lr") == 0)
        return "tuned";
    snprintf(text, 16, "%.3g", first->settings.optim_lr);
    for (uint32_t i = 1; i < runs; i++)
        if (first[i].settings.optim_lr != first->settings.optim_lr)
            return "varies";
    return text;
}

/* Part of the steps that trunks of others have done. */
static double shared_part(const struct mu_sweep_trial *first, uint32_t runs)
{
    double part = 0;

    for (uint32_t i = 0; i < runs; i++)
        part += (double)first[i].shared / (double)first[i].settings.run_steps / runs;
    return part;
}

static int widest(const struct mu_sweep_trials *t, bool all)
{
    int most = 6;

    for (uint32_t i = 0, runs; i < t->count; i += runs) {
        runs = all ? 1 : alike(t, i);
        if (name_length(&t->item[i], runs) > most)
            most = name_length(&t->item[i], runs);
    }
    return most;
}

/* all: a line for each trial. Where no data is read epochs are a dash. */
static void print_trials(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *t,
                         double train_tokens, bool all)
{
    const int width = widest(t, all);
    uint32_t runs;

    printf("%-*s %4s %8s %8s %5s %6s %7s %7s %7s %8s %8s %6s\n", width, "trials", "runs", "N",
           "tokens", "D/N", "epochs", "steps", "batch", "warm-up", "lr", "FLOPs", "shared");
    for (uint32_t i = 0; i < t->count; i += runs) {
        const struct mu_sweep_trial *one = &t->item[i];
        const struct mu_settings *s = &one->settings;
        char epochs[16] = "-", lr[16];

        runs = all ? 1 : alike(t, i);
        if (train_tokens > 0)
            snprintf(epochs, sizeof epochs, "%.2g", one->tokens / train_tokens);
        if (i > 0 && (one->role != one[-1].role ||
                      (one->role == MU_SWEEP_CELL && one->budget != one[-1].budget)))
            putchar('\n');
        printf("%-*.*s %4u %8.3g %8.3g %5.3g %6s %7lld %7.0f %7lld %8s %8.3g %5.0f%%\n", width,
               name_length(one, runs), one->name, runs, one->n, one->tokens, one->tokens / one->n,
               epochs, (long long)s->run_steps, one->tokens_per_step, (long long)s->schedule_warmup,
               rate(spec, one, runs, lr), one->flops, 100 * shared_part(one, runs));
    }
}

static void print_roles(const struct mu_sweep_trials *t)
{
    uint32_t count[3] = {0};

    for (uint32_t i = 0; i < t->count; i++)
        count[t->item[i].role]++;
    printf("\n%u trials: %u cells, %u to tune with, %u controls\n", t->count, count[MU_SWEEP_CELL],
           count[MU_SWEEP_TUNE], count[MU_SWEEP_CONTROL]);
}

/* What windows may add; each of those runs alone. */
static enum mu_status print_extensions(const struct mu_sweep_spec *spec,
                                       const struct mu_settings *base, const char *file,
                                       const struct mu_sweep_trials *t)
{
    struct mu_sweep_window window[MU_SWEEP_LIST];
    struct mu_sweep_trials more;
    const enum mu_status st = mu_sweep_windows_reach(spec, base, file, t, 0, 0, &more, window);

    if (st == MU_OK && more.count > 0)
        printf("extensions: up to %u cells more, %.3g FLOPs, where fewer than %lld sizes lie on a "
               "side of a budget's minimum\n",
               more.count, more.flops_alone, (long long)spec->window.each_side);
    mu_sweep_trials_deinit(&more);
    return st;
}

/* Of a host that all workers share. */
static void print_memory(const struct mu_sweep_estimate *e, int64_t workers)
{
    const double has = mu_plan_shm_left();

    printf("memory: the state of the largest trial takes %s of a host's /dev/shm with one worker, "
           "%s with %lld; a trial for each of them %s; %s are free here\n",
           mu_amount_bytes(e->state_bytes).text, mu_amount_bytes(e->together_bytes).text,
           (long long)workers, mu_amount_bytes(e->apart_bytes).text, mu_amount_bytes(has).text);
    if (e->state_bytes > has)
        mu_log(MU_LOG_WARN, "the largest trial does not fit into this host's memory at all: take "
                            "smaller sizes, or another host");
    else if (fmax(e->together_bytes, e->apart_bytes) > has)
        mu_log(MU_LOG_WARN,
               "%lld workers on this host do not fit into its memory when they train the largest "
               "trials: take fewer of them here, or more hosts",
               (long long)workers);
}

static void print_costs(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *t,
                        const struct mu_sweep_estimate *e, int64_t workers)
{
    if (spec->share_trunk)
        printf("FLOPs: %.3g with trunks shared, %.2f of the %.3g that separate runs take\n",
               t->flops_shared, t->flops_shared / t->flops_alone, t->flops_alone);
    else
        printf("FLOPs: %.3g\n", t->flops_alone);
    if (t->count > 0 && t->item[0].settings.device_kind == MU_DEVICE_CUDA)
        printf("memory and time on GPUs: not known here; `muster train` counts the memory first\n");
    else
        print_memory(e, workers);
    if (e->train_tokens > 0)
        printf("data: %.3g tokens in data.train\n", e->train_tokens);
    if (isnan(e->worker_seconds))
        return;
    printf("time: %s of one worker, measured here (%.3g rank-hours); %s on %lld workers, each with "
           "trials of its own; the longest trial takes %s on one\n",
           mu_amount_duration(e->worker_seconds).text, e->worker_seconds / 3600,
           mu_amount_duration(e->wall_seconds).text, (long long)workers,
           mu_amount_duration(e->longest_seconds).text);
}

static void warn(void *context, const char *line)
{
    (void)context;
    mu_log(MU_LOG_WARN, "%s", line);
}

enum mu_status mu_plan_show_sweep(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                  const char *file, const struct mu_plan_sweep_options *options)
{
    struct mu_sweep_trials trials;
    struct mu_sweep_estimate estimate = {0};
    enum mu_status st;

    MU_TRY(mu_sweep_trials_make(spec, base, file, &trials), st, failed);
    MU_TRY(mu_sweep_estimate_make(&trials, options->measure, (uint32_t)options->workers, &estimate),
           st, done);
    if (options->json) {
        st = mu_plan_sweep_json(spec, &trials, &estimate, options->workers);
        goto done;
    }
    print_trials(spec, &trials, estimate.train_tokens, options->all);
    print_roles(&trials);
    MU_TRY(print_extensions(spec, base, file, &trials), st, done);
    print_costs(spec, &trials, &estimate, options->workers);
    fflush(stdout);
    mu_sweep_warnings(spec, &trials, &estimate, warn, NULL);
done:
    mu_sweep_estimate_deinit(&estimate);
    mu_sweep_trials_deinit(&trials);
failed:
    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_CONFIG,
                     "data.train = \"%s\": expected a token file (`muster tokenize` makes one; "
                     "scripts/quickstart fetches the text of configs/*-toy.cfg)",
                     base->data_train);
    return st;
}
