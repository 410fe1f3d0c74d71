#include "orchestrator/sweep/stages.h"

#include <string.h>

#include "orchestrator/sweep/making.h"
#include "orchestrator/sweep/tune.h"
#include "orchestrator/sweep/windows.h"

struct advancing {
    struct mu_sweep_stages *s;
    const struct mu_sweep_result *result;
    uint32_t count; /* of results; trials added since have none */
    void (*warn)(void *context, const char *line);
    void *context;
};

const char *mu_sweep_bracket_word(enum mu_sweep_bracket bracket)
{
    static const char *const words[] = {
#define WORD(name, word, text, exhausted) [MU_SWEEP_BRACKET_##name] = word,
        MU_SWEEP_BRACKET_TABLE(WORD)
#undef WORD
    };

    return words[bracket];
}

enum mu_sweep_bracket mu_sweep_bracket_of(const char *word)
{
    for (enum mu_sweep_bracket b = 0; word && b < MU_SWEEP_BRACKETS; b++)
        if (strcmp(word, mu_sweep_bracket_word(b)) == 0)
            return b;
    return MU_SWEEP_BRACKET_OPEN;
}

const char *mu_sweep_bracket_text(enum mu_sweep_bracket bracket, bool is_exhausted)
{
    static const char *const texts[][2] = {
#define TEXTS(name, word, text, exhausted) [MU_SWEEP_BRACKET_##name] = {text, exhausted},
        MU_SWEEP_BRACKET_TABLE(TEXTS)
#undef TEXTS
    };

    return texts[bracket][is_exhausted];
}

static bool cells_are_made(const struct mu_sweep_stages *s)
{
    return s->tuned.known || !mu_sweep_tuned(s->spec);
}

static enum mu_status find_reach(struct mu_sweep_stages *s)
{
    struct mu_sweep_trials reached;
    const enum mu_status st =
        mu_sweep_windows_reach(s->spec, s->base, s->file, &s->trials, s->tuned.coefficient,
                               s->tuned.exponent, &reached, s->window);

    mu_sweep_trials_deinit(&reached);
    return st;
}

static uint32_t count_tuning(const struct mu_sweep_trials *t)
{
    uint32_t count = 0;

    while (count < t->count && t->item[count].role == MU_SWEEP_TUNE)
        count++;
    return count;
}

/* One budget's window, and the sizes that it wants. */
static enum mu_status extend(struct advancing *a, uint32_t b)
{
    struct mu_sweep_stages *s = a->s;
    struct mu_sweep_window *w = &s->window[b];
    double size[MU_SWEEP_LIST];
    const uint32_t from = s->trials.count,
                   wanted =
                       mu_sweep_window_look(s->spec, &s->trials, a->result, a->count, b, w, size);
    struct mu_sweep_making mk;
    enum mu_status st;

    if (wanted == 0)
        return MU_OK;
    MU_TRY(mu_sweep_making_begin(&mk, s->spec, s->base, s->file, &s->trials, s->tuned.coefficient,
                                 s->tuned.exponent),
           st, done);
    for (uint32_t i = 0; i < wanted; i++)
        MU_TRY(mu_sweep_make_more(&mk, size[i], w->budget, w->extended + 1), st, done);
done:
    st = mu_sweep_making_end(&mk, st);
    if (st == MU_OK) {
        if (s->spec->share_trunk)
            mu_sweep_trials_join(&s->trials);
        mu_sweep_window_look(s->spec, &s->trials, a->result, a->count, b, w, size);
        s->expected += s->trials.count - from;
        if (s->tuned.known)
            mu_sweep_tune_check_range(s->spec, &s->tuned, &s->trials, from, a->warn, a->context);
    }
    return st;
}

static enum mu_status look_at_windows(struct advancing *a)
{
    struct mu_sweep_stages *s = a->s;
    const bool has_windows = cells_are_made(s) && s->spec->kind == MU_SWEEP_ISOFLOP;
    enum mu_status st = MU_OK;

    s->complete = cells_are_made(s);
    for (uint32_t b = 0; has_windows && b < s->spec->budgets.count; b++) {
        MU_TRY(extend(a, b), st, failed);
        s->complete &= mu_sweep_window_is_final(&s->window[b]);
    }
failed:
    return st;
}

/* Everything is made once, so that mistakes in cells are told before tuning takes its time. */
enum mu_status mu_sweep_stages_init(struct mu_sweep_stages *s, const struct mu_sweep_spec *spec,
                                    const struct mu_settings *base, const char *file)
{
    struct advancing a = {.s = s};
    enum mu_status st;

    *s = (struct mu_sweep_stages){.spec = spec, .base = base, .file = file};
    MU_TRY(mu_sweep_trials_make(spec, base, file, &s->trials), st, failed);
    s->expected = s->trials.count;
    MU_TRY(find_reach(s), st, failed);
    if (mu_sweep_tuned(spec))
        mu_sweep_trials_truncate(&s->trials, count_tuning(&s->trials));
    MU_TRY(look_at_windows(&a), st, failed); /* nothing has ended: nothing is added */
failed:
    if (st != MU_OK)
        mu_sweep_stages_deinit(s);
    return st;
}

void mu_sweep_stages_deinit(struct mu_sweep_stages *s)
{
    mu_sweep_trials_deinit(&s->trials);
    memset(s, 0, sizeof *s);
}

/* All trials that tune have ended: the cells, with what was tuned. */
static enum mu_status make_cells(struct advancing *a)
{
    struct mu_sweep_stages *s = a->s;
    const uint32_t from = s->trials.count;
    struct mu_sweep_tuned tuned;
    struct mu_sweep_making mk;
    enum mu_status st;

    MU_TRY(mu_sweep_tune(s->spec, s->file, &s->trials, a->result, &tuned, a->warn, a->context), st,
           failed);
    st = mu_sweep_making_begin(&mk, s->spec, s->base, s->file, &s->trials, tuned.coefficient,
                               tuned.exponent);
    if (st == MU_OK)
        st = mu_sweep_make_cells(&mk);
    MU_TRY(mu_sweep_making_end(&mk, st), st, failed);
    s->tuned = tuned;
    s->expected = s->trials.count;
    mu_sweep_tune_check_range(s->spec, &tuned, &s->trials, from, a->warn, a->context);
    st = find_reach(s);
failed:
    return st;
}

enum mu_status mu_sweep_stages_advance(struct mu_sweep_stages *s,
                                       const struct mu_sweep_result *result, uint32_t *added,
                                       void (*warn)(void *context, const char *line), void *context)
{
    struct advancing a = {s, result, s->trials.count, warn, context};
    enum mu_status st = MU_OK;

    if (!cells_are_made(s) && mu_sweep_tune_has_ended(&s->trials, result, a.count))
        st = make_cells(&a);
    if (st == MU_OK)
        st = look_at_windows(&a);
    *added = s->trials.count - a.count;
    return st;
}
