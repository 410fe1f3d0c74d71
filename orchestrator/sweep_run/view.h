/* What the table of a sweep shows, from the state or out of sweep.json; private to show.h's
 * functions. */
#ifndef MUSTER_SWEEP_RUN_VIEW_H
#define MUSTER_SWEEP_RUN_VIEW_H

#include "orchestrator/sweep_run/show.h"

struct mu_sweep_row {
    char name[sizeof((struct mu_sweep_trial *)0)->name];
    enum mu_cell_phase phase;
    uint32_t workers;
    int64_t step, steps;
    double n, tokens, flops;
    double train_loss, valid_loss, tokens_per_s; /* NAN: none */
    double wanted;                               /* seconds left; NAN: not known */
    uint32_t retries;
    double ended_at; /* 0 or NAN: not ended, or not known */
    char message[sizeof((struct mu_cell *)0)->message];
};

struct mu_sweep_view_budget {
    struct mu_sweep_window window;
    uint32_t trials, ended; /* cells of it */
};

struct mu_sweep_view {
    char name[MU_SWEEP_WORD];
    char ended[256];  /* one sentence; empty: it goes on */
    bool interrupted; /* it should go on, and no process works on it */
    bool was_launched, is_launched;
    bool all_known;
    uint32_t start, trials, phases[MU_CELL_PHASES];
    double now, eta, tokens_per_s;
    uint32_t ranks, busy, dead;
    struct mu_ledger_sum goodput;
    char tuned_key[MU_SWEEP_WORD]; /* empty: nothing is tuned */
    struct mu_sweep_tuned tuned;
    uint32_t budgets;
    struct mu_sweep_view_budget budget[MU_SWEEP_LIST];
    struct mu_sweep_row *live, *recent; /* recent: the newest first */
    uint32_t lives, recents;
};

enum { MU_SWEEP_ROWS_RECENT = 8 }; /* of those that have ended: shown at most */

struct mu_sweep_row mu_sweep_row_make(const struct mu_sweep_state *s, uint32_t trial);
uint32_t mu_sweep_view_count_ended(const struct mu_sweep_view *v);
/* "trial NAME: complete at step 800/800, valid loss 2.3456" */
struct mu_progress_text mu_sweep_row_line(const struct mu_sweep_row *r);
/* What is told once at the end, where no table stands: the tuned law, and the budgets. */
void mu_sweep_view_print_findings(FILE *out, const struct mu_sweep_view *v);

#endif
