#include "orchestrator/sweep/part.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"

bool mu_sweep_part_parse(const char *text, struct mu_sweep_part *out)
{
    unsigned number, of;
    int end = 0;

    if (!isdigit((unsigned char)text[0]) || sscanf(text, "%6u/%n", &number, &end) != 1 ||
        end == 0 || !isdigit((unsigned char)text[end]))
        return false;
    text += end;
    end = 0;
    if (sscanf(text, "%6u%n", &of, &end) != 1 || text[end])
        return false;
    *out = (struct mu_sweep_part){number, of};
    return number < of && of <= MU_SWEEP_PARTS_MAX;
}

struct mu_sweep_part_text mu_sweep_part_print(struct mu_sweep_part part)
{
    struct mu_sweep_part_text t;

    snprintf(t.text, sizeof t.text, "%u/%u", part.number, part.of);
    return t;
}

/* ---- units ----------------------------------------------------------------------------------- */

struct unit {
    uint32_t first; /* the trial that stands for it */
    bool tunes;
    double flops;
};

static uint32_t unit_of(const struct mu_sweep_trial *t, uint32_t i)
{
    return t->shared > 0 ? t->trunk : i;
}

/* Tuning, which comes first, is dealt by itself. */
static int largest_first(const void *one, const void *other)
{
    const struct unit *a = one, *b = other;

    if (a->tunes != b->tunes)
        return a->tunes ? -1 : 1;
    if (a->flops != b->flops)
        return a->flops > b->flops ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

static uint32_t list_units(const struct mu_sweep_trials *t, struct unit *unit)
{
    uint32_t units = 0;

    for (uint32_t i = 0; i < t->count; i++)
        unit[i] = (struct unit){.first = i, .tunes = t->item[i].role == MU_SWEEP_TUNE};
    for (uint32_t i = 0; i < t->count; i++)
        if (t->item[i].extension == 0)
            unit[unit_of(&t->item[i], i)].flops +=
                t->item[i].flops - mu_sweep_saved_flops(&t->item[i]);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->item[i].extension == 0 && unit_of(&t->item[i], i) == i)
            unit[units++] = unit[i];
    qsort(unit, units, sizeof *unit, largest_first);
    return units;
}

static uint32_t find_least(const double *load, uint32_t of)
{
    uint32_t least = 0;

    for (uint32_t k = 1; k < of; k++)
        if (load[k] < load[least])
            least = k;
    return least;
}

static uint32_t place_in(const struct mu_sweep_numbers *list, double value)
{
    uint32_t i = 0;

    while (i < list->count && list->item[i] != value)
        i++;
    return i;
}

static uint32_t owner_of_extension(const struct mu_sweep_spec *spec, const struct mu_sweep_trial *t,
                                   uint32_t of)
{
    const uint64_t sum = place_in(&spec->budgets, t->budget) + place_in(&spec->sizes, t->size) +
                         (uint64_t)t->settings.run_seed;

    return (uint32_t)(sum % of);
}

enum mu_status mu_sweep_part_owners(const struct mu_sweep_spec *spec,
                                    const struct mu_sweep_trials *t, uint32_t of, uint32_t *owner)
{
    struct unit *unit = calloc((size_t)t->count + 1, sizeof *unit);
    double *load = calloc(of, sizeof *load);
    enum mu_status st = MU_OK;
    uint32_t units;

    if (!unit || !load) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to deal %u trials to parts", t->count);
        goto done;
    }
    units = list_units(t, unit);
    for (uint32_t u = 0; u < units; u++) {
        uint32_t k;

        if (u > 0 && unit[u].tunes != unit[u - 1].tunes)
            memset(load, 0, of * sizeof *load);
        k = find_least(load, of);
        owner[unit[u].first] = k;
        load[k] += unit[u].flops;
    }
    for (uint32_t i = 0; i < t->count; i++)
        owner[i] = t->item[i].extension > 0 ? owner_of_extension(spec, &t->item[i], of)
                                            : owner[unit_of(&t->item[i], i)];
done:
    free(unit);
    free(load);
    return st;
}

enum mu_status mu_sweep_part_plan(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                  const char *file, struct mu_hash_text *out)
{
    struct mu_sweep_trials t;
    enum mu_status st = mu_sweep_trials_make(spec, base, file, &t);
    struct mu_hash hash = {0};

    for (uint32_t i = 0; st == MU_OK && i < t.count; i++) {
        hash = mu_hash_bytes(t.item[i].name, strlen(t.item[i].name), hash.low);
        hash.low ^= (uint64_t)t.item[i].settings.run_steps;
    }
    if (st == MU_OK)
        mu_sweep_trials_deinit(&t);
    *out = mu_hash_print(hash);
    return st;
}
