#include "orchestrator/launch/trials.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/paths.h"
#include "orchestrator/sweep_run/records.h"

enum { FIRST_CAPACITY = 64 };

/* Where it is, or would have to be. */
static uint32_t place_of(const struct mu_trials *t, uint32_t key)
{
    uint32_t from = 0, to = t->count;

    while (from < to) {
        const uint32_t middle = from + (to - from) / 2;

        if (t->item[middle].key < key)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool make_room(struct mu_trials *t)
{
    const uint32_t capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY;
    struct mu_trials_item *grown;

    if (t->count < t->capacity)
        return true;
    grown = realloc(t->item, capacity * sizeof *grown);
    if (!grown)
        return false;
    t->item = grown;
    t->capacity = capacity;
    return true;
}

static void note(struct mu_trials *t, uint32_t key, int64_t step)
{
    const uint32_t at = place_of(t, key);
    struct mu_trials_item *item;

    if (step <= 0)
        return;
    if (at == t->count || t->item[at].key != key) {
        if (!make_room(t))
            return; /* it counts at the next look */
        memmove(t->item + at + 1, t->item + at, (t->count - at) * sizeof *t->item);
        t->item[at] = (struct mu_trials_item){.key = key};
        t->count++;
    }
    item = &t->item[at];
    if (step > item->step) {
        t->steps += step - item->step;
        item->step = step;
    }
}

static void note_list(struct mu_trials *t, const char *path, const json_t *list)
{
    char run[MU_PATH_MAX];
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        const char *name = mu_json_get_text(one, "name");

        if (name[0] && mu_sweep_trial_path(run, path, name) == MU_OK)
            note(t, (uint32_t)mu_hash_bytes(run, strlen(run), 0).low,
                 mu_json_get_integer(one, "step"));
    }
}

/* Trials that have failed are tried again by the next start: their end is no gain. */
static int64_t count_ended(const json_t *phases)
{
    int64_t ended = 0;

    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        if (mu_cell_has_ended(p) && p != MU_CELL_FAILED)
            ended += mu_json_get_integer(phases, mu_cell_word(p));
    return ended;
}

int64_t mu_trials_look(struct mu_trials *t, const char *path, const struct mu_segments *segments)
{
    json_t *status = NULL;
    int64_t ended;

    for (int i = 0; i < segments->count; i++) {
        uint32_t key;
        const int64_t step = mu_segments_step(segments, i, &key);

        note(t, key, step);
    }
    if (mu_sweep_read_status(path, &status) == MU_OK) {
        note_list(t, path, json_object_get(status, "live"));
        note_list(t, path, json_object_get(status, "recent"));
        ended = json_object_get(status, "part")
                    ? mu_json_get_integer(json_object_get(status, "part"), "ended")
                    : count_ended(json_object_get(status, "phases"));
        t->ended = ended > t->ended ? ended : t->ended;
    }
    json_decref(status);
    return t->steps + t->ended > 0 ? t->steps + t->ended : -1;
}

void mu_trials_deinit(struct mu_trials *t)
{
    free(t->item);
    *t = (struct mu_trials){.item = NULL};
}
