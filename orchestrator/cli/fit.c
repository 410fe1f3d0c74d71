/* muster fit: points from a CSV file, laws and recommendations out of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/nearest.h"
#include "orchestrator/fit/fit.h"
#include "orchestrator/points/cell.h"
#include "orchestrator/report/report.h"
#include "orchestrator/sweep_run/merge.h"
#include "orchestrator/sweep_run/records.h"

/* The command line as typed; what is NULL was not given. */
struct typed {
    const char *law, *objective, *targets, *flops, *count, *shape, *unique, *out;
    int64_t drop_top, replicates, seed, threads;
    double delta, tolerance;
    bool skip_bad;
};

static enum mu_status take_law(const struct mu_command *command, const char *name,
                               enum mu_law_kind *out)
{
    struct mu_nearest nearest = mu_nearest_to(name);
    char all[200] = "";

    *out = mu_law_named(name);
    if (*out != MU_LAW_COUNT)
        return MU_OK;
    for (int k = 0; k < MU_LAW_COUNT; k++) {
        const char *law = mu_law_of((enum mu_law_kind)k)->name;
        const size_t used = strlen(all);

        mu_nearest_offer(&nearest, law);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", law);
    }
    if (mu_nearest_answer(&nearest))
        return mu_options_refuse(command, "--law: there is no '%s'; did you mean '%s'?", name,
                                 mu_nearest_answer(&nearest));
    return mu_options_refuse(command, "--law: there is no '%s'; expected one of %s", name, all);
}

#define MU_WORD_OF(name, word, text) word,
static const char *const objectives[] = {MU_OBJECTIVE_TABLE(MU_WORD_OF)};
static const char *const flops_rules[] = {MU_FLOPS_TABLE(MU_WORD_OF)};
static const char *const counts[] = {MU_COUNT_TABLE(MU_WORD_OF)};
#undef MU_WORD_OF

/* Which of words[from .. to) was typed; expected: all of them, for the mistake. */
static enum mu_status take_word(const struct mu_command *command, const char *option,
                                const char *typed, const char *const words[], int from, int to,
                                const char *expected, int *out)
{
    for (*out = from; *out < to; ++*out)
        if (strcmp(words[*out], typed) == 0)
            return MU_OK;
    return mu_options_refuse(command, "--%s: '%s'; expected %s", option, typed, expected);
}

static int ascending(const void *one, const void *other)
{
    const double a = *(const double *)one, b = *(const double *)other;

    return (a > b) - (a < b);
}

static const double least_target = 1, most_target = 1e40; /* FLOPs */

/* "1e21,1e22": sorted, each once. */
static enum mu_status take_targets(const struct mu_command *command, const char *list,
                                   struct mu_fit_options *options)
{
    size_t count = 0, kept = 0;

    while (*list) {
        const size_t length = strcspn(list, ",");
        char text[64];
        double *target = &options->target[count];

        snprintf(text, sizeof text, "%.*s", (int)length, list);
        if (count == MU_FIT_TARGETS)
            return mu_options_refuse(command, "--target-flops: more than %d budgets",
                                     MU_FIT_TARGETS);
        if (length >= sizeof text || mu_cell_number(text, 0, target) ||
            !(*target >= least_target && *target <= most_target))
            return mu_options_refuse(command,
                                     "--target-flops: %s is no budget; expected FLOPs from 1 to "
                                     "1e40, as in 1e21,1e22",
                                     mu_cell_show(text).text);
        count++;
        list += length + (list[length] == ',');
    }
    if (count == 0)
        return mu_options_refuse(command, "--target-flops: expected FLOPs, as in 1e21,1e22");
    qsort(options->target, count, sizeof *options->target, ascending);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || options->target[i] > options->target[kept - 1])
            options->target[kept++] = options->target[i];
    options->targets = kept;
    return MU_OK;
}

static enum mu_status take_unique(const struct mu_command *command, const char *typed, double *out)
{
    if (mu_cell_number(typed, 0, out) || !(*out >= 1))
        return mu_options_refuse(command,
                                 "--unique-tokens: %s is no number of tokens; expected one of at "
                                 "least 1, as in 7e9 or 7B",
                                 mu_cell_show(typed).text);
    return MU_OK;
}

/* What a file needs to have besides the loss. */
static enum mu_column variable_of(enum mu_law_kind law)
{
    switch (law) {
    case MU_LAW_POWER_N:
        return MU_COLUMN_n;
    case MU_LAW_POWER_D:
        return MU_COLUMN_d;
    case MU_LAW_POWER_C:
        return MU_COLUMN_c;
    default:
        return MU_COLUMNS;
    }
}

static enum mu_status resolve(const struct mu_command *command, const struct typed *typed,
                              struct mu_points_request *request, struct mu_fit_options *options)
{
    enum mu_status st = MU_OK;
    int word;

    options->drop_top = (size_t)typed->drop_top;
    if (typed->replicates >= 0)
        options->replicates = (size_t)typed->replicates;
    options->seed = (uint64_t)typed->seed;
    options->threads = (unsigned)typed->threads;
    options->tolerance = typed->tolerance;
    options->objective.delta = typed->delta;
    request->skip_bad = typed->skip_bad;
    if (typed->law)
        MU_TRY(take_law(command, typed->law, &options->law), st, done);
    request->alone = variable_of(options->law);
    if (typed->objective) {
        MU_TRY(take_word(command, "objective", typed->objective, objectives, 0, MU_OBJECTIVE_COUNT,
                         "huber, absolute or squares", &word),
               st, done);
        options->objective.kind = (enum mu_objective_kind)word;
    }
    if (typed->targets)
        MU_TRY(take_targets(command, typed->targets, options), st, done);
    if (typed->flops) {
        MU_TRY(take_word(command, "flops", typed->flops, flops_rules, 0, MU_FLOPS_MEASURED,
                         "6N or 6N+12LdT", &word),
               st, done);
        request->flops = options->flops = (enum mu_flops_kind)word;
        options->flops_given = true;
    }
    if (typed->count) {
        MU_TRY(take_word(command, "count", typed->count, counts, MU_COUNT_AS_GIVEN + 1,
                         MU_COUNT_KINDS, "all, nonemb or nonemb+head", &word),
               st, done);
        options->count = (enum mu_count_kind)word;
    }
    if (typed->unique)
        MU_TRY(take_unique(command, typed->unique, &options->unique), st, done);
    if (typed->shape)
        MU_TRY(mu_shape_rule_parse(typed->shape, &options->rule), st, done);
    if (typed->out && !*typed->out)
        return mu_options_refuse(command, "--out: a folder to write into is missing");
done:
    return st;
}

static enum mu_status write_files(const char *out, const struct mu_sweep_folder *sweep,
                                  const struct mu_fit *fit, const struct mu_points_found *found)
{
    char json[MU_PATH_MAX], html[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    MU_TRY(mu_path_format(json, "%s/fit.json", out), st, done);
    MU_TRY(mu_path_format(html, "%s/report.html", out), st, done);
    MU_TRY(mu_file_make_folders(out), st, done);
    if (fit)
        MU_TRY(mu_report_json(json, fit, found), st, done);
    else
        MU_TRY(mu_file_remove(json), st, done); /* of results that are no more */
    if (sweep)
        MU_TRY(
            mu_report_sweep_html(html, sweep, fit, found, "no cell has ended with a loss so far"),
            st, done);
    else
        MU_TRY(mu_report_html(html, fit, found), st, done);
    if (fit)
        printf("\nwritten: %s, %s\n", json, html);
    else
        printf("no cell has ended with a loss so far: no fit yet\nwritten: %s\n", html);
done:
    return st;
}

/* sweep: NULL, or the folder that the points are from; without any there is a page all the same. */
static enum mu_status run(const struct mu_points_request *request,
                          const struct mu_fit_options *options, const char *out,
                          const struct mu_sweep_folder *sweep)
{
    struct mu_points_found *found = calloc(1, sizeof *found);
    const bool any = !sweep || sweep->points > 0;
    struct mu_fit_points points = {0};
    struct mu_fit *fit = NULL;
    enum mu_status st = MU_OK;

    if (!found)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the points");
    if (any)
        MU_TRY(mu_points_read(request, &points, found), st, done);
    for (size_t i = 0; i < found->notes; i++)
        mu_log(MU_LOG_INFO, "%s: %s", found->path, found->note[i]);
    if (any) {
        MU_TRY(mu_fit_run(&points, options, &fit), st, done);
        mu_report_table(stdout, fit, found);
    }
    if (out)
        MU_TRY(write_files(out, sweep, fit, found), st, done);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        st = MU_FAIL(MU_FAILED, "cannot write to standard output: %s",
                     errno ? strerror(errno) : "an earlier write failed");
done:
    mu_fit_free(fit);
    mu_points_free(&points);
    free(found);
    return st;
}

/* A file of points, or a sweep's folder, which brings options of its own: what is typed wins. */
static enum mu_status fit_what(const struct mu_command *command, const char *what,
                               const struct typed *typed, struct mu_points_request *request,
                               struct mu_fit_options *options)
{
    struct mu_sweep_folder sweep = {.status = NULL};
    struct stat info;
    const bool is_folder = stat(what, &info) == 0 && S_ISDIR(info.st_mode);
    enum mu_status st = MU_OK;

    request->path = what;
    if (is_folder) {
        MU_TRY(mu_sweep_reporter_follow(), st, done);
        MU_TRY(mu_sweep_merge_files(what), st, done);
        MU_TRY(mu_sweep_folder_read(what, &sweep), st, done);
        MU_TRY(mu_sweep_folder_ask(&sweep, request, options), st, done);
    }
    MU_TRY(resolve(command, typed, request, options), st, done);
    MU_TRY(run(request, options, typed->out || !is_folder ? typed->out : what,
               is_folder ? &sweep : NULL),
           st, done);
done:
    mu_sweep_folder_free(&sweep);
    return st;
}

enum mu_status mu_cli_fit(int argc, char **argv)
{
    struct mu_points_request request = {.flops = MU_FLOPS_6N, .alone = MU_COLUMNS};
    struct mu_fit_options fit;
    struct typed typed = {0};

    mu_fit_options_default(&fit);
    typed.replicates = -1;
    typed.seed = (int64_t)fit.seed;
    typed.delta = fit.objective.delta;
    typed.tolerance = fit.tolerance;

    const struct mu_option options[] = {
#define MU_COLUMN_OPTION(field, option, help) \
    {option, "COLUMN", help, .text = &request.column[MU_COLUMN_##field]},
        MU_COLUMN_TABLE(MU_COLUMN_OPTION)
#undef MU_COLUMN_OPTION
            {"skip-bad", NULL, "leave bad rows out, each named, instead of refusing the file",
             .flag = &typed.skip_bad},
        {"law", "NAME",
         "chinchilla (default): L = E + A/N^alpha + B/D^beta\n"
         "over-training: the same with alpha = beta\n"
         "data-constrained: tokens seen again are worth less\n"
         "power-n: L = E + A/N^alpha, from N and loss alone\n"
         "power-d: the same of the tokens\n"
         "power-c: the same of the FLOPs",
         .text = &typed.law},
        {"objective", "NAME", "huber (default), absolute or squares: what is minimised",
         .text = &typed.objective},
        {"delta", "X", "of Huber's function, in ln loss (0.001)", .real = &typed.delta,
         .least = 1e-12, .most = 1e3},
        {"drop-top", "K", "leave out the K points of the highest loss (0)",
         .integer = &typed.drop_top, .least = 0, .most = MU_POINTS_ROWS},
        {"target-flops", "LIST",
         "budgets to recommend models for, as in 1e21,1e22; otherwise 1, 3, 10 and 30 times the "
         "largest of the file",
         .text = &typed.targets},
        {"flops", "RULE",
         "FLOPs of a token, 6N or 6N+12LdT; otherwise as the file's FLOPs say, or 6N",
         .text = &typed.flops},
        {"count", "RULE",
         "which parameters N counts: all, nonemb or nonemb+head; otherwise as columns layers, "
         "width, context and vocab say",
         .text = &typed.count},
        {"shape", "RULE",
         "how models are built, as in layers=2,head=8,context=64,vocab=256 or aspect=64,...; "
         "otherwise as those of the file are",
         .text = &typed.shape},
        {"unique-tokens", "X", "distinct tokens that recommended runs may use, as in 7B (no limit)",
         .text = &typed.unique},
        {"tolerance", "X", "of the loss, for the range of sizes that are as good (0.001)",
         .real = &typed.tolerance, .least = 0, .most = 1},
        {"bootstrap", "N",
         "replicates for the intervals (4000, or as a sweep says); 0: no intervals",
         .integer = &typed.replicates, .least = 0, .most = 1e5},
        {"random-seed", "N", "of the bootstrap (1)", .integer = &typed.seed, .least = 0,
         .most = 9007199254740992},
        {"threads", "N",
         "0 (default): as many as there are cores; the result is the same on any number",
         .integer = &typed.threads, .least = 0, .most = 1024},
        {"out", "DIR", "write fit.json and report.html there", .text = &typed.out},
    };
    const struct mu_command command = {
        .usage = "muster fit [options] POINTS.csv\n"
                 "muster fit [options] SWEEP_FOLDER",
        .about =
            "Fits scaling laws to the final losses of training runs, a row each, from a CSV file "
            "(- is standard input), by three methods, with intervals; and says which model to "
            "train with a budget.\n\n"
            "The file has a loss and two of parameters, training tokens and training FLOPs. "
            "Columns are found by their usual names; an option names another, and an empty name "
            "says that there is none. Units are understood in cells (70B) and in heads of columns "
            "(\"Params (B)\"). Rows of one curve (--curve, or a run's name beside a column of "
            "steps) "
            "are the moments of one run.\n\n"
            "Of a sweep's folder it takes the results so far and the options of the group "
            "sweep.fit, and writes fit.json and report.html into it; the page has the tuning, the "
            "fleet and all trials besides.\n\n"
            "Exit codes are in 'muster --help'.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    return fit_what(&command, words.word[0], &typed, &request, &fit);
}
