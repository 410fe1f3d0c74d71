#include <math.h>
#include <stdio.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/plan/advice.h"
#include "orchestrator/plan/sweep_estimate.h"

static const double most_off = 0.05; /* budget met, relative */
enum { MOST_BUDGETS = 3 /* told one by one */ };

struct telling {
    const struct mu_sweep_spec *spec;
    const struct mu_sweep_trials *trials;
    struct mu_advice advice;
};

/* The worst trial by a measure, and how many are beyond the limit. */
struct worst {
    uint32_t count;
    const struct mu_sweep_trial *trial;
    double value;
};

static struct worst find_worst(const struct telling *t,
                               double (*measure)(const struct mu_sweep_trial *, double),
                               double context, double limit)
{
    struct worst w = {0, NULL, limit};

    for (uint32_t i = 0; i < t->trials->count; i++) {
        const double value = measure(&t->trials->item[i], context);

        w.count += value > limit;
        if (value > w.value) {
            w.value = value;
            w.trial = &t->trials->item[i];
        }
    }
    return w;
}

static double epochs(const struct mu_sweep_trial *t, double train_tokens)
{
    return train_tokens > 0 ? t->tokens / train_tokens : 0;
}
static double batch_excess(const struct mu_sweep_trial *t, double unused)
{
    (void)unused;
    if (t->settings.model_kind == MU_MODEL_SYNTHETIC) /* whose loss no batch changes */
        return 0;
    return t->tokens_per_step / mu_plan_useful_batch(t->tokens);
}
static double budget_missed(const struct mu_sweep_trial *t, double unused)
{
    (void)unused;
    return t->budget > 0 ? fabs(t->flops / t->budget - 1) : 0;
}
/* Part of the run that is warm-up. */
static double warmup_part(const struct mu_sweep_trial *t, double unused)
{
    (void)unused;
    return (double)t->settings.schedule_warmup / (double)t->settings.run_steps;
}
static double shortness(const struct mu_sweep_trial *t, double unused)
{
    (void)unused;
    return 1 / (double)t->settings.run_steps;
}

static void warn_of_trials(const struct telling *t, double train_tokens)
{
    struct worst w = find_worst(t, epochs, train_tokens, MU_PLAN_MOST_EPOCHS);

    if (w.trial)
        mu_advise(
            &t->advice,
            "%u trial%s see data.train more than %g times (%s: %.1f times): repeated data teach "
            "less; take more data, or smaller budgets",
            w.count, mu_plural(w.count), MU_PLAN_MOST_EPOCHS, w.trial->name, w.value);
    w = find_worst(t, shortness, 0, 1.0 / MU_PLAN_LEAST_STEPS);
    if (w.trial)
        mu_advise(&t->advice,
                  "%u trial%s have fewer than %d steps (%s: %lld): take smaller batches", w.count,
                  mu_plural(w.count), MU_PLAN_LEAST_STEPS, w.trial->name,
                  (long long)w.trial->settings.run_steps);
    w = find_worst(t, warmup_part, 0, 1 / MU_PLAN_LEAST_WARMUPS);
    if (w.trial)
        mu_advise(&t->advice, "warm-up is more than a third of %u trial%s (%s: %lld of %lld steps)",
                  w.count, mu_plural(w.count), w.trial->name,
                  (long long)w.trial->settings.schedule_warmup,
                  (long long)w.trial->settings.run_steps);
    w = find_worst(t, batch_excess, 0, MU_PLAN_MOST_BATCH);
    if (w.trial)
        mu_advise(
            &t->advice,
            "the batch of %u trial%s is larger than useful (%s: %.0f tokens, %.1f times that of "
            "the step law, Li et al. 2025)",
            w.count, mu_plural(w.count), w.trial->name, w.trial->tokens_per_step, w.value);
    w = find_worst(t, budget_missed, 0, most_off);
    if (w.trial)
        mu_advise(&t->advice,
                  "whole steps miss the budget of %u trial%s by more than 5 %% (%s: by %.0f %%)",
                  w.count, mu_plural(w.count), w.trial->name, 100 * w.value);
}

/* The sizes of a budget at an end of the ladder leave no room beside the expected optimum: whether
 * that is so; not told when quiet. */
static bool warn_of_budget(const struct telling *t, double budget, bool quiet)
{
    const struct mu_sweep_spec *s = t->spec;
    const struct mu_sweep_trial *nearest = NULL;
    double least = INFINITY;
    uint32_t below = 0, above = 0;

    for (uint32_t i = 0; i < t->trials->count; i++) {
        const struct mu_sweep_trial *one = &t->trials->item[i];
        const double off = fabs(log(one->tokens / one->n / s->window.tokens_per_parameter));

        if (one->role == MU_SWEEP_CELL && one->budget == budget && off < least) {
            least = off;
            nearest = one;
        }
    }
    for (uint32_t i = 0; nearest && i < s->sizes.count; i++) {
        below += s->sizes.item[i] < nearest->size;
        above += s->sizes.item[i] > nearest->size;
    }
    if (!nearest || (below >= s->window.each_side && above >= s->window.each_side))
        return false;
    if (!quiet)
        mu_advise(
            &t->advice,
            "the expected optimum of %g FLOPs is at %s = %g, with %u size%s below and %u above "
            "it; %lld are wanted on each side: add %s sizes, or change the budget",
            budget, s->size_key, nearest->size, below, mu_plural(below), above,
            (long long)s->window.each_side, below < above ? "smaller" : "larger");
    return true;
}

static void warn_of_budgets(const struct telling *t)
{
    uint32_t count = 0;

    for (uint32_t i = 0; t->spec->kind == MU_SWEEP_ISOFLOP && i < t->spec->budgets.count; i++)
        count += warn_of_budget(t, t->spec->budgets.item[i], count >= MOST_BUDGETS);
    if (count > MOST_BUDGETS)
        mu_advise(&t->advice,
                  "the expected optima of %u more budgets are at an end of the sizes, too",
                  count - MOST_BUDGETS);
}

/* A law is fitted to what was tuned, and used for all sizes. */
static void warn_of_tuning(const struct telling *t)
{
    const struct mu_sweep_law *law = mu_sweep_tuned(t->spec);
    const struct mu_sweep_trial *farthest = NULL;
    double least = INFINITY, most = 0, off = 1;
    uint32_t count = 0;

    for (uint32_t i = 0; law && i < t->trials->count; i++) {
        const struct mu_sweep_trial *one = &t->trials->item[i];

        if (one->role == MU_SWEEP_TUNE) {
            least = fmin(least, one->n);
            most = fmax(most, one->n);
        }
    }
    for (uint32_t i = 0; law && i < t->trials->count; i++) {
        const struct mu_sweep_trial *one = &t->trials->item[i];
        const double times = fmax(one->n / most, least / one->n);

        count += times > 1;
        if (times > off) {
            off = times;
            farthest = one;
        }
    }
    if (farthest)
        mu_advise(
            &t->advice,
            "%u trial%s outside of the sizes that %s is tuned at, N = %.3g to %.3g (%s: %.3g, "
            "%.1f times beyond): its law is extrapolated there; tune at sizes further apart",
            count, count == 1 ? " is" : "s are", law->key, least, most, farthest->name, farthest->n,
            off);
}

/* Budgets that round to the same steps are one run, trained twice. */
static void warn_of_equals(const struct telling *t)
{
    const struct mu_sweep_trial *first = NULL, *second = NULL;
    uint32_t count = 0;

    for (uint32_t i = 0; t->spec->kind != MU_SWEEP_GRID && i < t->trials->count; i++) {
        const struct mu_sweep_trial *a = &t->trials->item[i];
        bool found = false;

        for (uint32_t j = i + 1; j < t->trials->count && !found; j++) {
            const struct mu_sweep_trial *b = &t->trials->item[j];

            found = a->role == b->role && a->size == b->size && a->factor == b->factor &&
                    a->tokens == b->tokens && a->settings.run_seed == b->settings.run_seed;
            if (found && !first) {
                first = a;
                second = b;
            }
        }
        count += found;
    }
    if (first)
        mu_advise(&t->advice,
                  "%u trial%s the same run as another (%s and %s): take budgets further apart",
                  count, count == 1 ? " is" : "s are", first->name, second->name);
}

void mu_sweep_warnings(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *trials,
                       const struct mu_sweep_estimate *estimate, mu_plan_warn *warn, void *context)
{
    const struct telling t = {spec, trials, {warn, context}};

    warn_of_trials(&t, estimate->train_tokens);
    warn_of_tuning(&t);
    warn_of_equals(&t);
    warn_of_budgets(&t);
}
