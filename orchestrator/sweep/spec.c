/* From entries of the file to the spec. Every key is a row of spec.def; a list's entries come by
 * their numbers, in order, so that its count is one more than the last number seen. */
#include "orchestrator/sweep/spec.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/nearest.h"
#include "orchestrator/config/number.h"
#include "orchestrator/sweep/spec_check.h"

enum row_type { ROW_TEXT, ROW_WORD, ROW_REAL, ROW_INT, ROW_BOOL };

struct word {
    const char *word;
    int64_t value;
};

static const struct word kinds[] = {
#define KIND(name, text, meaning) {text, MU_SWEEP_##name},
    MU_SWEEP_KIND_TABLE(KIND)
#undef KIND
        {NULL, 0}};
static const struct word counts[] = {{"nonemb+head", MU_COUNT_NON_EMBEDDING_HEAD},
                                     {"nonemb", MU_COUNT_NON_EMBEDDING},
                                     {"all", MU_COUNT_ALL},
                                     {NULL, 0}};
static const struct word flops[] = {
    {"6N+12LdT", MU_FLOPS_6N_ATTENTION}, {"6N", MU_FLOPS_6N}, {NULL, 0}};
static const struct word rounds[] = {
    {"pow2", MU_SWEEP_ROUND_POW2}, {"int", MU_SWEEP_ROUND_INT}, {NULL, 0}};
static const struct word units[] = {{"tokens", MU_SWEEP_UNIT_TOKENS}, {NULL, 0}};

/* A list: where its count stands, where its entries do, how far apart. */
struct list {
    size_t count, first, stride;
    uint32_t most;
};

struct row {
    enum row_type type;
    const char *key;
    size_t offset, size; /* of the value: in the spec, or in an entry of the innermost list */
    struct list list[2]; /* outer, inner; count 0: none */
    double least, most;
    const struct word *words;
    const char *help;
};

#define FIELD(path)       ((struct mu_sweep_spec *)NULL)->path
#define OFFSET(path)      offsetof(struct mu_sweep_spec, path)
#define ENTRIES(l, array) (uint32_t)(sizeof FIELD(l.array) / sizeof FIELD(l.array)[0])
#define AT(path)                      \
    OFFSET(path), sizeof FIELD(path), \
    {                                 \
        {0, 0, 0, 0},                 \
        {                             \
            0, 0, 0, 0                \
        }                             \
    }
#define IN(l, path)                                                                      \
    OFFSET(l.path), sizeof FIELD(l.path),                                                \
    {                                                                                    \
        {OFFSET(l.count), OFFSET(l.item[0]), sizeof FIELD(l.item[0]), ENTRIES(l, item)}, \
        {                                                                                \
            0, 0, 0, 0                                                                   \
        }                                                                                \
    }
#define IN_IN(l, entry, inner, path)                                                     \
    OFFSET(l.entry.inner.path), sizeof FIELD(l.entry.inner.path),                        \
    {                                                                                    \
        {OFFSET(l.count), OFFSET(l.item[0]), sizeof FIELD(l.item[0]), ENTRIES(l, item)}, \
        {                                                                                \
            OFFSET(l.entry.inner.count), OFFSET(l.entry.inner.item[0]),                  \
                sizeof FIELD(l.entry.inner.item[0]), ENTRIES(l.entry.inner, item)        \
        }                                                                                \
    }

static const struct row rows[] = {
#define ROW(type, key, place, least, most, words, help) \
    {ROW_##type, key, place, least, most, words, help},
#include "orchestrator/sweep/spec.def"
#undef ROW
};
enum { ROWS = sizeof rows / sizeof *rows, PREFIX = sizeof "sweep." - 1 };

struct reading {
    struct mu_sweep_spec *spec;
    struct mu_mistakes mistakes;
    bool any;                    /* something stands in the group */
    char refused[MU_SWEEP_WORD]; /* the newest unknown key: its entries are not told again */
};

/* "laws[3].key" -> "laws[].key" and 3. */
static void split(const char *key, char pattern[MU_SWEEP_WORD], uint32_t number[2])
{
    size_t used = 0;
    int level = 0;

    for (; *key && used + 1 < MU_SWEEP_WORD; key++) {
        pattern[used++] = *key;
        if (*key == '[' && level < 2) {
            char *end;

            number[level++] = (uint32_t)strtoul(key + 1, &end, 10);
            key = end - 1;
        }
    }
    pattern[used] = '\0';
}

/* Which row it is; ROWS: none. *is_whole: it is a list of such, told before its entries. */
static size_t find(const char *pattern, bool *is_whole)
{
    const size_t length = strlen(pattern);

    *is_whole = false;
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(rows[i].key, pattern) == 0)
            return i;
        if (strncmp(rows[i].key, pattern, length) == 0 && rows[i].key[length] == '[') {
            *is_whole = true;
            return i;
        }
    }
    return ROWS;
}

static void refuse_key(struct reading *r, const struct mu_entry *entry, const char *pattern)
{
    struct mu_nearest nearest = mu_nearest_to(pattern);
    const char *answer;
    char group[ROWS][MU_SWEEP_WORD]; /* "laws" of "laws[].key" */
    const size_t length = strlen(r->refused);

    if (length > 0 && strncmp(pattern, r->refused, length) == 0 && pattern[length] == '[')
        return;
    snprintf(r->refused, sizeof r->refused, "%s", pattern);
    for (size_t i = 0; i < ROWS; i++) {
        snprintf(group[i], sizeof group[i], "%.*s", (int)strcspn(rows[i].key, ".["), rows[i].key);
        mu_nearest_offer(&nearest, rows[i].key);
        mu_nearest_offer(&nearest, group[i]);
    }
    answer = mu_nearest_answer(&nearest);
    if (answer)
        mu_mistakes_add(&r->mistakes, entry->place, entry->key,
                        "unknown key; did you mean 'sweep.%s'?", answer);
    else
        mu_mistakes_add(&r->mistakes, entry->place, entry->key,
                        "unknown key; `muster plan --keys` lists those of a sweep");
}

/* "one of", "an integer from 0 to 5": what a row's value must be. */
static void expect(const struct row *row, char *text, size_t size)
{
    size_t used = 0;

    if (row->type == ROW_REAL || row->type == ROW_INT)
        snprintf(text, size, "%s from %g to %g", row->type == ROW_INT ? "an integer" : "a number",
                 row->least, row->most);
    else
        snprintf(text, size, "%s", row->type == ROW_BOOL ? "true or false" : "text");
    for (const struct word *w = row->words; w && w->word; w++)
        used += (size_t)snprintf(text + used, size - used, "%s\"%s\"", used ? " or " : "", w->word);
}

static void refuse_value(struct reading *r, const struct mu_entry *entry, const struct row *row)
{
    const char *text = entry->element[0].text ? entry->element[0].text : "this";
    char expected[200];

    expect(row, expected, sizeof expected);
    mu_mistakes_add(&r->mistakes, entry->place, entry->key, "%.80s cannot be; expected %s", text,
                    expected);
}

void mu_sweep_keys(void (*tell)(const char *key, const char *expected, const char *help))
{
    char expected[200];

    for (size_t i = 0; i < ROWS; i++) {
        expect(&rows[i], expected, sizeof expected);
        tell(rows[i].key, expected, rows[i].help);
    }
}

/* Where the value goes; NULL: a list is full. */
static char *room(struct mu_sweep_spec *spec, const struct row *row, const uint32_t number[2])
{
    char *at = (char *)spec + row->offset, *base = (char *)spec;

    for (int level = 0; level < 2 && row->list[level].most > 0; level++) {
        const struct list *list = &row->list[level];
        uint32_t *count = (uint32_t *)(void *)(base + list->count);

        if (number[level] >= list->most)
            return NULL;
        if (*count <= number[level])
            *count = number[level] + 1;
        base += number[level] * list->stride;
        at += number[level] * list->stride;
    }
    return at;
}

static bool take_number(const struct row *row, const char *text, char *to)
{
    double real;
    int64_t integer;

    if (row->type == ROW_INT) {
        if (mu_number_integer(text, &integer) != MU_NUMBER_OK)
            return false;
        memcpy(to, &integer, sizeof integer);
        return (double)integer >= row->least && (double)integer <= row->most;
    }
    if (mu_number_real(text, &real) != MU_NUMBER_OK)
        return false;
    memcpy(to, &real, sizeof real);
    return real >= row->least && real <= row->most;
}

static bool take_word(const struct row *row, const char *text, char *to)
{
    for (const struct word *w = row->words; w->word; w++) {
        if (strcmp(w->word, text) == 0) {
            memcpy(to, &w->value, sizeof w->value);
            return true;
        }
    }
    return false;
}

static bool take_value(const struct row *row, struct mu_literal literal, char *to)
{
    if (!literal.text)
        return false;
    switch (row->type) {
    case ROW_INT:
    case ROW_REAL:
        return literal.kind == MU_SCALAR_NUMBER && take_number(row, literal.text, to);
    case ROW_WORD:
        return literal.kind == MU_SCALAR_TEXT && take_word(row, literal.text, to);
    case ROW_BOOL:
        *(bool *)(void *)to = strcmp(literal.text, "true") == 0;
        return literal.kind == MU_SCALAR_BOOL;
    case ROW_TEXT: /* values of a grid may be numbers */
        return strlen(literal.text) >= (size_t)row->least &&
               snprintf(to, row->size, "%s", literal.text) < (int)row->size;
    }
    return false;
}

static void take(void *context, const struct mu_entry *entry)
{
    struct reading *r = context;
    char pattern[MU_SWEEP_WORD];
    uint32_t number[2] = {0, 0};
    bool is_whole;
    size_t i;
    char *to;

    r->any = true;
    if (strlen(entry->key) <= PREFIX)
        return; /* an empty group */
    split(entry->key + PREFIX, pattern, number);
    i = find(pattern, &is_whole);
    if (i == ROWS) {
        refuse_key(r, entry, pattern);
        return;
    }
    if (is_whole) {
        if (entry->shape != MU_ENTRY_ARRAY)
            mu_mistakes_add(&r->mistakes, entry->place, entry->key,
                            "is one value; expected several, as in %s = [...];", pattern);
        return;
    }
    to = room(r->spec, &rows[i], number);
    if (!to)
        mu_mistakes_add(&r->mistakes, entry->place, entry->key,
                        "is one too many; expected at most %u",
                        rows[i].list[rows[i].list[1].most > 0].most);
    else if (entry->shape != MU_ENTRY_SCALAR || !take_value(&rows[i], entry->element[0], to))
        refuse_value(r, entry, &rows[i]);
}

static void set_defaults(struct mu_sweep_spec *s)
{
    *s = (struct mu_sweep_spec){
        .name = "sweep",
        .kind = MU_SWEEP_ISOFLOP,
        .count = MU_COUNT_NON_EMBEDDING_HEAD,
        .flops = MU_FLOPS_6N_ATTENTION,
        .window = {.points = 5, .each_side = 2, .extend = 2, .tokens_per_parameter = 20},
        .tune = {.seed = 1000},
        .retries = 1,
        .fit = {.bootstrap = 4000},
    };
    strcpy(s->size_key, "model.width");
}

enum mu_status mu_sweep_read(const struct mu_config_source *source, struct mu_settings *base,
                             struct mu_sweep_spec *out)
{
    struct reading *r = calloc(1, sizeof *r);
    struct mu_config_source all = *source;
    const struct mu_place place = {source->path ? source->path : source->text_name, 0};
    enum mu_status st, found;

    if (!r)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a sweep file");
    set_defaults(out);
    r->spec = out;
    all.take_sweep = take;
    all.take_context = r;
    st = mu_config_collect(&all, base, &r->mistakes);
    if (st == MU_OK && !r->any && r->mistakes.count == 0)
        mu_mistakes_add(&r->mistakes, place, "sweep",
                        "missing; expected sweep = { ... }; as in configs/sweep-toy.cfg");
    else if (st == MU_OK && r->mistakes.count == 0)
        mu_sweep_check(out, base, place, &r->mistakes);
    found = mu_mistakes_report(&r->mistakes);
    free(r);
    return st == MU_OK ? found : st;
}
