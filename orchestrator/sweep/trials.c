#include "orchestrator/sweep/trials.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep/making.h"

enum { FIRST_CAPACITY = 64 };

const char *mu_sweep_role_word(enum mu_sweep_role role)
{
    static const char *const words[] = {
#define WORD(name, word) [MU_SWEEP_##name] = word,
        MU_SWEEP_ROLE_TABLE(WORD)
#undef WORD
    };

    return words[role];
}

void mu_sweep_trials_deinit(struct mu_sweep_trials *t)
{
    free(t->item);
    memset(t, 0, sizeof *t);
}

enum mu_status mu_sweep_trials_add(struct mu_sweep_trials *t, const struct mu_sweep_trial *trial)
{
    if (t->count == t->capacity) {
        uint32_t capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY;
        struct mu_sweep_trial *item = realloc(t->item, capacity * sizeof *item);

        if (!item)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %u trials", capacity);
        t->item = item;
        t->capacity = capacity;
    }
    t->item[t->count++] = *trial;
    return MU_OK;
}

/* ---- trunks ---------------------------------------------------------------------------------- */

static bool is_kin(const struct mu_sweep_trial *a, const struct mu_sweep_trial *b)
{
    return a->role == MU_SWEEP_CELL && b->role == MU_SWEEP_CELL && a->size == b->size &&
           a->settings.run_seed == b->settings.run_seed;
}

void mu_sweep_trials_share(struct mu_sweep_trials *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct mu_sweep_trial *one = &t->item[i];
        const struct mu_schedule schedule = mu_settings_schedule(&one->settings);
        uint32_t longest = i;

        if (one->role != MU_SWEEP_CELL)
            continue;
        for (uint32_t j = 0; j < t->count; j++)
            if (is_kin(one, &t->item[j]) &&
                t->item[j].settings.run_steps > t->item[longest].settings.run_steps)
                longest = j;
        one->trunk = longest;
        one->shared = longest == i ? 0 : mu_schedule_cooldown_start(&schedule);
    }
}

void mu_sweep_trials_join(struct mu_sweep_trials *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct mu_sweep_trial *one = &t->item[i];

        if (one->extension == 0)
            continue;
        one->trunk = i;
        for (uint32_t j = 0; j < t->count; j++) {
            const struct mu_sweep_trial *other = &t->item[j];

            if (!is_kin(one, other))
                continue;
            if (other->extension == 0) {
                one->trunk = other->trunk;
                break;
            }
            if (other->budget > t->item[one->trunk].budget)
                one->trunk = j;
        }
    }
}

void mu_sweep_trials_truncate(struct mu_sweep_trials *t, uint32_t count)
{
    t->count = count;
    mu_sweep_trials_add_up(t);
}

void mu_sweep_trials_add_up(struct mu_sweep_trials *t)
{
    t->flops_alone = t->flops_shared = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        t->flops_alone += t->item[i].flops;
        t->flops_shared += t->item[i].flops - mu_sweep_saved_flops(&t->item[i]);
    }
}

double mu_sweep_saved_flops(const struct mu_sweep_trial *t)
{
    return t->flops * (double)t->shared / (double)t->settings.run_steps;
}

uint32_t mu_sweep_control_of(const struct mu_sweep_trials *t, uint32_t i)
{
    const struct mu_sweep_trial *control = &t->item[i];

    for (uint32_t j = 0; control->role == MU_SWEEP_CONTROL && j < t->count; j++) {
        const struct mu_sweep_trial *cell = &t->item[j];

        if (cell->role == MU_SWEEP_CELL && cell->size == control->size &&
            cell->budget == control->budget && cell->multiple == control->multiple &&
            cell->settings.run_seed == control->settings.run_seed)
            return j;
    }
    return MU_TRIAL_ALONE;
}

enum mu_status mu_sweep_trials_make(const struct mu_sweep_spec *spec,
                                    const struct mu_settings *base, const char *file,
                                    struct mu_sweep_trials *out)
{
    struct mu_sweep_making mk;
    enum mu_status st;

    *out = (struct mu_sweep_trials){0};
    MU_TRY(mu_sweep_making_begin(&mk, spec, base, file, out, 0, 0), st, done);
    MU_TRY(mu_sweep_make_tuning(&mk), st, done);
    MU_TRY(mu_sweep_make_cells(&mk), st, done);
done:
    st = mu_sweep_making_end(&mk, st);
    if (st != MU_OK)
        mu_sweep_trials_deinit(out);
    return st;
}
