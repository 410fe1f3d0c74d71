/* One trial of a sweep, as the ranks of its group live it: a job (job.h) in a communicator of its
 * own (mu_comm_view), in a run directory of its own, that ends without ending the process. Its bits
 * are those of `muster train` with the same configuration, whoever it ran with, moved or died. */
#ifndef MUSTER_MASTER_TRIAL_JOB_H
#define MUSTER_MASTER_TRIAL_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/ledger.h"
#include "orchestrator/master/session.h"

/* A shorter run with the same beginning: after `step` steps the state is left as a checkpoint in
 * its run directory, from which it goes on as if it had taken these steps itself. */
struct mu_trial_branch {
    int64_t step;
    char run_path[MU_PATH_MAX];
};

struct mu_trial_order {
    uint64_t group;   /* number of this assignment: never used before in this sweep, not 0 */
    uint32_t epoch;   /* session->epoch when it was given: after a repair it is void */
    uint32_t trial;   /* for who asks (struct mu_rank_word) */
    const int *names; /* the group, ascending: names in session->comm */
    int count;
    const char *config;     /* the whole configuration, resolved (mu_config_print) */
    const char *sweep_path; /* the sweep's folder: names the segments of all its trials */
    const char *run_path;   /* the trial's own, within it */
    const struct mu_trial_branch *branches;
    uint32_t branch_count;
    int64_t steps;    /* the job is over after so many, and saves nothing; 0: as configured */
    uint32_t retries; /* one death more than this in one step is lived with: it may be by chance */
    /* On the rank that leads the group, after each step: the committed step, whose duties are done,
     * so that branches of it are there; speed over the last 0.3 s or so, NAN at first. Cheap: who
     * passes it on limits the rate. NULL allowed. */
    void (*progress)(void *context, int64_t step, double loss, double tokens_per_s);
    void *progress_context;
};

/* X(name, word, meaning) */
#define MU_TRIAL_END_TABLE(X)                                                                \
    X(COMPLETE, "complete", "")                                                              \
    X(MADE_WAY, "made way", "the state is in memory, or where it cannot be in a checkpoint") \
    X(STOPPED, "stopped", "by a signal or time limit, with a checkpoint")                    \
    X(DIVERGED, "diverged", "NaN or Inf; a result")                                          \
    X(OUT_OF_MEMORY, "out of memory", "host, /dev/shm or GPU; a result")                     \
    X(CRASHES, "crashes", "ranks die at one step, again and again")                          \
    X(REFUSED, "refused", "its configuration, or its folder holds another run")              \
    X(FAILED, "failed", "a disk, data that cannot be read, a disputed audit")
enum mu_trial_end {
#define MU_TRIAL_END_ENUM(name, word, meaning) MU_TRIAL_##name,
    MU_TRIAL_END_TABLE(MU_TRIAL_END_ENUM)
#undef MU_TRIAL_END_ENUM
};
const char *mu_trial_end_word(enum mu_trial_end end);

struct mu_trial_outcome {
    enum mu_trial_end end;
    bool leads; /* this rank speaks for the group; the rest is filled in there alone */
    int64_t step;
    uint64_t tokens;
    double train_loss, valid_loss, valid_bits_per_byte; /* newest; NAN: none */
    bool has_hash;
    struct mu_hash hash;          /* of the state after `step` */
    struct mu_ledger_sum goodput; /* of the group since this assignment began */
    char message[256];            /* one plain sentence */
};

/* Returns on every living member of the group. MU_RECOVERED: the order is void, since somebody died
 * before this rank took it up: some of its group may be in it without this one. Another status than
 * MU_OK: this rank cannot go on, and its process must end (as mu_job_run does). */
enum mu_status mu_trial_run(struct mu_session *s, const struct mu_trial_order *order,
                            struct mu_trial_outcome *out) MU_CHECKED;

/* By all ranks of the session, before their first trial: with device.kind = "cuda" each is dealt a
 * GPU, which it keeps. Statuses as of a round (worker/comm/control.h); does not return on a rank
 * for which there is none. */
enum mu_status mu_trial_deal_gpus(struct mu_session *s,
                                  const struct mu_settings *settings) MU_CHECKED;

/* What the segments of a sweep's trials have in common (worker/segment.h). */
uint64_t mu_trial_sweep_key(const char *sweep_path);

struct mu_job;
/* The leader's, between two steps: order->progress, when it is due. */
void mu_trial_tell_progress(struct mu_job *job);

#endif
