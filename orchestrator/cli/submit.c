/* muster submit: thin; what it does is in orchestrator/slurm/. Words from the first option that is
 * not of Muster's on are for sbatch. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/slurm/submit.h"

static bool is_own(const char *word)
{
    return word[0] != '-' || strcmp(word, "--dry-run") == 0 || strcmp(word, "--measure") == 0 ||
           strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* sbatch has none: it may stand among its options, too. */
static bool take_dry_run(char **options, int *count)
{
    int kept = 0;

    for (int i = 0; i < *count; i++)
        if (strcmp(options[i], "--dry-run") != 0)
            options[kept++] = options[i];
    if (kept == *count)
        return false;
    *count = kept;
    return true;
}

/* "CONFIG ..." is "train CONFIG ...". */
static enum mu_status submit(const struct mu_command *command, const struct mu_words *words,
                             struct mu_submit_request *request)
{
    static char train[] = "train";
    const bool named = strcmp(words->word[0], "train") == 0 || strcmp(words->word[0], "sweep") == 0;
    char **list = calloc((size_t)words->count + 2, sizeof *list);
    enum mu_status st;

    if (!list)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the words of a job");
    list[0] = train;
    memcpy(list + !named, words->word, (size_t)words->count * sizeof *list);
    request->words = list;
    request->word_count = words->count + !named;
    st = request->word_count < 2 || strchr(list[1], '=')
             ? mu_options_refuse(command, "the configuration is missing: it comes before key=value "
                                          "and before the options of sbatch")
             : mu_submit_run(request);
    free(list);
    return st;
}

enum mu_status mu_cli_submit(int argc, char **argv)
{
    struct mu_submit_request request = {.deadline_ms = 60000};
    const struct mu_option options[] = {
        {"measure", NULL,
         "measure some of the run's work on this machine first, and tell how many jobs of that "
         "time it would take here; a run that has trained before tells without",
         .flag = &request.measure},
        {"dry-run", NULL, "show the script and the command, and write nothing",
         .flag = &request.dry_run},
    };
    const struct mu_command command = {
        .usage = "muster submit [options] CONFIG [key=value...] [options of sbatch]\n"
                 "muster submit [options] sweep SWEEP [key=value...] [options of sbatch]",
        .about = "Checks a configuration, writes a batch script into the run directory that calls "
                 "muster launch, and submits it with the options given, such as --nodes 2 "
                 "--ntasks-per-node 8 --time 4:00:00. The job saves before its time ends, and when "
                 "it is preempted, is queued again, and goes on; when a node dies, without it. "
                 "Prints the number of the job and the run directory; first, where the run has "
                 "trained before, how many jobs of that time it takes. One job has a run at a "
                 "time: another one goes behind it, by --dependency=afterany:JOB.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    int own = 1;
    enum mu_status st;

    while (own < argc && is_own(argv[own]))
        own++;
    request.options = argv + own;
    request.option_count = argc - own;
    if (own < argc && strcmp(argv[own], "--") == 0) {
        request.options++;
        request.option_count--;
    }
    if (request.option_count > 0 && own == 1 && argv[1][1] != '-')
        return mu_options_refuse(
            &command, "the configuration is missing: it comes before the options of sbatch");
    if (request.option_count > 0 && own == 1)
        own++; /* perhaps misspelt */
    st = mu_options_parse(&command, own, argv, &words);
    if (st != MU_OK || words.help_shown)
        return st;
    if (take_dry_run(argv + argc - request.option_count, &request.option_count))
        request.dry_run = true;
    return submit(&command, &words, &request);
}
