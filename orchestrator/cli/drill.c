#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/config.h"
#include "orchestrator/drill/cases.h"
#include "orchestrator/drill/child.h"
#include "orchestrator/drill/drill.h"

extern char **environ;

enum { LEAST_RANKS = 3, MOST_RANKS_BY_ITSELF = 8, NAME_COLUMNS = 26 };

/* As many as there are cores, within reason: each death needs somebody who goes on. */
static int64_t choose_ranks(void)
{
    const int cores = mu_cores_usable();

    if (cores < LEAST_RANKS)
        return LEAST_RANKS;
    return cores < MOST_RANKS_BY_ITSELF ? cores : MOST_RANKS_BY_ITSELF;
}

/* How many cases are meant; prints them when `show`. */
static int list(const struct mu_drill_request *request, bool show)
{
    static struct mu_drill_case cases[MU_DRILL_CASES];
    int count = mu_drill_cases(request->ranks, request->steps, cases), meant = 0;

    for (int i = 0; i < count; i++) {
        if (!mu_drill_is_meant(&cases[i], request->only))
            continue;
        meant++;
        if (show)
            mu_text_wrap(stdout, NAME_COLUMNS, printf("%-*s ", NAME_COLUMNS - 2, cases[i].name),
                         cases[i].what);
    }
    return meant;
}

static enum mu_status drill(const struct mu_words *words, struct mu_drill_request *request)
{
    const struct mu_config_source source = {.path = words->word[0],
                                            .overrides = words->word + 1,
                                            .override_count = words->count - 1,
                                            .environment = environ};
    struct mu_settings *settings = malloc(sizeof *settings);
    enum mu_status st;

    if (!settings)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the configuration");
    MU_TRY(mu_config_load(&source, settings), st, done);
    request->settings = settings;
    st = mu_drill_run(request);
done:
    free(settings);
    return st;
}

enum mu_status mu_cli_drill(int argc, char **argv)
{
    struct mu_drill_request request = {.ranks = choose_ranks(), .steps = 12};
    bool show = false;
    const struct mu_option options[] = {
        {"ranks", "N",
         "ranks (also -n N); otherwise as many as this process may use cores, from 3 to 8. Some "
         "faults take more",
         .integer = &request.ranks, .least = 2, .most = MU_DRILL_RANKS / 2},
        {"steps", "N", "steps of each run (12)", .integer = &request.steps, .least = 12,
         .most = 10000},
        {"deadline", "S",
         "seconds in which each must have ended; otherwise a minute and ten times what the "
         "undisturbed run takes",
         .integer = &request.deadline_s, .least = 1, .most = 1e6},
        {"only", "PATTERN",
         "only faults with this in their names; * stands for anything, several patterns have "
         "commas between them",
         .text = &request.only},
        {"list", NULL, "show the faults by name, and run nothing", .flag = &show},
        {"json", "FILE", "write the results there, for programs", .text = &request.json},
        {"keep", NULL, "keep the runs and what they said", .flag = &request.keep},
    };
    const struct mu_command command = {
        .usage = "muster drill [options] CONFIG [key=value...]\n"
                 "muster drill --list",
        .about =
            "Tries what may go wrong, on this machine: starts short runs of CONFIG with `muster "
            "launch`, kills or stops ranks, mpirun or the launcher at every moment that has a "
            "name, and compares weights and losses with those of a run that was left alone. "
            "Shows for each fault how the run went on, how long it took from noticing the fault to "
            "being at work again, and what had to be computed again. Exit code 1 when a result "
            "differs or a run does not end. Your own runs are not touched: all files lie in a "
            "folder of their own below run.dir, which is removed at the end.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 0,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    enum mu_status st;

    mu_options_spell_out_ranks(argc, argv);
    st = mu_options_parse(&command, argc, argv, &words);
    if (st != MU_OK || words.help_shown)
        return st;
    st = mu_options_refuse_mpirun(&command);
    if (st != MU_OK)
        return st;
    if (list(&request, show) == 0)
        return mu_options_refuse(&command,
                                 "--only: no fault has '%s' in its name; --list shows "
                                 "them",
                                 request.only);
    if (show)
        return MU_OK;
    if (words.count == 0 || strchr(words.word[0], '='))
        return mu_options_refuse(&command, "CONFIG is missing");
    return drill(&words, &request);
}
