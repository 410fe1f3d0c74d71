#include "orchestrator/config/schema.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/nearest.h"

#define MU_WORD(list, identifier, word) word,
#define MU_WORDS(list)                          \
    static const char *const words_##list[] = { \
        MU_CHOICE_##list(MU_WORD) NULL,         \
    };
MU_CHOICE_LISTS(MU_WORDS)
#undef MU_WORDS
#undef MU_WORD

/* a TYPE gives two columns: the type, and the words of a CHOICE */
#define MU_REQUIRED             NULL
#define MU_COLUMNS_INT          .type = MU_TYPE_INT
#define MU_COLUMNS_AUTO_INT     .type = MU_TYPE_AUTO_INT
#define MU_COLUMNS_REAL         .type = MU_TYPE_REAL
#define MU_COLUMNS_PAIR         .type = MU_TYPE_PAIR
#define MU_COLUMNS_TEXT         .type = MU_TYPE_TEXT
#define MU_COLUMNS_PATH         .type = MU_TYPE_PATH
#define MU_COLUMNS_CHOICE(list) .type = MU_TYPE_CHOICE, .words = words_##list
#define MU_KEY(type_, field, key, otherwise_, least_, most_, unit_, class_, help_) \
    [MU_KEY_##field] = {                                                           \
        MU_COLUMNS_##type_,                                                        \
        .name = key,                                                               \
        .offset = offsetof(struct mu_settings, field),                             \
        .otherwise = otherwise_,                                                   \
        .least = least_,                                                           \
        .most = most_,                                                             \
        .unit = unit_,                                                             \
        .class = MU_CLASS_##class_,                                                \
        .help = help_,                                                             \
    },
const struct mu_key mu_keys[MU_KEY_COUNT] = {
#include "orchestrator/config/schema.def"
};
#undef MU_KEY

static const struct {
    const char *word, *meaning;
} classes[] = {
#define MU_CLASS_ROW(name, word, meaning) {word, meaning},
    MU_CLASS_TABLE(MU_CLASS_ROW)
#undef MU_CLASS_ROW
};

const char *mu_key_class_word(enum mu_key_class class)
{
    return classes[class].word;
}

const char *mu_key_class_meaning(enum mu_key_class class)
{
    return classes[class].meaning;
}

const struct mu_key *mu_key_find(const char *name)
{
    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        if (strcmp(mu_keys[i].name, name) == 0)
            return &mu_keys[i];
    return NULL;
}

const char *mu_key_nearest(const char *name)
{
    struct mu_nearest nearest = mu_nearest_to(name);

    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        mu_nearest_offer_key(&nearest, mu_keys[i].name);
    return mu_nearest_answer(&nearest);
}

static struct mu_key_text expected_word(const struct mu_key *key)
{
    struct mu_key_text out = {""};
    size_t used = 0;

    for (size_t i = 0; key->words[i]; i++) {
        const char *between = i == 0 ? "" : key->words[i + 1] ? ", " : " or ";
        int n =
            snprintf(out.text + used, sizeof out.text - used, "%s\"%s\"", between, key->words[i]);

        used += (size_t)n;
        MU_ASSERT(used < sizeof out.text);
    }
    return out;
}

struct mu_key_text mu_key_expected(const struct mu_key *key)
{
    struct mu_key_text out = {""};
    size_t size = sizeof out.text;

    switch (key->type) {
    case MU_TYPE_INT:
        snprintf(out.text, size, "an integer from %.0f to %.0f", key->least, key->most);
        break;
    case MU_TYPE_AUTO_INT:
        snprintf(out.text, size, "an integer from %.0f to %.0f, or \"auto\"", key->least,
                 key->most);
        break;
    case MU_TYPE_REAL:
        snprintf(out.text, size, "a number from %.6g to %.6g", key->least, key->most);
        break;
    case MU_TYPE_PAIR:
        snprintf(out.text, size, "two numbers from %.6g to %.6g, as in %s", key->least, key->most,
                 key->otherwise);
        break;
    case MU_TYPE_TEXT:
        snprintf(out.text, size, "text of %.0f to %.0f bytes in double quotes", key->least,
                 key->most);
        break;
    case MU_TYPE_PATH:
        snprintf(out.text, size, "a path in double quotes");
        break;
    case MU_TYPE_CHOICE:
        return expected_word(key);
    }
    return out;
}

struct mu_key_text mu_key_default(const struct mu_key *key)
{
    bool quoted = key->type == MU_TYPE_TEXT || key->type == MU_TYPE_PATH ||
                  key->type == MU_TYPE_CHOICE || strcmp(key->otherwise, "auto") == 0;
    const char *quote = quoted ? "\"" : "";
    struct mu_key_text out;

    snprintf(out.text, sizeof out.text, "%s%s%s", quote, key->otherwise, quote);
    return out;
}

struct mu_key_text mu_key_environment(const struct mu_key *key)
{
    struct mu_key_text out;

    snprintf(out.text, sizeof out.text, "MUSTER_%s", key->name);
    for (char *c = out.text; *c; c++)
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    return out;
}

/* The fewest digits that read back as the same double, always as a floating-point number, and as a
 * person would write it: 100.0, 0.0003, 1e9, 1e-8. */
static void print_real(FILE *out, double value)
{
    char text[40], *exponent;
    int digits = 1;

    do
        snprintf(text, sizeof text, "%.*g", digits, value);
    while (strtod(text, NULL) != value && digits++ < 17);
    exponent = strchr(text, 'e');
    if (exponent && fabs(value) >= 1 && fabs(value) < 1e7) {
        fprintf(out, "%.1f", value); /* an exponent says that no digit is behind the point */
    } else if (exponent) {
        int power = atoi(exponent + 1);

        fprintf(out, "%.*se%d", (int)(exponent - text), text, power);
    } else
        fprintf(out, "%s%s", text, strchr(text, '.') ? "" : ".0");
}

static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (iscntrl((unsigned char)*c))
            fprintf(out, "\\x%02x", (unsigned char)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

void mu_key_print_value(FILE *out, const struct mu_key *key, const struct mu_settings *settings)
{
    const void *field = (const char *)settings + key->offset;
    int64_t integer;

    switch (key->type) {
    case MU_TYPE_INT:
    case MU_TYPE_AUTO_INT:
        integer = *(const int64_t *)field;
        if (key->type == MU_TYPE_AUTO_INT && integer == MU_AUTO)
            fputs("\"auto\"", out);
        else /* without the L, libconfig takes what does not fit 32 bits modulo 2^32 */
            fprintf(out, "%" PRId64 "%s", integer, integer > INT32_MAX ? "L" : "");
        break;
    case MU_TYPE_REAL:
        print_real(out, *(const double *)field);
        break;
    case MU_TYPE_PAIR:
        fputs("[", out);
        print_real(out, ((const double *)field)[0]);
        fputs(", ", out);
        print_real(out, ((const double *)field)[1]);
        fputs("]", out);
        break;
    case MU_TYPE_TEXT:
    case MU_TYPE_PATH:
        print_quoted(out, field);
        break;
    case MU_TYPE_CHOICE:
        print_quoted(out, key->words[*(const int *)field]);
        break;
    }
}
