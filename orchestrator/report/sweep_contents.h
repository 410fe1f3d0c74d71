/* What a sweep's report says beside its fit: where it stands, what was tuned, whether minima are
 * bracketed, that branches have the bits of runs alone, where the time went, every trial. */
#ifndef MUSTER_REPORT_SWEEP_CONTENTS_H
#define MUSTER_REPORT_SWEEP_CONTENTS_H

#include "orchestrator/report/document.h"
#include "orchestrator/report/sweep_folder.h"

void mu_sweep_say_state(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_budgets(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_tuning(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_trunks(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_fleet(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_goodput(struct mu_document *doc, const struct mu_sweep_folder *f);
void mu_sweep_say_trials(struct mu_document *doc, const struct mu_sweep_folder *f);

/* X(name, what it shows) */
#define MU_SWEEP_PICTURE_TABLE(X)                                                                \
    X(TUNING, "Loss over the tuned value, for each size and budget that it was tuned at: runs, " \
              "parabolas, and their vertices. Not shown: runs that diverged.")                   \
    X(TIMELINE,                                                                                  \
      "Who trained what when: a bar a rank, coloured by the size of the trial; grey: "           \
      "trials that tune. A red dot: the rank died. A triangle: the trial moved to other "        \
      "ranks. Dashed: a new start of the sweep; the time between starts is left out.")

enum mu_sweep_picture {
#define MU_SWEEP_PICTURE_ENUM(name, text) MU_SWEEP_PICTURE_##name,
    MU_SWEEP_PICTURE_TABLE(MU_SWEEP_PICTURE_ENUM)
#undef MU_SWEEP_PICTURE_ENUM
        MU_SWEEP_PICTURES
};
enum { MU_SWEEP_BARS = 6000 }; /* of the timeline, at most: a page should open at once */
const char *mu_sweep_picture_text(enum mu_sweep_picture picture);
/* gnuplot's script, into `out`; false: there is nothing to show. */
bool mu_sweep_picture_script(FILE *out, const struct mu_sweep_folder *f,
                             enum mu_sweep_picture picture);

#endif
