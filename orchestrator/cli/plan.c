/* `muster plan`: what a run or a sweep takes, before it runs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/plan/show_sweep.h"

struct wishes {
    bool quick, unmeasured, all, keys, json;
    int64_t ranks; /* 0: not given */
};

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

static void note_sweep(void *context, const struct mu_entry *entry)
{
    (void)entry;
    *(bool *)context = true;
}

static enum mu_status plan_run(const struct mu_settings *settings, const struct wishes *w)
{
    struct mu_plan *plan = malloc(sizeof *plan);
    enum mu_status st;

    if (!plan)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a plan");
    MU_TRY(mu_plan_make(settings, w->ranks, !w->unmeasured && !w->quick, plan), st, done);
    if (w->json) {
        MU_TRY(mu_plan_print_json(plan), st, done);
    } else {
        mu_plan_print(plan);
        mu_plan_warnings(plan, &(struct mu_advice){warn, NULL});
    }
    st = mu_plan_verdict(plan);
done:
    free(plan);
    return st;
}

static enum mu_status plan_sweep(const struct mu_config_source *source, const struct wishes *w)
{
    const struct mu_plan_sweep_options options = {
        .measure = !w->quick && !w->unmeasured,
        .all = w->all,
        .json = w->json,
        .workers = w->ranks > 0 ? w->ranks : mu_cores_usable(),
    };
    struct mu_sweep_spec *spec = malloc(sizeof *spec);
    struct mu_settings base;
    enum mu_status st;

    if (!spec)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a sweep");
    MU_TRY(mu_sweep_read(source, &base, spec), st, done);
    st = mu_plan_show_sweep(spec, &base, source->path, &options);
done:
    free(spec);
    return st;
}

/* A file with a group `sweep` is one. */
static enum mu_status plan(const struct mu_command *command, const struct mu_config_source *source,
                           const struct wishes *w)
{
    struct mu_config_source noting = *source;
    struct mu_mistakes mistakes = {.count = 0};
    struct mu_settings settings;
    bool is_sweep = false;
    enum mu_status st, found;

    noting.take_sweep = note_sweep;
    noting.take_context = &is_sweep;
    st = mu_config_collect(&noting, &settings, &mistakes);
    if (st == MU_OK && is_sweep) {
        mu_mistakes_deinit(&mistakes);
        return plan_sweep(source, w);
    }
    found = mu_mistakes_report(&mistakes);
    if (st != MU_OK || found != MU_OK)
        return st != MU_OK ? st : found;
    if (w->all)
        return mu_options_refuse(command, "--all is for a sweep, and %s is a run", source->path);
    return plan_run(&settings, w);
}

enum mu_status mu_cli_plan(int argc, char **argv)
{
    struct wishes w = {0};
    const struct mu_option options[] = {
        {"ranks", "N", "how many will train, also -n N; else as many as there are cores here",
         .integer = &w.ranks, .least = 1, .most = 1e6},
        {"workers", "N", "the same, of a sweep", .integer = &w.ranks, .least = 1, .most = 1e6},
        {"no-measure", NULL, "measure nothing: no times", .flag = &w.unmeasured},
        {"quick", NULL, "the same", .flag = &w.quick},
        {"json", NULL, "one JSON object, for scripts", .flag = &w.json},
        {"all", NULL,
         "of a sweep: a line for each trial, by its name, instead of one for a cell's seeds",
         .flag = &w.all},
        {"keys", NULL, "list the keys of the group sweep instead", .flag = &w.keys},
    };
    const struct mu_command command = {
        .usage = "muster plan CONFIG [-n RANKS] [options] [KEY=VALUE]...\n"
                 "muster plan SWEEP [options] [KEY=VALUE]...\n"
                 "muster plan --keys",
        .about =
            "Tells what a run takes, before it runs: parameters and FLOPs as they are counted, "
            "tokens and how often data are read, memory and disk, which numbers of workers suit "
            "its shards, the time by a measurement of some seconds, what its run directory holds "
            "already, and what looks wrong. Of a sweep, a configuration with a group sweep = { ... "
            "};, it lists the trials, what is saved by sharing trunks, and what they take. Exit "
            "code 78: `muster train` would refuse it. Nothing is written.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    enum mu_status st;

    mu_options_spell_out_ranks(argc, argv);
    st = mu_options_parse(&command, argc, argv, &words);
    if (st != MU_OK || words.help_shown)
        return st;
    if (w.keys) {
        mu_sweep_keys(print_key);
        return MU_OK;
    }
    if (words.count == 0)
        return mu_options_refuse(&command, "CONFIG is missing");
    return plan(&command,
                &(struct mu_config_source){.path = words.word[0],
                                           .overrides = words.word + 1,
                                           .override_count = words.count - 1,
                                           .environment = environ},
                &w);
}
