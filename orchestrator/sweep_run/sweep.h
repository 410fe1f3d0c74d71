/* A sweep as one rank lives it: it meets the others, then asks the master for work, runs the trial
 * that it is ordered to, tells how that ended, and so on until the master says END.
 *
 *   sweep.c      the life of a rank
 *   meet.c       what all of them have to know before: after that, any of them can be the master
 *   line.c       a rank's messages to the master and from it; messages.c: how they are packed
 *   lead.c       the master: hears, decides, writes down, does; lead_open.c: how it comes to know
 *                where the sweep stands
 *   unsaved.c    what a stop must not leave in memory alone
 *   part.c       of one that does a part of the sweep: what it takes from the others, whom it waits
 *                for; beside.h: what the others' journals say; part_folder.h: where parts are kept;
 *                merge.h: the files of all parts as those of one sweep
 *   channels.c   its end of the lines
 *   master.c hear.c decide.c   its decisions, pure
 *   notes.c past.c   the sweep's journal, written and read
 *   paths.c      where trials are kept, and what they are told */
#ifndef MUSTER_SWEEP_RUN_SWEEP_H
#define MUSTER_SWEEP_RUN_SWEEP_H

#include "orchestrator/sweep_run/lead.h"

struct mu_sweep_request {
    const char *path; /* of the sweep file */
    char *const *overrides;
    int override_count;
    struct mu_sweep_part part;
};

struct mu_sweep {
    struct mu_session session;
    struct mu_sweep_facts facts;
    struct mu_sweep_line line;
    struct mu_sweep_lead *lead; /* the master's own; NULL: another rank is it */
    bool is_lost;               /* this rank should be the master, and cannot */
};

/* MU_OK: every trial has ended, diverged ones among them; MU_REQUEUE: stopped on request;
 * MU_FAILED: some trial has failed for good; MU_CONFIG and others as reported. */
enum mu_status mu_sweep_run(const struct mu_sweep_request *request) MU_CHECKED;

/* meet.c: fills facts on every rank, and opens the lead on the master. Rounds of all ranks, begun
 * again with the living when somebody dies in them. */
enum mu_status mu_sweep_meet(struct mu_sweep *s, const struct mu_sweep_request *request) MU_CHECKED;
void mu_sweep_facts_deinit(struct mu_sweep_facts *facts);

#endif
