/* A training job as one rank lives it, in its session. Every rank runs the same code; the lowest
 * one is also the master: it reads the configuration, owns the run directory, and speaks to people.
 *
 *   job_start.c   meet, prepare: ends with every rank holding device, data and segment
 *   job_config.c  what is to be trained, and whether that is what stands in the run directory
 *   origin.c      the checkpoint that a fork comes from
 *   go_on.c       what becomes of a run that stands there already
 *   job_gpus.c    a GPU for each worker, and what becomes of a rank that has none
 *   job_memory.c  what the run needs of a GPU's memory
 *   job_load.c    a checkpoint or initial weights: every rank at the same committed state
 *   job_order.c   what the master has all of them load
 *   job_probe.c   whether all ranks compute the same bits
 *   job_choices.c which algorithms the devices use, the same on every rank
 *   job_records.c what the master opens and says when it begins
 *   job_run.c     steps, and what is due between them
 *   job_hash.c    the hash of the state
 *   job_save.c    checkpoints
 *   job_snapshot.c copies of GPUs' state
 *   job_requests.c what is asked for in control/
 *   job_ranks.c   ranks.json: which process is which rank
 *   job_end.c     complete, stopped, or making way for the next generation
 *   job_recover.c going on without a rank that died
 *   job_fail.c    what a rank says and leaves behind when the job cannot go on
 *   job_ledger.c  where the ranks' time went
 *   resume.c      which checkpoint the run goes on from
 *   session.c     what a rank has whatever it works on, MPI among it
 *   trial_job.c   a job with a part of the ranks: a trial of a sweep */
#ifndef MUSTER_MASTER_JOB_H
#define MUSTER_MASTER_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/duty.h"
#include "orchestrator/core/lifecycle.h"
#include "orchestrator/core/roll.h"
#include "orchestrator/core/time_limit.h"
#include "orchestrator/master/job_requests.h"
#include "orchestrator/master/origin.h"
#include "orchestrator/master/session.h"
#include "orchestrator/master/trial_job.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/progress.h"
#include "orchestrator/run/run_dir.h"
#include "worker/comm/control.h"
#include "worker/rehearse.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

enum { MU_FINGERPRINT_MAX = 1024 };

struct mu_record_mark {
    uint64_t ns;
    int64_t step;
};

struct mu_job {
    struct mu_life life;
    struct mu_session *session;
    struct mu_board *board; /* the session's, as are these: */
    struct mu_watchdog *watchdog;
    struct mu_poller *poller;
    struct mu_recovery *recovery;
    struct mu_comm *comm;               /* of all ranks, or of the trial's group */
    const struct mu_trial_order *trial; /* NULL: `muster train` */
    struct mu_control control;
    struct mu_roll roll;
    struct mu_settings settings;
    char *config_text; /* resolved; malloc'ed */
    enum mu_isa isa;
    uint64_t generation, run_key, run_id;
    uint64_t *host_key; /* by place, when the ranks met */
    struct mu_hash probe;
    struct mu_device *device;
    struct mu_worker_memory memory; /* of this rank's GPU */
    struct mu_job_choices {
        void *bytes; /* of mu_device_write_choices, malloc'ed; the same on all ranks */
        size_t size; /* 0: none */
    } choices;
    struct mu_workload *workload;
    struct mu_segment segment;
    struct mu_worker worker;
    struct mu_snapshots snapshots;
    /* Who has what outlives the ranks on this machine: the worker, or with its state in a device's
     * memory the one that has the copies of it. */
    struct mu_worker *keeper;
    struct mu_duty_plan plan;
    /* Where training stands: all ranks keep it, as any of them may be the master soon. */
    struct mu_step_result last; /* of step life.step; nothing before the first one */
    int64_t duties_done;        /* the newest step whose duties this rank need not do any more */
    bool over;                  /* the last step's duties are done */
    bool is_begun;              /* a master has opened the records of this job */
    bool from_memory;           /* the state was taken up from an earlier generation's */
    uint64_t setting;           /* struct mu_segment_origin */
    double peak_flops;          /* of a rank's threads; 0: not known */
    /* The newest record and the one before, which counts when the newest must be made again. */
    struct mu_record_mark recorded[2];
    uint64_t tokens;                   /* seen in all */
    struct mu_hash_text data_identity; /* of data.train when the job began; "": it has none */
    char run_path[MU_PATH_MAX], checkpoints[MU_PATH_MAX];
    char fingerprint[MU_FINGERPRINT_MAX];
    struct mu_origin origin;    /* on who met as the master */
    struct mu_settings *parent; /* of a fork that begins: those of where it comes from */
    /* With another schedule than before (go_on.h): steps that are the same in both, INT64_MAX if all
     * are; where the run goes back to, having come to `went_to`, 0: nowhere. */
    int64_t common_steps, goes_back_to, went_to;
    struct mu_hash stood; /* what stood in the run directory when it was looked at */
    int64_t resumed_step; /* of the checkpoint gone on from; 0: fresh */
    struct mu_hash resumed_hash;
    int64_t saved_step; /* of the newest checkpoint; -1: none */
    bool is_master;
    int64_t reached; /* committed by an earlier generation: up to there, steps are redone */
    struct mu_time_limit time_limit;
    bool is_out_of_time; /* run.time_limit has asked for the end */

    /* The master's own. */
    struct mu_run_dir *run;
    struct mu_journal *journal;
    struct mu_progress *progress;
    struct mu_job_requests requests;
    struct mu_rank_table *ranks; /* job_ranks.c; NULL: not gathered by this one */
    struct mu_run_status status;
    struct mu_ledger_sum kept; /* of the account, when this job began */
    bool summarised;
    bool told;     /* why all ranks stop */
    bool diverged; /* that is why; on all ranks */
    struct mu_trial_speed {
        struct mu_record_mark since;
        double tokens_per_s;  /* NAN: not measured yet */
    } speed;                  /* of a trial, on its leader */
    struct mu_trial_crashes { /* ranks of a trial that died in a row, without a step in between */
        int64_t step;
        uint32_t count;
    } crashes;
    bool fails_group;   /* a trial's: this rank has failed, and its group with it */
    bool keeps_state;   /* a trial's: the state in memory is for who goes on */
    bool has_last_word; /* of ranks that fail at once, this one speaks */
    char news[256];     /* of deaths, not in the journal yet */
};

/* What the command line asked for; only the master's is looked at. Of a trial: its order. */
struct mu_job_request {
    const char *config_path; /* NULL: the order has the configuration */
    char *const *overrides;
    int override_count;
    const char *from;       /* --from: a checkpoint of another run; NULL: none */
    bool weights_only;      /* --weights-only */
    bool fresh;             /* --fresh: what stands in the run directory is put aside */
    enum mu_status refused; /* this rank's words, reported: all ranks are to leave */
};

/* The whole job. MU_OK: complete; MU_REQUEUE: stopped on request; MU_CONFIG and others as reported.
 * Does not return when the job has failed in a way that the other ranks cannot be told of in any
 * other way than by leaving. */
enum mu_status mu_job_run(const struct mu_job_request *request) MU_CHECKED;

/* A repair has told that the trial's work is done: of its group somebody has left already. */
bool mu_job_is_released(const struct mu_job *job);
/* From the beginning to the end that all ranks know of, or to a failure. */
enum mu_status mu_job_live(struct mu_job *job, const struct mu_job_request *request) MU_CHECKED;
/* With the session's parts, before it is attached there. */
void mu_job_init(struct mu_job *job, struct mu_session *session, struct mu_comm *comm);

/* How many steps this job takes. */
static inline int64_t mu_job_steps(const struct mu_job *job)
{
    return job->trial && job->trial->steps > 0 ? job->trial->steps : job->settings.run_steps;
}

/* mu_life_move, and the same on the board. */
void mu_job_move(struct mu_job *job, enum mu_life_event event);
/* The parts, in order. */
enum mu_status mu_job_meet(struct mu_job *job, const struct mu_job_request *request) MU_CHECKED;
enum mu_status mu_job_prepare(struct mu_job *job) MU_CHECKED;
enum mu_status mu_job_load(struct mu_job *job) MU_CHECKED;
/* job_config.c, the master's: the configuration, resolved with what the data say, and compared with
 * the run that stands in its directory already; what it says of a device. Nothing is written. */
enum mu_status mu_job_read_config(struct mu_job *job,
                                  const struct mu_job_request *request) MU_CHECKED;
struct mu_device_options mu_job_device_options(const struct mu_job *job);
/* job_config.c, the master's, after that: the run directory is this run's from here on. */
enum mu_status mu_job_take_run_dir(struct mu_job *job,
                                   const struct mu_job_request *request) MU_CHECKED;
/* job_probe.c. Every rank computes one shard from the same weights, of `half`: MU_FAILED, reported,
 * when their bits are not the same, or the promise would be void. */
enum mu_status mu_job_compare_probes(struct mu_job *job, uint32_t half) MU_CHECKED;
/* job_gpus.c. With device.kind = "cuda": this rank's GPU is chosen, unless it has one. Does not
 * return on a rank for which there is none and which the others do without. MU_CONFIG, reported:
 * there are too few. */
enum mu_status mu_job_deal_gpus(struct mu_job *job) MU_CHECKED;
/* job_memory.c. Whether a model of resolved settings can be in this host's memory at all, before
 * time is spent on it: MU_NO_MEMORY, with how much it takes. */
enum mu_status mu_job_check_host(const struct mu_settings *settings) MU_CHECKED;
/* job_memory.c. What this rank will take of its GPU's memory, in job->memory: MU_NO_MEMORY, with
 * what to do, when it has not that much. */
enum mu_status mu_job_check_memory(struct mu_job *job,
                                   const struct mu_device_options *options) MU_CHECKED;
/* job_fail.c. Its GPU has failed, and whatever is begun again in this process would fail, too. */
bool mu_job_has_lost_gpu(const struct mu_job *job);
/* In a start, before others are told that this rank has failed: leaves where it is its GPU that is
 * broken, and the others can go on without it. */
void mu_job_leave_broken(struct mu_job *job, enum mu_status own);
/* In place of mu_control_agree, by all ranks, where `own` is of work on the device: who leaves has
 * died to the others, which need not fail with it. */
enum mu_status mu_job_agree(struct mu_job *job, enum mu_status own) MU_CHECKED;
/* job_choices.c. Rounds of all ranks, on devices that have choices (kernels/device.h): what is kept
 * with the run is taken up; and what that leaves open is chosen by the master, in a probe on the
 * weights of `half`, and kept. MU_CONFIG, reported: a rank's device cannot take them. */
enum mu_status mu_job_choices_take_up(struct mu_job *job) MU_CHECKED;
enum mu_status mu_job_choices_make(struct mu_job *job, uint32_t half) MU_CHECKED;
struct mu_hash mu_job_choices_hash(const struct mu_job *job); /* zero: there are none */
void mu_job_choices_deinit(struct mu_job *job);
enum mu_status mu_job_train(struct mu_job *job) MU_CHECKED;
/* How many machines the living ranks are on. */
int mu_job_hosts(const struct mu_job *job);
/* Writes and publishes a checkpoint of the committed state, whose hash is given. A failure is an
 * alarm, the same on all ranks, and leaves the older ones as they are. */
enum mu_status mu_job_save(struct mu_job *job, struct mu_hash state_hash) MU_CHECKED;
/* What is done of a duty already: the master's word, put into *done there, becomes everybody's. */
enum mu_status mu_job_hear_done(struct mu_job *job, uint32_t *done) MU_CHECKED;
/* Whether the committed state is the beginning of other runs, too. */
bool mu_job_has_branches(const struct mu_job *job);
/* Leaves it to them as a checkpoint, where it is not yet. A failure is an alarm. */
enum mu_status mu_job_save_branches(struct mu_job *job, struct mu_hash state_hash) MU_CHECKED;
/* The master's: the checkpoint of saved_step gets its record, and older ones go, if who published
 * it died before that. No save may be under way. */
void mu_job_complete_save(struct mu_job *job);
/* How long the newest save took of which the journal tells; 0: it is not known. */
double mu_job_known_save_s(const struct mu_job *job);
/* Hash of the committed state, the same on all hosts (else MU_INTERNAL, as where a GPU's own copy
 * differs). */
enum mu_status mu_job_hash(struct mu_job *job, struct mu_hash *out) MU_CHECKED;
/* job_snapshot.c, for ranks whose state is in their devices' memory. Opens the segments of copies,
 * and settles who the keeper is: a round of all ranks, after the worker is there. */
enum mu_status mu_job_open_snapshots(struct mu_job *job) MU_CHECKED;
/* From what the keeper has of its machine into the device's memory, as the committed state: a round
 * of all ranks. handed_over: this machine had none before. */
enum mu_status mu_job_upload(struct mu_job *job, bool handed_over) MU_CHECKED;
/* Makes the copy that was asked for at the step that was committed last, or that is to make way. */
enum mu_status mu_job_snapshot(struct mu_job *job) MU_CHECKED;
/* After a repair: this job's roll is new; tells who died. */
void mu_job_recovered(void *job);
/* Of a trial: its ranks die at one step, more often than may be by chance. */
bool mu_job_crashes(const struct mu_job *job);
/* Between two recoveries: takes up what the new roll gives this rank to do, the master's duties
 * among it. */
enum mu_status mu_job_take_roll(struct mu_job *job) MU_CHECKED;
/* After MU_PEER_LOST or MU_REVOKED before every rank held the state: goes on without the dead.
 * `again`: from mu_job_meet on, with nothing in hand; else as if loading had just ended. */
enum mu_status mu_job_recover_start(struct mu_job *job, bool *again) MU_CHECKED;
/* The same after MU_RECOVERED. */
void mu_job_begin_again(struct mu_job *job, bool *again);
/* The master's: status.json. */
void mu_job_put_status(struct mu_job *job, enum mu_run_state state, const char *message);
/* job_ranks.c. A round of all ranks: the master hears which process each of them is. */
enum mu_status mu_job_gather_ranks(struct mu_job *job) MU_CHECKED;
/* The master's: ranks.json, of the roll as it is. A failure is an alarm. */
void mu_job_put_ranks(struct mu_job *job);
void mu_job_ranks_deinit(struct mu_job *job);
/* job_end.c: the newest step was the last one because somebody asked for that. */
bool mu_job_is_stopped(const struct mu_job *job);
/* After the last step's duties: tells and writes the outcome. MU_RECOVERED: somebody died. */
enum mu_status mu_job_finish(struct mu_job *job) MU_CHECKED;
/* The run was stopped for another generation, which finds the state in memory. */
bool mu_job_makes_way(const struct mu_job *job);
/* Every rank is done, and what there was to write is written: MU_OK when all are known to be, and
 * this one may leave; MU_RECOVERED when somebody died before it knew. */
enum mu_status mu_job_take_leave(struct mu_job *job) MU_CHECKED;
/* The committed state may be taken up by a later generation; done by one rank of each host. */
void mu_job_settle(struct mu_job *job);
void mu_job_name_fingerprint(struct mu_job *job);
/* Everything that a start has opened. */
void mu_job_close_parts(struct mu_job *job);
/* job_records.c. Run directory, journal and progress line: the master's. Who becomes the master on
 * the way finds them as the old one left them. */
enum mu_status mu_job_open_records(struct mu_job *job) MU_CHECKED;
/* The same at the start, with what people want to know then. */
enum mu_status mu_job_open_run(struct mu_job *job) MU_CHECKED;
/* job_ledger.c: the master's account goes on from what status.json says. */
void mu_job_ledger_begin(struct mu_job *job);
/* All ranks: what they spent since the last time is added to the master's account. */
enum mu_status mu_job_ledger_gather(struct mu_job *job) MU_CHECKED;
/* The failure that a round or a step has ended with is one that all ranks know of alike. */
bool mu_job_is_agreed(const struct mu_job *job, enum mu_status st);
/* Such a failure, which was told at its origin: the master writes the outcome, and all part. Gives
 * back the failure; MU_RECOVERED: somebody died before it knew. */
enum mu_status mu_job_fail_together(struct mu_job *job, enum mu_status failure) MU_CHECKED;
/* After MU_PEER_LOST, MU_REVOKED or a failure of this rank alone: one rank tells what happened;
 * cleans up. The caller then leaves. */
void mu_job_report_failure(struct mu_job *job, enum mu_status st);
/* A failure of this rank alone, which the others can do without: says so and dies. Returns where it
 * matters to all. */
void mu_job_die_alone(struct mu_job *job, enum mu_status st);

#endif
