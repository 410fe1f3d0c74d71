/* A value passes type, then range, then is stored, all driven by its row of the schema; the first
 * test that fails writes the mistake, and only the last step touches the settings. */
#include "orchestrator/config/value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/nearest.h"
#include "orchestrator/config/number.h"

/* What every step of taking a value needs. */
struct taking {
    const struct mu_key *key;
    struct mu_place place;
    const char *folder;
    struct mu_settings *settings;
    struct mu_mistakes *mistakes;
};

static void *field_of(const struct taking *t)
{
    return (char *)t->settings + t->key->offset;
}

/* "X is ..." with the literal as the user wrote it. */
static void refuse(const struct taking *t, struct mu_literal literal, const char *what)
{
    const char *quote = literal.kind == MU_SCALAR_TEXT ? "\"" : "";

    mu_mistakes_add(t->mistakes, t->place, t->key->name, "%s%.80s%s %s; expected %s", quote,
                    literal.text, quote, what, mu_key_expected(t->key).text);
}

static bool is_number(struct mu_literal literal)
{
    return literal.kind == MU_SCALAR_NUMBER || literal.kind == MU_SCALAR_TYPED;
}

static bool is_text(struct mu_literal literal)
{
    return literal.kind == MU_SCALAR_TEXT || literal.kind == MU_SCALAR_TYPED;
}

/* A scalar of the wrong type: says which one it is. */
static void refuse_type(const struct taking *t, struct mu_literal literal)
{
    switch (literal.kind) {
    case MU_SCALAR_NUMBER:
        refuse(t, literal, "is a number");
        break;
    case MU_SCALAR_TEXT:
        refuse(t, literal, "is text");
        break;
    case MU_SCALAR_BOOL:
        refuse(t, literal, "is a boolean");
        break;
    case MU_SCALAR_WORD:
        refuse(t, literal, "stands without quotes");
        break;
    case MU_SCALAR_TYPED:
        refuse(t, literal, "is not what is needed");
        break;
    }
}

static const char *number_fault(enum mu_number outcome)
{
    switch (outcome) {
    case MU_NUMBER_OK:
        break;
    case MU_NUMBER_NONE:
        return "is not a number";
    case MU_NUMBER_FRACTION:
        return "is not an integer";
    case MU_NUMBER_TOO_LARGE:
        return "is too large";
    case MU_NUMBER_TOO_SMALL:
        return "is too close to zero";
    }
    return "is out of range";
}

static void take_integer(const struct taking *t, struct mu_literal literal)
{
    int64_t value = 0;
    enum mu_number outcome;

    if (t->key->type == MU_TYPE_AUTO_INT && is_text(literal) && strcmp(literal.text, "auto") == 0) {
        *(int64_t *)field_of(t) = MU_AUTO;
        return;
    }
    if (!is_number(literal)) {
        refuse_type(t, literal);
        return;
    }
    outcome = mu_number_integer(literal.text, &value);
    /* limits of the table are integers below 2^53, where double is exact */
    if (outcome != MU_NUMBER_OK || (double)value < t->key->least || (double)value > t->key->most)
        refuse(t, literal, number_fault(outcome));
    else
        *(int64_t *)field_of(t) = value;
}

static bool take_real(const struct taking *t, struct mu_literal literal, double *out)
{
    double value = 0;
    enum mu_number outcome;

    if (!is_number(literal)) {
        refuse_type(t, literal);
        return false;
    }
    outcome = mu_number_real(literal.text, &value);
    if (outcome != MU_NUMBER_OK || value < t->key->least || value > t->key->most) {
        refuse(t, literal, number_fault(outcome));
        return false;
    }
    *out = value;
    return true;
}

/* What people call one of a key's words; NULL: none of them. */
static const char *meant_by(const struct mu_key *key, const char *word)
{
    static const struct {
        const char *said, *word;
    } synonyms[] = {{"gpu", "cuda"}, {"gpus", "cuda"}, {"nvidia", "cuda"}};

    for (size_t s = 0; s < sizeof synonyms / sizeof *synonyms; s++)
        for (int i = 0; strcasecmp(word, synonyms[s].said) == 0 && key->words[i]; i++)
            if (strcmp(key->words[i], synonyms[s].word) == 0)
                return synonyms[s].word;
    return NULL;
}

static void take_word(const struct taking *t, struct mu_literal literal)
{
    struct mu_nearest nearest = mu_nearest_to(literal.text);
    const char *answer;

    for (int i = 0; t->key->words[i]; i++) {
        if (strcmp(literal.text, t->key->words[i]) == 0 && is_text(literal)) {
            *(int *)field_of(t) = i;
            return;
        }
        mu_nearest_offer(&nearest, t->key->words[i]);
    }
    answer = meant_by(t->key, literal.text);
    if (!answer)
        answer = mu_nearest_answer(&nearest);
    if (!is_text(literal))
        refuse_type(t, literal);
    else if (answer)
        mu_mistakes_add(t->mistakes, t->place, t->key->name,
                        "unknown word \"%.80s\"; expected %s; did you mean \"%s\"?", literal.text,
                        mu_key_expected(t->key).text, answer);
    else
        mu_mistakes_add(t->mistakes, t->place, t->key->name, "unknown word \"%.80s\"; expected %s",
                        literal.text, mu_key_expected(t->key).text);
}

/* Takes the last component off path[0 .. *used), to make up for a ".." behind it. False: that is no
 * plain folder. Behind a symbolic link ".." is elsewhere, and what is not there may become one. */
static bool take_last(char *path, size_t *used)
{
    struct stat s;
    size_t cut = *used;

    if (cut == 0)
        return true; /* "/.." is "/" */
    while (path[cut - 1] != '/')
        cut--;
    path[*used] = '\0';
    if (strcmp(path + cut, "..") == 0 || lstat(path, &s) != 0 || !S_ISDIR(s.st_mode))
        return false;
    *used = cut - 1;
    return true;
}

/* Absolute, and without "." and empty components; as far as it can be told without "..", too. */
static bool absolute_path(const char *folder, const char *path, char out[MU_TEXT_MAX])
{
    const char *parts[] = {*path == '/' ? "" : folder, path};
    size_t used = 0;

    for (size_t i = 0; i < 2; i++) {
        for (const char *c = parts[i]; *c; c += strspn(c, "/")) {
            size_t length = strcspn(c, "/");
            bool here = length == 0 || (length == 1 && *c == '.');

            if (length == 2 && strncmp(c, "..", 2) == 0)
                here = take_last(out, &used);
            if (!here && used + 1 + length >= MU_TEXT_MAX)
                return false;
            if (!here) {
                out[used++] = '/';
                memcpy(out + used, c, length);
                used += length;
            }
            c += length;
        }
    }
    if (used == 0)
        out[used++] = '/';
    out[used] = '\0';
    return true;
}

static void take_text(const struct taking *t, struct mu_literal literal)
{
    size_t length = strlen(literal.text);
    char *field = field_of(t);

    if (!is_text(literal)) {
        refuse_type(t, literal);
    } else if ((double)length < t->key->least) {
        refuse(t, literal, "is empty");
    } else if ((double)length > t->key->most || length >= MU_TEXT_MAX) {
        refuse(t, literal, "is too long");
    } else if (t->key->type == MU_TYPE_PATH && literal.text[0] == '~') {
        refuse(t, literal, "begins with a ~, which only shells replace");
    } else if (t->key->type == MU_TYPE_TEXT || length == 0) {
        memcpy(field, literal.text, length + 1);
    } else {
        char path[MU_TEXT_MAX];

        if (absolute_path(t->folder, literal.text, path))
            strcpy(field, path);
        else
            refuse(t, literal, "is too long as an absolute path");
    }
}

static void take_scalar(const struct taking *t, struct mu_literal literal)
{
    switch (t->key->type) {
    case MU_TYPE_INT:
    case MU_TYPE_AUTO_INT:
        take_integer(t, literal);
        break;
    case MU_TYPE_REAL:
        (void)take_real(t, literal, field_of(t));
        break;
    case MU_TYPE_PAIR:
        refuse(t, literal, "is one value");
        break;
    case MU_TYPE_CHOICE:
        take_word(t, literal);
        break;
    case MU_TYPE_TEXT:
    case MU_TYPE_PATH:
        take_text(t, literal);
        break;
    }
}

void mu_value_take(const struct mu_key *key, const struct mu_entry *entry, const char *folder,
                   struct mu_settings *settings, struct mu_mistakes *m)
{
    struct taking t = {key, entry->place, folder, settings, m};
    struct mu_key_text expected = mu_key_expected(key);
    double pair[2];

    if (entry->shape == MU_ENTRY_GROUP) {
        mu_mistakes_add(m, entry->place, key->name, "is not a group; expected %s", expected.text);
    } else if (entry->shape == MU_ENTRY_ARRAY && key->type != MU_TYPE_PAIR) {
        mu_mistakes_add(m, entry->place, key->name, "is one value, not an array; expected %s",
                        expected.text);
    } else if (entry->shape == MU_ENTRY_ARRAY &&
               (entry->count != 2 || !entry->element[0].text || !entry->element[1].text)) {
        mu_mistakes_add(m, entry->place, key->name, "an array of %d values; expected %s",
                        entry->count, expected.text);
    } else if (entry->shape == MU_ENTRY_SCALAR) {
        take_scalar(&t, entry->element[0]);
    } else if (take_real(&t, entry->element[0], &pair[0]) &&
               take_real(&t, entry->element[1], &pair[1])) {
        memcpy(field_of(&t), pair, sizeof pair);
    }
}

static char *trim(char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    for (length = strlen(text); length && isspace((unsigned char)text[length - 1]);)
        text[--length] = '\0';
    return text;
}

void mu_value_take_text(const struct mu_key *key, const char *text, struct mu_place place,
                        const char *folder, struct mu_settings *settings, struct mu_mistakes *m)
{
    struct mu_entry entry = {
        .key = key->name, .place = place, .shape = MU_ENTRY_SCALAR, .count = 1};
    char copy[MU_TEXT_MAX + 2];
    size_t length = strlen(text);
    char *comma;

    if (length >= sizeof copy) {
        mu_mistakes_add(m, place, key->name, "a value of %zu bytes is too long", length);
        return;
    }
    memcpy(copy, text, length + 1);
    entry.element[0] = (struct mu_literal){MU_SCALAR_TYPED, copy};
    if (length >= 2 && copy[0] == '"' && copy[length - 1] == '"') {
        copy[length - 1] = '\0';
        entry.element[0] = (struct mu_literal){MU_SCALAR_TEXT, copy + 1};
    } else if (key->type == MU_TYPE_PAIR && (comma = strchr(copy, ',')) != NULL) {
        char *from = copy;

        if (copy[0] == '[' && copy[length - 1] == ']') {
            copy[length - 1] = '\0';
            from++;
        }
        *comma = '\0';
        entry.shape = MU_ENTRY_ARRAY;
        entry.count = 2;
        entry.element[0].text = trim(from);
        entry.element[1] = (struct mu_literal){MU_SCALAR_TYPED, trim(comma + 1)};
    }
    mu_value_take(key, &entry, folder, settings, m);
}
