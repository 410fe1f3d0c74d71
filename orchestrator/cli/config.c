/* `muster config`: what the keys mean, and what a file says. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/text_wrap.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "worker/workload.h"

enum { LIST_COLUMN = 34, FACT_COLUMN = 15 };

static void print_fact(const char *name, const char *text)
{
    int used = printf("  %s", name);

    mu_text_wrap(stdout, FACT_COLUMN, used, text);
}

static void list_key(const struct mu_key *key)
{
    int used = printf("  %s", key->name);

    if (key->otherwise)
        used += printf(" = %s", mu_key_default(key).text);
    else
        used += printf(" (required)");
    if (used > LIST_COLUMN - 2) {
        putchar('\n');
        used = 0;
    }
    mu_text_wrap(stdout, LIST_COLUMN, used, key->help);
}

/* Keys that begin with `group` ("" for all), a line between two first components. */
static int list_keys(const char *group)
{
    const struct mu_key *before = NULL;

    for (size_t i = 0; i < MU_KEY_COUNT; i++) {
        const struct mu_key *key = &mu_keys[i];
        size_t length = strlen(group), first = strcspn(key->name, ".");

        if (strncmp(key->name, group, length) != 0 || (length && key->name[length] != '.'))
            continue;
        if (!before || strncmp(before->name, key->name, first + 1) != 0)
            printf("%s%.*s\n", before ? "\n" : "", (int)first, key->name);
        list_key(key);
        before = key;
    }
    return before != NULL;
}

/* "optim = { schedule = { kind = ...; }; };" */
static void file_form(const char *name, char *out, size_t size)
{
    int groups = 0;
    size_t used = 0;

    for (; *name; name += *name == '.') {
        int length = (int)strcspn(name, ".");
        bool group = name[length] == '.';

        used += (size_t)snprintf(out + used, size - used, "%.*s = %s", length, name,
                                 group ? "{ " : "...;");
        groups += group;
        name += length;
    }
    while (groups-- > 0)
        used += (size_t)snprintf(out + used, size - used, " };");
    MU_ASSERT(used < size);
}

static void explain_key(const struct mu_key *key)
{
    char text[512];

    printf("%s\n", key->name);
    mu_text_wrap(stdout, 2, 0, key->help);
    putchar('\n');
    snprintf(text, sizeof text, "%s%s%s", mu_key_expected(key).text, *key->unit ? "; unit: " : "",
             key->unit);
    print_fact("value", text);
    print_fact("default", key->otherwise ? mu_key_default(key).text : "none: it must be given");
    snprintf(text, sizeof text, "%s: %s", mu_key_class_word(key->class),
             mu_key_class_meaning(key->class));
    print_fact("class", text);
    file_form(key->name, text, sizeof text);
    print_fact("in a file", text);
    snprintf(text, sizeof text, "%s=...", key->name);
    print_fact("command line", text);
    if (key->class == MU_CLASS_OPERATIONAL)
        print_fact("environment", mu_key_environment(key).text);
    if (key->type == MU_TYPE_PATH)
        print_fact("relative to",
                   "the file it is written in; as default, on the command line and in the "
                   "environment: the working directory");
}

static enum mu_status explain(const struct mu_command *command, const char *name)
{
    const struct mu_key *key = mu_key_find(name);
    const char *nearest;

    if (key) {
        explain_key(key);
        return MU_OK;
    }
    if (list_keys(name))
        return MU_OK;
    if (strcmp(name, "sweep") == 0 || strncmp(name, "sweep.", 6) == 0)
        return mu_options_refuse(
            command, "%s is of a sweep file: `muster plan --keys` tells its keys", name);
    nearest = mu_key_nearest(name);
    if (nearest)
        return mu_options_refuse(command, "there is no key %s; did you mean %s?", name, nearest);
    if (access(name, F_OK) == 0)
        return mu_options_refuse(command, "%s is a file; --check %s says whether it is right", name,
                                 name);
    return mu_options_refuse(command, "there is no key %s; 'muster config' lists those that exist",
                             name);
}

static void check_data(const char *file, const char *key, const char *path, struct mu_mistakes *m)
{
    if (*path && access(path, R_OK) != 0)
        mu_mistakes_add(m, (struct mu_place){file, 0}, key,
                        "%s cannot be read here: %s; expected a token file, which 'muster "
                        "tokenize' makes",
                        path, strerror(errno));
}

/* Reads a configuration as a run would. What "auto" stands for is settled when it can be known: the
 * vocabulary is in the header of data. `check`: data that are not here are mistakes too; printing
 * does without them. */
static enum mu_status load(const char *path, const struct mu_words *overrides, bool check,
                           struct mu_settings *out)
{
    const struct mu_config_source source = {.path = path,
                                            .overrides = overrides->word,
                                            .override_count = overrides->count,
                                            .environment = environ};
    struct mu_mistakes mistakes = {.count = 0};
    enum mu_status st = mu_config_collect(&source, out, &mistakes), found;

    if (st == MU_OK && check && out->model_kind != MU_MODEL_SYNTHETIC) {
        check_data(path, "data.train", out->data_train, &mistakes);
        check_data(path, "data.valid", out->data_valid, &mistakes);
    }
    found = mu_mistakes_report(&mistakes);
    if (st != MU_OK || found != MU_OK)
        return st != MU_OK ? st : found;
    if (out->model_kind != MU_MODEL_SYNTHETIC && out->model_vocab == MU_AUTO &&
        access(out->data_train, R_OK) != 0)
        return MU_OK;
    return mu_workload_resolve(out);
}

enum mu_status mu_cli_config(int argc, char **argv)
{
    const char *check_path = NULL, *print_path = NULL;
    const struct mu_option options[] = {
        {"check", "FILE",
         "say everything that is wrong with a configuration (data files that are not here, too), "
         "or ok",
         .text = &check_path},
        {"print", "FILE", "print every value of a configuration, as a run would use them",
         .text = &print_path},
    };
    const struct mu_command command = {
        .usage = "muster config [KEY or GROUP]...\n"
                 "muster config --check FILE [KEY=VALUE]...\n"
                 "muster config --print FILE [KEY=VALUE]...",
        .about = "Lists the configuration keys with their defaults, explains the ones that are "
                 "named, or reads a file as `muster train` would. A configuration is a libconfig "
                 "file; @include \"OTHER\" on a line of its own includes another one, relative to "
                 "it. The "
                 "command line (KEY=VALUE) has precedence over the environment "
                 "(operational keys only: MUSTER_RUN_DIR for run.dir), then comes the file, then "
                 "the default.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .most_words = INT_MAX,
    };
    struct mu_settings settings;
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (check_path && print_path)
        return mu_options_refuse(&command, "--check and --print do not go together");
    if (check_path || print_path) {
        st = load(check_path ? check_path : print_path, &words, check_path != NULL, &settings);
        if (st == MU_OK && print_path)
            mu_config_write(stdout, &settings);
        else if (st == MU_OK)
            printf("%s: ok\n", check_path);
        return st;
    }
    if (words.count == 0)
        list_keys("");
    for (int i = 0; st == MU_OK && i < words.count; i++) {
        if (i > 0)
            putchar('\n');
        st = explain(&command, words.word[i]);
    }
    return st;
}
