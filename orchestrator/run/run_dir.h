/* The run directory: what a run leaves for people and programs. Written by one rank only (the
 * master); run_dir.c lists the files. Opening an existing one continues it: records beyond the step
 * the run goes on from are dropped, so that nothing is counted twice. */
#ifndef MUSTER_RUN_RUN_DIR_H
#define MUSTER_RUN_RUN_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"
#include "orchestrator/core/ledger.h"

struct mu_run_dir;

/* One line of metrics.jsonl and metrics.csv, and an event of tb/: what was measured at optimizer
 * step `step` (1 = after the first). NaN: no value. */
struct mu_metrics {
    int64_t step;
    double loss; /* nats per token, training batch */
    double gradient_norm, lr;
    double step_ms; /* wall time of a step, mean since the last record */
    double tokens_per_s;
    double peak_share; /* achieved FLOP/s over measured matmul peak of all threads */
    uint64_t tokens;   /* seen in all */
    double valid_loss, valid_bits_per_byte; /* NaN when not evaluated at this step */
    bool has_hash;
    struct mu_hash hash;
    uint32_t escapes, redone; /* escaped blocks of the step; 1 when it was computed twice */
    bool skipped;             /* on_nonfinite = skip */
};

/* status.json, prometheus.prom */
enum mu_run_state { MU_RUN_STARTING, MU_RUN_RUNNING, MU_RUN_SAVING, MU_RUN_ENDED };
enum mu_run_outcome { MU_OUTCOME_NONE, MU_OUTCOME_COMPLETE, MU_OUTCOME_REQUEUE, MU_OUTCOME_FAILED };
/* Who made a run, or a sweep, stop that is to go on; "stopped_by" has these words. */
#define MU_RUN_STOPPER_TABLE(X)                                                             \
    X(REQUEST, "request")       /* muster stop, control/stop: a launcher is not to go on */ \
    X(SIGNAL, "signal")         /* to mpirun, a rank or the launcher */                     \
    X(TIME_LIMIT, "time_limit") /* run.time_limit */                                        \
    X(LAUNCHER, "launcher")     /* it wants other ranks */
enum mu_run_stopper {
    MU_STOPPED_BY_NOBODY,
#define MU_RUN_STOPPER_ENUM(id, word) MU_STOPPED_BY_##id,
    MU_RUN_STOPPER_TABLE(MU_RUN_STOPPER_ENUM)
#undef MU_RUN_STOPPER_ENUM
};
/* NULL: nobody. */
const char *mu_run_stopper_word(enum mu_run_stopper stopper);
struct mu_run_status {
    enum mu_run_state state;
    enum mu_run_outcome outcome;
    bool agreed; /* failed: all ranks came to the same end, which starting again will not mend */
    int64_t step, steps;
    double loss, valid_loss;
    bool has_hash;
    struct mu_hash hash; /* of the newest hashed step, given in hash_step */
    int64_t hash_step;
    int ranks, hosts;
    int workers;         /* of the ranks; the others are spares */
    uint32_t generation; /* starts of the run, counted from 1; 0: not known yet */
    int64_t saved_step;  /* of the newest checkpoint; -1: none */
    enum mu_run_stopper stopped_by;
    bool has_died; /* failed, as dead_rank, the first of them, has died */
    int dead_rank;
    char message[256]; /* one plain sentence */
    /* Of the whole run, earlier generations included. Without any time: what they have left. */
    struct mu_ledger_sum goodput;
};

/* NAME of ".../trials/NAME", a trial's folder; NULL: it is no trial's. */
const char *mu_run_dir_trial(const char *path);

/* Makes `path` (run.dir/run.name) with its folders, unless it is there, and takes its lock: nobody
 * else on this machine trains this run from now on. MU_FAILED, with the holder's pid and host,
 * while another process has it (after up to a second, since a killed process's lock may outlive it
 * a little). Nothing that stands there is touched; the status may be put. */
enum mu_status mu_run_dir_lock(const char *path, struct mu_run_dir **out) MU_CHECKED;
/* Whether a process holds the lock of the folder, without taking it. Where it cannot be opened or
 * locked nothing can be told: then it counts as held; a folder without one is not. */
bool mu_run_dir_is_locked(const char *path);
/* A number that this run has for ever, and another run in a folder of the same name has not: what
 * is left in memory of that one is none of this one's. */
enum mu_status mu_run_dir_identity(const struct mu_run_dir *dir, uint64_t *out) MU_CHECKED;
/* It gets another number: what is in memory is no part of what it is from now on. */
enum mu_status mu_run_dir_forget_identity(const struct mu_run_dir *dir) MU_CHECKED;
/* Begins to write: drops records beyond `resume_step` (steps committed in the checkpoint gone on
 * from; 0: a fresh run). config_text: the resolved configuration, written to config.cfg. */
enum mu_status mu_run_dir_begin(struct mu_run_dir *dir, const char *config_text,
                                int64_t resume_step) MU_CHECKED;
void mu_run_dir_close(struct mu_run_dir *dir); /* NULL is allowed */

/* What status.json said when the lock was taken, to be carried on; zeros in a new run. */
struct mu_run_kept {
    struct mu_ledger_sum goodput;
    int64_t step; /* committed steps: those beyond the checkpoint gone on from are taken again */
    bool interrupted; /* the run was begun, and neither completed nor stopped on request */
    int64_t died;     /* ranks of a generation that did not come to say how it ended */
};
struct mu_run_kept mu_run_dir_kept(const struct mu_run_dir *dir);
/* Errors (disk full) are warned of once and training goes on: metrics are not worth a run. The
 * status is written at most twice a second, at once when its state or outcome changes, and a last
 * time at closing. */
void mu_run_dir_put_metrics(struct mu_run_dir *dir, const struct mu_metrics *m);
void mu_run_dir_put_status(struct mu_run_dir *dir, const struct mu_run_status *s);
/* loss.svg, with gnuplot when it is installed. In the background (never blocks; call it as often as
 * you like, a drawing is begun at most every 15 s), or `wait`: until it is drawn, at most 10 s. */
void mu_run_dir_plot(struct mu_run_dir *dir, bool wait);
#define MU_REQUEST_STOP_FILE "stop"
bool mu_run_dir_stop_requested(const struct mu_run_dir *dir); /* control/stop exists */
/* control/relaunch exists: the launcher that started this generation wants another one. */
#define MU_REQUEST_RELAUNCH "relaunch"
bool mu_run_dir_relaunch_requested(const struct mu_run_dir *dir);
/* A request to the launcher, which alone takes it away: control/resize holds a number of ranks. */
#define MU_REQUEST_RESIZE "resize"
/* What has been obeyed goes: control/stop and control/relaunch. Named requests have an answer first
 * (orchestrator/steer/request.h). */
void mu_run_dir_clear_requests(struct mu_run_dir *dir);
void mu_run_dir_clear_request(struct mu_run_dir *dir, const char *name);
/* The same for who has not the run. */
void mu_run_dir_unask(const char *path, const char *name);

/* First and last recorded losses, for the summary; NaN when there are none. Reads the file. */
struct mu_run_losses {
    double first_train, last_train, first_valid, last_valid, last_bits_per_byte;
    int64_t last_step; /* of the newest record; 0: none */
};
struct mu_run_losses mu_run_dir_losses(const struct mu_run_dir *dir);
int64_t mu_run_dir_last_step(const char *path); /* the last of these, of a run that is not held */

/* Reads status.json, as an object; NULL when it is none, which is not reported: it may be any file
 * of that name. MU_NOT_FOUND when there is none (not reported). *signs: changes with every byte of
 * it; NULL: not wanted. The caller gives up the reference. */
struct json_t;
enum mu_status mu_run_dir_read_status(const char *path, struct json_t **status,
                                      uint64_t *signs) MU_CHECKED;
/* Reads config.cfg of an existing run directory; MU_NOT_FOUND when there is none (not reported).
 * The caller frees. */
enum mu_status mu_run_dir_read_config(const char *path, char **text) MU_CHECKED;

#endif
