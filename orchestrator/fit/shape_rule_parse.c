#include <stdio.h>
#include <string.h>

#include "orchestrator/config/nearest.h"
#include "orchestrator/config/number.h"
#include "orchestrator/fit/flops.h"

#define EXPECTED                                                                                  \
    "expected layers=2,head=8,context=64,vocab=256 (a fixed depth) or aspect=64,... (width over " \
    "layers), and step=8 where widths are multiples of more than a head"

enum word { LAYERS, ASPECT, HEAD, CONTEXT, VOCAB, STEP, WORDS };

enum { LONGEST = 64 }; /* "word=number" */

static const double least_aspect = 1e-3, largest_aspect = 1e6;

static const struct {
    const char *word;
    int64_t largest;
} table[WORDS] = {
    [LAYERS] = {"layers", 100000},   [ASPECT] = {"aspect", 0},
    [HEAD] = {"head", 65536},        [CONTEXT] = {"context", 1000000000},
    [VOCAB] = {"vocab", 1000000000}, [STEP] = {"step", 1000000},
};

static enum mu_status find_word(const char *word, enum word *out)
{
    struct mu_nearest near = mu_nearest_to(word);
    const char *meant;

    for (int i = 0; i < WORDS; i++) {
        *out = (enum word)i;
        if (strcmp(word, table[i].word) == 0)
            return MU_OK;
        mu_nearest_offer(&near, table[i].word);
    }
    meant = mu_nearest_answer(&near);
    if (meant)
        return MU_FAIL(MU_USAGE, "shape: there is no \"%s\"; did you mean %s? " EXPECTED, word,
                       meant);
    return MU_FAIL(MU_USAGE, "shape: there is no \"%s\"; " EXPECTED, word);
}

static enum mu_status read_number(enum word word, const char *text, struct mu_shape_rule *rule)
{
    uint64_t *const places[WORDS] = {
        [LAYERS] = &rule->layers, [HEAD] = &rule->head_width, [CONTEXT] = &rule->context,
        [VOCAB] = &rule->vocab,   [STEP] = &rule->width_step,
    };
    int64_t value;

    if (word == ASPECT) {
        if (mu_number_real(text, &rule->aspect) != MU_NUMBER_OK ||
            !(rule->aspect >= least_aspect) || !(rule->aspect <= largest_aspect))
            return MU_FAIL(MU_USAGE, "shape: aspect=%s: expected a number from %g to %g", text,
                           least_aspect, largest_aspect);
        return MU_OK;
    }
    if (mu_number_integer(text, &value) != MU_NUMBER_OK || value < 1 || value > table[word].largest)
        return MU_FAIL(MU_USAGE, "shape: %s=%s: expected an integer from 1 to %lld",
                       table[word].word, text, (long long)table[word].largest);
    *places[word] = (uint64_t)value;
    return MU_OK;
}

/* One "word=number" of `length` characters. */
static enum mu_status read_part(const char *text, size_t length, bool seen[],
                                struct mu_shape_rule *rule)
{
    char part[LONGEST + 1], *equals;
    enum mu_status st;
    enum word word;

    if (length > LONGEST)
        return MU_FAIL(MU_USAGE, "shape: \"%.20s...\" is too long; " EXPECTED, text);
    memcpy(part, text, length);
    part[length] = '\0';
    equals = strchr(part, '=');
    if (!equals)
        return MU_FAIL(MU_USAGE, "shape: \"%s\" has no \"=\"; " EXPECTED, part);
    *equals = '\0';
    MU_TRY(find_word(part, &word), st, done);
    if (seen[word])
        return MU_FAIL(MU_USAGE, "shape: %s is given twice", part);
    seen[word] = true;
    MU_TRY(read_number(word, equals + 1, rule), st, done);
done:
    return st;
}

static enum mu_status check_whole(const bool seen[], const struct mu_shape_rule *rule)
{
    if (seen[LAYERS] && seen[ASPECT])
        return MU_FAIL(MU_USAGE, "shape: layers and aspect are both given: the depth is fixed or "
                                 "follows the width; give one");
    if (!seen[LAYERS] && !seen[ASPECT])
        return MU_FAIL(MU_USAGE, "shape: layers or aspect is missing; " EXPECTED);
    for (int i = HEAD; i <= VOCAB; i++)
        if (!seen[i])
            return MU_FAIL(MU_USAGE, "shape: %s is missing; " EXPECTED, table[i].word);
    if (rule->width_step % rule->head_width)
        return MU_FAIL(MU_USAGE,
                       "shape: step=%llu is no multiple of head=%llu: a width is a whole number of "
                       "heads",
                       (unsigned long long)rule->width_step, (unsigned long long)rule->head_width);
    return MU_OK;
}

enum mu_status mu_shape_rule_parse(const char *text, struct mu_shape_rule *rule)
{
    struct mu_shape_rule read = {.known = true};
    bool seen[WORDS] = {false};
    enum mu_status st = MU_OK;

    for (const char *part = text;;) {
        const size_t length = strcspn(part, ",");

        MU_TRY(read_part(part, length, seen, &read), st, done);
        if (part[length] == '\0')
            break;
        part += length + 1;
    }
    MU_TRY(check_whole(seen, &read), st, done);
    if (!read.width_step)
        read.width_step = read.head_width;
    *rule = read;
done:
    return st;
}
