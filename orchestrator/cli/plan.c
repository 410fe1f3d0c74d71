/* `muster plan`: what a sweep will train, and what that takes, before anything runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/sweep/estimate.h"

static void print_trials(const struct mu_sweep_trials *t)
{
    printf("%-32s %-7s %9s %9s %6s %7s %8s %7s %9s %9s %7s\n", "trial", "role", "N", "tokens",
           "D/N", "steps", "batch", "warm-up", "lr", "FLOPs", "shared");
    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_sweep_trial *one = &t->item[i];
        const struct mu_settings *s = &one->settings;

        printf("%-32s %-7s %9.3g %9.3g %6.3g %7lld %8.0f %7lld %9.3g %9.3g %6.0f%%\n", one->name,
               mu_sweep_role_word(one->role), one->n, one->tokens, one->tokens / one->n,
               (long long)s->run_steps, one->tokens_per_step, (long long)s->schedule_warmup,
               s->optim_lr, one->flops, 100.0 * (double)one->shared / (double)s->run_steps);
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

static const char *duration(double seconds, char text[32])
{
    if (seconds < 120)
        snprintf(text, 32, "%.0f s", seconds);
    else if (seconds < 7200)
        snprintf(text, 32, "%.0f min", seconds / 60);
    else
        snprintf(text, 32, "%.1f h", seconds / 3600);
    return text;
}

static void print_costs(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *t,
                        const struct mu_sweep_estimate *e, int64_t workers)
{
    char whole[32], longest[32], wall[32];

    if (spec->share_trunk)
        printf("FLOPs: %.3g with trunks shared, %.2f of the %.3g that separate runs take\n",
               t->flops_shared, t->flops_shared / t->flops_alone, t->flops_alone);
    else
        printf("FLOPs: %.3g\n", t->flops_alone);
    printf("memory: the state of the largest trial takes %.3g MiB of /dev/shm\n",
           e->state_bytes / 0x1p20);
    if (e->train_tokens > 0)
        printf("data: %.3g tokens in data.train\n", e->train_tokens);
    if (isnan(e->worker_seconds))
        return;
    printf("time: %s of one worker, measured here (%.3g rank-hours); %s at least on %lld workers, "
           "if nothing waits; the longest trial takes %s on one\n",
           duration(e->worker_seconds, whole), e->worker_seconds / 3600,
           duration(e->worker_seconds / (double)workers, wall), (long long)workers,
           duration(e->longest_seconds, longest));
}

static void print_key(const char *key, const char *expected, const char *help)
{
    char text[512];

    snprintf(text, sizeof text, "%s (%s)", help, expected);
    mu_text_wrap(stdout, 34, printf("  %s", key), text);
}

static void warn(void *context, const char *line)
{
    (void)context;
    mu_log(MU_LOG_WARN, "%s", line);
}

static enum mu_status show(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                           const char *file, bool measure, int64_t workers)
{
    struct mu_sweep_trials trials;
    struct mu_sweep_estimate estimate = {0};
    enum mu_status st;

    MU_TRY(mu_sweep_trials_make(spec, base, file, &trials), st, failed);
    MU_TRY(mu_sweep_estimate_make(&trials, measure, &estimate), st, done);
    print_trials(&trials);
    print_roles(&trials);
    print_costs(spec, &trials, &estimate, workers);
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

enum mu_status mu_cli_plan(int argc, char **argv)
{
    int64_t workers = mu_cores_usable();
    bool quick = false, keys = false;
    const struct mu_option options[] = {
        {"workers", "N", "how many will train; else as many as there are cores here",
         .integer = &workers, .least = 1, .most = 1e6},
        {"quick", NULL, "measure nothing: no times", .flag = &quick},
        {"keys", NULL, "list the keys of the group sweep instead", .flag = &keys},
    };
    const struct mu_command command = {
        .usage = "muster plan SWEEP [options] [KEY=VALUE]...\n"
                 "muster plan --keys",
        .about = "Lists what a sweep trains: the trials with their sizes, tokens, steps and "
                 "FLOPs, what is saved by sharing trunks, what memory, data and time they take "
                 "(a few shards of each size are timed), and what looks wrong. SWEEP is a run "
                 "configuration (by @include, as a rule) with a group sweep = { ... };. Nothing "
                 "is written.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .most_words = INT_MAX,
    };
    struct mu_sweep_spec *spec = malloc(sizeof *spec);
    struct mu_settings base;
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        goto done;
    if (keys) {
        mu_sweep_keys(print_key);
        goto done;
    }
    if (words.count == 0)
        st = mu_options_refuse(&command, "SWEEP is missing");
    else if (!spec)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a sweep");
    else
        st = mu_sweep_read(&(struct mu_config_source){.path = words.word[0],
                                                      .overrides = words.word + 1,
                                                      .override_count = words.count - 1,
                                                      .environment = environ},
                           &base, spec);
    if (st == MU_OK)
        st = show(spec, &base, words.word[0], !quick, workers);
done:
    free(spec);
    return st;
}
