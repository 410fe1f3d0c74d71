/* How a sweep's list of trials grows as results come: tuning, then the cells of the grid with the
 * tuned value, then more sizes for budgets whose minimum is not bracketed. Every decision waits for
 * all results that it looks at, and is a pure function of the file and of these, so that it does
 * not depend on who computed what when.
 *
 *   tuning   the tuned key's optimum at each cell of `tune`: the vertex of a parabola in ln(value)
 *            through the best losses; then a power law of N through the optima (one cell: a
 *            constant): tune.h
 *   cells    trials.h; run once, with seeds that tuning did not use; tuning never enters the fit
 *   extend   a budget whose cells have all ended, and whose minimum has fewer than window.each_side
 *            sizes on a side: sizes are added there, at most window.extend times: windows.h
 *
 * A decision once taken stays. A later start that tries a failed trial again first gives it out as
 * MISSING, as it was, until nothing more is added, and only then as NONE: else what is tuned could
 * change under cells that have ended. */
#ifndef MUSTER_SWEEP_STAGES_H
#define MUSTER_SWEEP_STAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/sweep/trials.h"

/* What a trial has come to, as far as decisions look at it. */
enum mu_sweep_result_kind {
    MU_SWEEP_RESULT_NONE,     /* not yet */
    MU_SWEEP_RESULT_LOSS,     /* complete */
    MU_SWEEP_RESULT_DIVERGED, /* a result too: worse than any loss */
    MU_SWEEP_RESULT_MISSING   /* out of memory, failed, refused: there will be none */
};
struct mu_sweep_result {
    enum mu_sweep_result_kind kind;
    double loss; /* over the validation set; the training loss where there is none */
};

/* How the tuned value was found. */
struct mu_sweep_tuned {
    bool known; /* all trials that tune have ended */
    uint32_t cells;
    struct mu_sweep_optimum {
        double size, n, budget;
        double value;      /* optimum of the key's value */
        double loss;       /* of the parabola there */
        bool is_bracketed; /* else the best value lies at the edge of the factors: a warning */
        uint32_t points;   /* losses that the parabola goes through */
    } cell[MU_SWEEP_LIST];
    double coefficient, exponent; /* value = coefficient * N^exponent */
    double least_n, most_n;       /* of the cells: beyond is extrapolation */
};

/* X(name, word, for people, the same when no more sizes will come) */
#define MU_SWEEP_BRACKET_TABLE(X)                                                           \
    X(OPEN, "open", "not known yet", "not known yet") /* not all of its cells have ended */ \
    X(YES, "yes", "yes", "yes")                                                             \
    X(LEFT, "left", "no: smaller sizes wanted", "no: smaller sizes wanted, none left")      \
    X(RIGHT, "right", "no: larger sizes wanted", "no: larger sizes wanted, none left")      \
    X(NONE, "none", "too few losses to tell", "too few losses to tell")
enum mu_sweep_bracket {
#define MU_SWEEP_BRACKET_ENUM(name, word, text, exhausted) MU_SWEEP_BRACKET_##name,
    MU_SWEEP_BRACKET_TABLE(MU_SWEEP_BRACKET_ENUM)
#undef MU_SWEEP_BRACKET_ENUM
        MU_SWEEP_BRACKETS
};
const char *mu_sweep_bracket_word(enum mu_sweep_bracket bracket);
/* OPEN for NULL, and for what is none of these words. */
enum mu_sweep_bracket mu_sweep_bracket_of(const char *word);
/* Whether the minimum is bracketed. */
const char *mu_sweep_bracket_text(enum mu_sweep_bracket bracket, bool is_exhausted);

struct mu_sweep_window { /* of a budget of an isoflop sweep */
    double budget;
    enum mu_sweep_bracket bracket;
    int64_t extended;  /* how often so far */
    bool is_exhausted; /* not bracketed, and no sizes will come: none are left, or no extension */
    double best_size, best_loss; /* of those known so far; NAN: none */
    uint32_t first, last;        /* indices of sizes.values that extensions may reach */
};

struct mu_sweep_stages {
    const struct mu_sweep_spec *spec; /* borrowed, as is base */
    const struct mu_settings *base;
    const char *file;              /* for messages */
    struct mu_sweep_trials trials; /* known so far; an index never changes */
    uint32_t expected;             /* how many with the cells that wait for what is tuned */
    bool complete;                 /* no more will come, whatever the results */
    struct mu_sweep_tuned tuned;
    struct mu_sweep_window window[MU_SWEEP_LIST]; /* by budget */
};

/* The trials that depend on no result; mistakes in those that do are told, too: MU_CONFIG. */
enum mu_status mu_sweep_stages_init(struct mu_sweep_stages *s, const struct mu_sweep_spec *spec,
                                    const struct mu_settings *base, const char *file) MU_CHECKED;
void mu_sweep_stages_deinit(struct mu_sweep_stages *s);
/* result[i] of trials.item[i], i < trials.count. Appends what is decided now, and brings tuned,
 * window and complete up to date; *added: how many, which have no result yet. trials.item may move.
 * Nothing more is decided without new results; a sweep that is begun again calls it until nothing
 * is added. `warn` gets a line a call: a best value at the edge of those tried, a tuned law far
 * outside its cells' range of N. MU_CONFIG, told: tuning has found nothing to go on with; trials
 * stay. */
enum mu_status mu_sweep_stages_advance(struct mu_sweep_stages *s,
                                       const struct mu_sweep_result *result, uint32_t *added,
                                       void (*warn)(void *context, const char *line),
                                       void *context) MU_CHECKED;

/* Which trials must have ended, or come so far, before trial i may begin: its trunk, at `shared`
 * steps; MU_TRIAL_ALONE: none. */
static inline uint32_t mu_sweep_waits_for(const struct mu_sweep_trials *t, uint32_t i)
{
    return t->item[i].shared > 0 ? t->item[i].trunk : MU_TRIAL_ALONE;
}

#endif
