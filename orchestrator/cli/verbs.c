/* From the command line to a verb. */
#include "orchestrator/cli/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/config/nearest.h"
#include "orchestrator/help/topics.h"

enum { HELP_COLUMN = 14 };

static bool is_listed(const struct mu_verb *verb)
{
    return *verb->help != 0;
}

static void print_topics(void)
{
    char names[400] = "";
    size_t used = 0;

    for (const struct mu_topic *t = mu_topics; t->name && used < sizeof names; t++)
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "", t->name);
    puts("\n'muster help VERB' explains a verb, 'muster config KEY' a configuration key,");
    used = (size_t)printf("'muster help TOPIC' one of: ");
    mu_text_wrap(stdout, (int)used, (int)used, names);
}

static void print_help(const struct mu_verb *verbs, size_t count)
{
    puts("usage: muster VERB ...\n"
         "       muster help [VERB]\n"
         "       mpirun -n 8 muster train FILE [KEY=VALUE]...\n\n"
         "Trains models on MPI ranks. The result is the same, bit for bit, on any number\n"
         "of ranks, and however many of them die on the way.\n");
    for (size_t i = 0; i < count; i++)
        if (is_listed(&verbs[i]))
            mu_text_wrap(stdout, HELP_COLUMN, printf("  %s", verbs[i].word), verbs[i].help);
    print_topics();
    puts("\nExit codes");
    mu_topic_print_codes(stdout);
}

/* false: there is none of that name. */
static bool print_topic(const char *word)
{
    const struct mu_topic *topic = mu_topic_find(word);

    if (topic)
        mu_topic_print(stdout, topic);
    else if (strcmp(word, "topics") == 0)
        for (topic = mu_topics; topic->name; topic++)
            mu_text_wrap(stdout, HELP_COLUMN, printf("  %s", topic->name), topic->title);
    return topic != NULL;
}

static bool is_verb(const struct mu_verb *verbs, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(verbs[i].word, word) == 0)
            return true;
    return false;
}

static enum mu_status refuse_topic(const struct mu_verb *verbs, size_t count, const char *word)
{
    struct mu_nearest nearest = mu_nearest_to(word);

    for (size_t i = 0; i < count; i++)
        if (is_listed(&verbs[i]))
            mu_nearest_offer(&nearest, verbs[i].word);
    for (const struct mu_topic *t = mu_topics; t->name; t++)
        mu_nearest_offer(&nearest, t->name);
    if (mu_nearest_answer(&nearest))
        return MU_FAIL(MU_USAGE, "there is no verb or topic '%s'; did you mean '%s'?", word,
                       mu_nearest_answer(&nearest));
    return MU_FAIL(MU_USAGE,
                   "there is no verb or topic '%s'; 'muster --help' and 'muster help topics' list "
                   "those that exist",
                   word);
}

static enum mu_status refuse_verb(const struct mu_verb *verbs, size_t count, const char *word)
{
    struct mu_nearest nearest = mu_nearest_to(word + (strncmp(word, "--", 2) == 0 ? 2 : 0));
    const char *answer;

    for (size_t i = 0; i < count; i++)
        if (word[0] != '-' && is_listed(&verbs[i]))
            mu_nearest_offer(&nearest, verbs[i].word);
    mu_nearest_offer(&nearest, "version");
    mu_nearest_offer(&nearest, "help");
    answer = mu_nearest_answer(&nearest);
    if (answer && word[0] == '-')
        return MU_FAIL(MU_USAGE, "there is no option '%s'; did you mean '--%s'?", word, answer);
    if (word[0] == '-')
        return MU_FAIL(MU_USAGE, "there is no option '%s' without a verb; see 'muster --help'",
                       word);
    if (answer)
        return MU_FAIL(MU_USAGE, "there is no verb '%s'; did you mean '%s'?", word, answer);
    return MU_FAIL(MU_USAGE, "there is no verb '%s'; 'muster --help' lists those that exist", word);
}

static bool is_any(const char *word, const char *a, const char *b, const char *c)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static enum mu_status run_verb(const struct mu_verb *verbs, size_t count, int argc, char **argv)
{
    char help[] = "--help", version[] = "--version";

    if (argc < 2)
        return MU_FAIL(MU_USAGE, "a verb is missing; 'muster --help' lists those that exist");
    if (is_any(argv[1], "--version", "-V", "version"))
        argv[1] = version;
    if (is_any(argv[1], "--help", "-h", "help")) {
        if (argc == 2 || argv[1][0] == '-') {
            print_help(verbs, count);
            return MU_OK;
        }
        if (print_topic(argv[2]))
            return MU_OK;
        if (!is_verb(verbs, count, argv[2]))
            return refuse_topic(verbs, count, argv[2]);
        argv[1] = argv[2]; /* "help VERB" is "VERB --help" */
        argv[2] = help;
        argc = 3;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(argv[1], verbs[i].word) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return refuse_verb(verbs, count, argv[1]);
}

/* Once: of the ranks of a job, the first one speaks. */
static void warn_of_variables(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    const char *log = getenv("MUSTER_LOG"), *progress = getenv("MUSTER_PROGRESS");

    if (rank && strcmp(rank, "0") != 0)
        return;
    if (log && *log && mu_log_level_from_name(log) < 0)
        mu_log(MU_LOG_WARN,
               "MUSTER_LOG=%s is not known and has no effect; expected error, warning, info or "
               "debug",
               log);
    if (progress && *progress && !is_any(progress, "bar", "lines", "lines"))
        mu_log(MU_LOG_WARN,
               "MUSTER_PROGRESS=%s is not known and has no effect; expected bar or lines",
               progress);
}

enum mu_status mu_cli_run(const struct mu_verb *verbs, size_t count, int argc, char **argv)
{
    enum mu_status st;

    warn_of_variables();
    st = run_verb(verbs, count, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && st == MU_OK)
        st = MU_FAIL(MU_FAILED, "standard output could not be written: %s", strerror(errno));
    return st;
}
