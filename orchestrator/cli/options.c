#include "orchestrator/cli/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/started_by.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/config/nearest.h"

enum { HELP_COLUMN = 26 };

static void print_option(const char *name, const char *argument, const char *help)
{
    int used = printf("  --%s%s%s", name, argument ? " " : "", argument ? argument : "");

    if (used > HELP_COLUMN - 2) {
        putchar('\n');
        used = 0;
    }
    mu_text_wrap(stdout, HELP_COLUMN, used, help);
}

static void print_usage(FILE *out, const char *usage)
{
    const char *before = "usage: ";

    while (*usage) {
        int length = (int)strcspn(usage, "\n");

        fprintf(out, "%s%.*s\n", before, length, usage);
        before = "       ";
        usage += length + (usage[length] == '\n');
    }
}

static void print_help(const struct mu_command *command)
{
    print_usage(stdout, command->usage);
    putchar('\n');
    mu_text_wrap(stdout, 0, 0, command->about);
    putchar('\n');
    for (size_t i = 0; i < command->option_count; i++)
        print_option(command->options[i].name, command->options[i].argument,
                     command->options[i].help);
    print_option("help", NULL, "print this");
}

/* The usage begins with "muster VERB". */
static const char *verb_of(const struct mu_command *command, int *length)
{
    const char *verb = command->usage + strcspn(command->usage, " ");

    verb += strspn(verb, " ");
    *length = (int)strcspn(verb, " \n");
    return verb;
}

enum mu_status mu_options_refuse(const struct mu_command *command, const char *format, ...)
{
    char text[1024];
    const char *verb;
    va_list args;
    int length;

    verb = verb_of(command, &length);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return MU_FAIL(MU_USAGE, "%s; see '%.*s --help'", text, (int)(verb - command->usage) + length,
                   command->usage);
}

enum mu_status mu_options_refuse_mpirun(const struct mu_command *command)
{
    const char *verb;
    int length;

    if (!mu_started_by_mpirun())
        return MU_OK;
    verb = verb_of(command, &length);
    return mu_options_refuse(command, "%.*s starts mpirun by itself: call it without mpirun",
                             length, verb);
}

void mu_options_spell_out_ranks(int argc, char **argv)
{
    static char ranks[] = "--ranks";

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-n") == 0 || strcmp(argv[i], "-np") == 0)
            argv[i] = ranks;
}

static enum mu_status refuse_unknown(const struct mu_command *command, const char *word)
{
    struct mu_nearest nearest;
    char name[64];
    const char *answer;

    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    nearest = mu_nearest_to(name + strspn(name, "-"));
    for (size_t i = 0; i < command->option_count; i++)
        mu_nearest_offer(&nearest, command->options[i].name);
    mu_nearest_offer(&nearest, "help");
    answer = mu_nearest_answer(&nearest);
    if (answer)
        return mu_options_refuse(command, "unknown option %s; did you mean --%s?", name, answer);
    return mu_options_refuse(command, "unknown option %s", name);
}

static enum mu_status take_value(const struct mu_command *command, const struct mu_option *option,
                                 const char *value)
{
    char *end = NULL;

    errno = 0;
    if (option->text) {
        *option->text = value;
        return MU_OK;
    }
    if (option->integer) {
        long long v = strtoll(value, &end, 10);

        if (end == value || *end || errno || (double)v < option->least || (double)v > option->most)
            return mu_options_refuse(command, "--%s: '%s' is not an integer from %.0f to %.0f",
                                     option->name, value, option->least, option->most);
        *option->integer = v;
        return MU_OK;
    }
    MU_ASSERT(option->real);
    double v = strtod(value, &end);

    if (end == value || *end || !(v >= option->least && v <= option->most))
        return mu_options_refuse(command, "--%s: '%s' is not a number from %g to %g", option->name,
                                 value, option->least, option->most);
    *option->real = v;
    return MU_OK;
}

/* A flag without the text that it is about. */
static enum mu_status check_needs(const struct mu_command *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const struct mu_option *option = &command->options[i];

        if (!option->needs || !*option->flag)
            continue;
        for (size_t j = 0; j < command->option_count; j++)
            if (strcmp(command->options[j].name, option->needs) == 0 && !*command->options[j].text)
                return mu_options_refuse(command, "--%s needs --%s %s", option->name, option->needs,
                                         command->options[j].argument);
    }
    return MU_OK;
}

/* One option at argv[*at]; *at is left on the last word it used. */
static enum mu_status take_option(const struct mu_command *command, int argc, char **argv, int *at)
{
    const char *name = argv[*at] + 2, *value = strchr(name, '=');
    size_t length = value ? (size_t)(value - name) : strlen(name);

    for (size_t i = 0; strncmp(argv[*at], "--", 2) == 0 && i < command->option_count; i++) {
        const struct mu_option *option = &command->options[i];

        if (strlen(option->name) != length || strncmp(option->name, name, length) != 0)
            continue;
        if (option->flag) {
            if (value)
                return mu_options_refuse(command, "--%s takes no value", option->name);
            *option->flag = true;
            return MU_OK;
        }
        if (value)
            return take_value(command, option, value + 1);
        if (*at + 1 == argc)
            return mu_options_refuse(command, "--%s needs a value: --%s %s", option->name,
                                     option->name, option->argument);
        return take_value(command, option, argv[++*at]);
    }
    return refuse_unknown(command, argv[*at]);
}

enum mu_status mu_options_parse(const struct mu_command *command, int argc, char **argv,
                                struct mu_words *words)
{
    enum mu_status st = MU_OK;
    bool options_ended = false;

    *words = (struct mu_words){.word = argv + 1};
    for (int i = 1; i < argc; i++) {
        if (options_ended || argv[i][0] != '-' || argv[i][1] == '\0') {
            if (argv[i][0] == '\0') /* a variable of a script that was not set */
                return mu_options_refuse(command, "an empty word stands for nothing");
            words->word[words->count++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options_ended = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(command);
            words->help_shown = true;
            return MU_OK;
        } else {
            MU_TRY(take_option(command, argc, argv, &i), st, done);
        }
    }
    if (words->count == 0 && command->least_words > 0)
        st = mu_options_refuse(command, "nothing was said to work on");
    else if (words->count < command->least_words)
        st = mu_options_refuse(command, "words are missing; expected: %.*s",
                               (int)strcspn(command->usage, "\n"), command->usage);
    else if (words->count > command->most_words)
        st = mu_options_refuse(command, "'%s' is one word too many",
                               words->word[command->most_words]);
    if (st == MU_OK)
        st = check_needs(command);
done:
    return st;
}
