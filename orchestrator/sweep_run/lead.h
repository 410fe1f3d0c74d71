/* The sweep's master as a process: the rank at place 0, which also trains. It hears the others
 * inside its polls, decides (master.h), writes down (journal.h) what must be durable before it is
 * done, and keeps the sweep's files and the screen. Nothing in it is needed by its successor: that
 * reads the journal, and hears from everybody's word in the repair who works on what. */
#ifndef MUSTER_SWEEP_RUN_LEAD_H
#define MUSTER_SWEEP_RUN_LEAD_H

#include "orchestrator/run/journal.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/sweep_run/beside.h"
#include "orchestrator/sweep_run/line.h"
#include "orchestrator/sweep_run/master.h"
#include "orchestrator/sweep_run/past.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/show.h"

/* What every rank knows since they met, so that each of them can lead. */
struct mu_sweep_facts {
    struct mu_sweep_spec *spec; /* malloc'ed */
    struct mu_settings base;
    char file[MU_PATH_MAX], path[MU_PATH_MAX]; /* the sweep file; the sweep's folder, or a part's */
    int *name; /* of those that met, ascending; and their hosts, numbered from 0 */
    uint32_t *host, count;
    struct mu_sweep_data data; /* the first master's alone */
};

struct mu_sweep_channel; /* to a rank */

struct mu_sweep_lead {
    struct mu_session *session;
    struct mu_sweep_line *line; /* of this rank */
    const struct mu_sweep_facts *facts;
    struct mu_sweep_master master;
    struct mu_sweep_past past;
    struct mu_sweep_beside beside; /* other parts, and earlier ways to do the sweep */
    struct mu_hash_text plan;
    struct mu_run_dir *folder; /* its lock */
    struct mu_journal *journal;
    struct mu_sweep_channel *channel; /* by master.member */
    bool is_broken;                   /* the communicator, until the next repair */
    struct mu_sweep_screen *screen;
    struct mu_sweep_reporter reporter;
    double clock; /* what mu_clock_s() says at state.now = 0 */
    double told, looked;
    bool has_new_results;
    bool makes_way;   /* for other ranks, by its launcher: states stay in memory */
    bool has_looked;  /* at a stop: for what is in memory alone */
    int over;         /* enum mu_status, or MU_SWEEP_NOT_OVER */
    bool is_finished; /* and everybody may be told */
    /* Of a part: */
    uint32_t *waits_for; /* by part: trials that it would have to do first */
    double waits_since;  /* by mu_clock_s(): nobody works on these since then; NAN: somebody does */
    double merges;       /* when the files of the whole are made next */
    bool must_merge, gave_up;
};

/* Of a start (words NULL): locks the folder, reads what was, compares what is asked for with it:
 * MU_CONFIG, told, when a trial that was begun has another meaning now. Else in the place of a
 * master that died: words as of the repair. */
enum mu_status mu_sweep_lead_open(struct mu_session *session, struct mu_sweep_line *line,
                                  const struct mu_sweep_facts *facts,
                                  const struct mu_rank_word *words, uint32_t word_count,
                                  struct mu_sweep_lead **out) MU_CHECKED;
void mu_sweep_lead_close(struct mu_sweep_lead *lead); /* NULL is allowed */
/* After a repair. */
void mu_sweep_lead_reset(struct mu_sweep_lead *lead, const struct mu_rank_word *words,
                         uint32_t count);
/* Inside polls. */
void mu_sweep_lead_serve(struct mu_sweep_lead *lead);
/* Once it is over: the last report and lines, polling; then the others are told. MU_RECOVERED and
 * failures are the poller's. */
enum mu_status mu_sweep_lead_finish(struct mu_sweep_lead *lead) MU_CHECKED;

/* At a stop, once everybody waits (unsaved.c): trials whose newest state is in memory alone,
 * since they made way or their ranks died, are to be saved first. */
void mu_sweep_lead_look_for_unsaved(struct mu_sweep_lead *lead);

/* ---- part.c: of one that is a part, else nothing ---- */
enum mu_status mu_sweep_lead_open_part(struct mu_sweep_lead *lead) MU_CHECKED;
void mu_sweep_lead_close_part(struct mu_sweep_lead *lead);
/* Takes what others have come to; at a failure master.status. */
void mu_sweep_lead_look_beside(struct mu_sweep_lead *lead, bool at_once);
/* Whether to wait no longer for results that nobody is about to bring. */
bool mu_sweep_lead_gives_up(struct mu_sweep_lead *lead);
/* "part 2 of 4 has 3 trials to do": for whom it waits. */
void mu_sweep_lead_name_others(const struct mu_sweep_lead *lead, char *text, size_t size);
/* Files of the whole, now and then; at the end until nothing is new any more. */
void mu_sweep_lead_merge(struct mu_sweep_lead *lead);
void mu_sweep_lead_merge_at_end(struct mu_sweep_lead *lead);
/* Whether the report is for this one to make: while it works; at its end. */
bool mu_sweep_lead_reports(const struct mu_sweep_lead *lead, bool at_end);

/* ---- channels.c ---- */
enum mu_status mu_sweep_channels_open(struct mu_sweep_lead *lead) MU_CHECKED;
void mu_sweep_channels_close(struct mu_sweep_lead *lead);
void mu_sweep_channels_reset(struct mu_sweep_lead *lead);
/* Hears everybody, and sends what is due. */
void mu_sweep_channels_serve(struct mu_sweep_lead *lead);
void mu_sweep_channels_order(struct mu_sweep_lead *lead, uint64_t group);
void mu_sweep_channels_make_way(struct mu_sweep_lead *lead, uint64_t group);
void mu_sweep_channels_stop(struct mu_sweep_lead *lead); /* everybody who works */
void mu_sweep_channels_make_way_all(struct mu_sweep_lead *lead);
void mu_sweep_channels_end(struct mu_sweep_lead *lead); /* lead->over */
/* lead.c: a message of a rank has come. */
void mu_sweep_lead_hear(struct mu_sweep_lead *lead, int rank, const struct mu_sweep_up *up);

#endif
