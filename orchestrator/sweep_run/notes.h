/* What the master of a sweep writes into its journal (run/journal.h), durably before it is acted
 * upon. past.h reads it. */
#ifndef MUSTER_SWEEP_RUN_NOTES_H
#define MUSTER_SWEEP_RUN_NOTES_H

#include "orchestrator/run/journal.h"
#include "orchestrator/sweep_run/master.h"
#include "orchestrator/sweep_run/past.h"

enum mu_status mu_sweep_note_start(struct mu_journal *j, const struct mu_sweep_state *s,
                                   const struct mu_sweep_data *data) MU_CHECKED;
/* NEWS_MAKE_WAY needs no record. */
enum mu_status mu_sweep_note(struct mu_journal *j, const struct mu_sweep_master *m,
                             const struct mu_sweep_news *news) MU_CHECKED;

#endif
