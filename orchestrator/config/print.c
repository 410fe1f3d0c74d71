/* The resolved text, and the identity that is made of it. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"

/* Bytes up to and with the last dot: "optim.schedule." of "optim.schedule.kind". */
static size_t group_length(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? (size_t)(dot - key) + 1 : 0;
}

static int depth_of(const char *key, size_t length)
{
    int depth = 0;

    for (size_t i = 0; i < length; i++)
        depth += key[i] == '.';
    return depth;
}

/* Length of the groups that both keys are in. */
static size_t common_groups(const char *a, const char *b)
{
    size_t common = 0;

    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            common = i + 1;
    return common;
}

void mu_config_write(FILE *out, const struct mu_settings *settings)
{
    const char *before = "";

    for (size_t i = 0; i <= MU_KEY_COUNT; i++) {
        const char *name = i < MU_KEY_COUNT ? mu_keys[i].name : "";
        size_t common = common_groups(before, name), open = common;
        int depth;

        for (depth = depth_of(before, group_length(before)); depth > depth_of(name, common);
             depth--)
            fprintf(out, "%*s};\n", 4 * (depth - 1), "");
        if (i == MU_KEY_COUNT)
            break;
        for (; open < group_length(name); depth++) {
            int length = (int)strcspn(name + open, ".");

            fprintf(out, "%*s%.*s = {\n", 4 * depth, "", length, name + open);
            open += (size_t)length + 1;
        }
        fprintf(out, "%*s%s = ", 4 * depth, "", name + open);
        mu_key_print_value(out, &mu_keys[i], settings);
        fputs(";\n", out);
        before = name;
    }
}

/* Text that a function writes, in memory. */
typedef void write_text(FILE *out, const void *context);
static enum mu_status to_memory(write_text *write, const void *context, char **text, size_t *size)
{
    FILE *out;
    bool failed;

    *text = NULL;
    out = open_memstream(text, size);
    if (!out)
        return MU_FAIL(MU_NO_MEMORY, "no memory for printing a configuration");
    write(out, context);
    failed = ferror(out) != 0;
    failed = fclose(out) != 0 || failed;
    if (failed) {
        free(*text);
        *text = NULL;
        return MU_FAIL(MU_NO_MEMORY, "no memory for printing a configuration");
    }
    return MU_OK;
}

static void write_all(FILE *out, const void *context)
{
    mu_config_write(out, context);
}

enum mu_status mu_config_print(const struct mu_settings *settings, char **text)
{
    size_t size;

    return to_memory(write_all, settings, text, &size);
}

static void write_identity(FILE *out, const void *context)
{
    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        if (mu_keys[i].class == MU_CLASS_IDENTITY) {
            fprintf(out, "%s = ", mu_keys[i].name);
            mu_key_print_value(out, &mu_keys[i], context);
            fputc('\n', out);
        }
}

enum mu_status mu_config_identity(const struct mu_settings *settings, struct mu_hash *out)
{
    char *text;
    size_t size;
    enum mu_status st = to_memory(write_identity, settings, &text, &size);

    if (st == MU_OK)
        *out = mu_hash_bytes(text, size, 0);
    free(text);
    return st;
}

struct one_value {
    const struct mu_key *key;
    const struct mu_settings *settings;
};

static void write_value(FILE *out, const void *context)
{
    const struct one_value *one = context;

    mu_key_print_value(out, one->key, one->settings);
}

enum mu_status mu_key_value_text(const struct mu_key *key, const struct mu_settings *settings,
                                 char **text)
{
    const struct one_value one = {key, settings};
    size_t size;

    return to_memory(write_value, &one, text, &size);
}
