/* What trials are called: by what tells them apart, so that a name stands for the same run in every
 * edition of a sweep file. */
#include "orchestrator/sweep/making.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "width" of "model.width". */
static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

enum { NUMBER_MAX = 26 };

/* The fewest digits that mean this number and no other, so that no two trials have one name. */
static const char *shortest(double value, char text[NUMBER_MAX])
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, NUMBER_MAX, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

void mu_sweep_trial_name(const struct mu_sweep_spec *spec, struct mu_sweep_trial *t,
                         const char *axes)
{
    char what[60] = "", length[40] = "", factor[40] = "", number[NUMBER_MAX];

    if (t->size > 0)
        snprintf(what, sizeof what, "%.20s%s-", last_part(spec->size_key),
                 shortest(t->size, number));
    if (t->budget > 0)
        snprintf(length, sizeof length, "c%s-", shortest(t->budget, number));
    else if (t->multiple > 0)
        snprintf(length, sizeof length, "x%s-", shortest(t->multiple, number));
    if (t->role == MU_SWEEP_TUNE)
        snprintf(factor, sizeof factor, "-f%s", shortest(t->factor, number));
    snprintf(t->name, sizeof t->name, "%s%s%s%ss%" PRId64 "%s",
             t->role == MU_SWEEP_CELL   ? ""
             : t->role == MU_SWEEP_TUNE ? "tune-"
                                        : "alone-",
             what, axes, length, t->settings.run_seed, factor);
}

static bool is_plain(const char *value)
{
    return strlen(value) <= 20 &&
           strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._") ==
               strlen(value);
}

size_t mu_sweep_axis_name(const struct mu_sweep_axis *axis, uint64_t value,
                          enum mu_sweep_axis_style style, char text[MU_SWEEP_AXIS_MAX])
{
    bool plain = style == MU_SWEEP_STYLE_VALUE;

    for (uint32_t i = 0; i < axis->values.count; i++)
        plain &= is_plain(axis->values.item[i]);
    if (style == MU_SWEEP_STYLE_BARE)
        return (size_t)snprintf(text, MU_SWEEP_AXIS_MAX, "%" PRIu64 "-", value + 1);
    if (plain)
        return (size_t)snprintf(text, MU_SWEEP_AXIS_MAX, "%.20s%s-", last_part(axis->key),
                                axis->values.item[value]);
    return (size_t)snprintf(text, MU_SWEEP_AXIS_MAX, "%.20s%" PRIu64 "-", last_part(axis->key),
                            value + 1);
}

enum mu_sweep_axis_style mu_sweep_axis_style_of(const struct mu_sweep_spec *s)
{
    char text[MU_SWEEP_AXIS_MAX];

    for (enum mu_sweep_axis_style style = MU_SWEEP_STYLE_VALUE; style < MU_SWEEP_STYLE_BARE;
         style++) {
        size_t most = 0;

        for (uint32_t a = 0; a < s->grid.count; a++) {
            size_t longest = 0;

            for (uint32_t v = 0; v < s->grid.item[a].values.count; v++) {
                const size_t length = mu_sweep_axis_name(&s->grid.item[a], v, style, text);

                longest = length > longest ? length : longest;
            }
            most += longest;
        }
        if (most < MU_SWEEP_AXES_MAX)
            return style;
    }
    return MU_SWEEP_STYLE_BARE;
}
