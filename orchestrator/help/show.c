/* A topic on the terminal: the text's own marks are read here, and what stands in tables of the code
 * is put in. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/status.h"
#include "orchestrator/base/text_wrap.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/help/topics.h"

enum { INDENT = 2, CODE_COLUMN = 8, CLASS_COLUMN = 15, KEY_COLUMN = 28 };

const struct mu_topic *mu_topic_find(const char *name)
{
    for (const struct mu_topic *t = mu_topics; t->name; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}

void mu_topic_print_codes(FILE *out)
{
    enum mu_status told[MU_STATUS_COUNT];
    size_t count = mu_status_told(told);

    for (size_t i = 0; i < count; i++)
        mu_text_wrap(out, CODE_COLUMN, fprintf(out, "  %3d", mu_status_exit_code(told[i])),
                     mu_status_meaning(told[i]));
}

static void put_classes(FILE *out)
{
#define PUT_CLASS(name, word, meaning) \
    mu_text_wrap(out, CLASS_COLUMN, fprintf(out, "  %s", word), meaning);
    MU_CLASS_TABLE(PUT_CLASS)
#undef PUT_CLASS
}

/* A line each: name and default. What it is for and its unit, `muster config` tells. */
static void put_keys(FILE *out)
{
    for (size_t i = 0; i < MU_KEY_COUNT; i++) {
        const struct mu_key *key = &mu_keys[i];
        int used = fprintf(out, "  %s", key->name);

        fprintf(out, "%*s %s\n", used < KEY_COLUMN ? KEY_COLUMN - used : 0, "",
                !key->otherwise   ? "(must be given)"
                : *key->otherwise ? key->otherwise
                                  : "(none)");
    }
}

static const struct {
    const char *mark;
    void (*put)(FILE *out);
} tables[] = {{"{codes}", mu_topic_print_codes}, {"{classes}", put_classes}, {"{keys}", put_keys}};

static void put_line(FILE *out, const char *line)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(line, tables[i].mark) == 0) {
            tables[i].put(out);
            return;
        }
    if (strncmp(line, "    ", 4) == 0 || !*line)
        fprintf(out, "%s\n", line);
    else if (strncmp(line, "- ", 2) == 0)
        mu_text_wrap(out, INDENT, fprintf(out, "-"), line + 2);
    else
        mu_text_wrap(out, 0, 0, line + strspn(line, "# "));
}

void mu_topic_print(FILE *out, const struct mu_topic *topic)
{
    char *text = strdup(topic->text), *rest = text, *line;

    while (rest && (line = strsep(&rest, "\n")) != NULL && (rest || *line))
        put_line(out, line);
    free(text);
}
