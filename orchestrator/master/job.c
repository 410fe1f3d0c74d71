/* The order of the start is the order of what must be in place before the next may hang or die:
 * signals, the bond to mpirun, the board, the watch, and only then MPI_Init.
 *
 * There are two ways out. When all ranks know the same end (done, stopped, or a failure that was
 * agreed on), everything is closed and MPI_Finalize called. Otherwise peers may be dead or stuck:
 * this rank says why, leaves its entry on the board for them to find it dead, and exits; memory is
 * left to the system. */
#include "orchestrator/master/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/comm/mpi_files.h"
#include "worker/signals.h"
#include "worker/start_watch.h"

/* A rank may be late by its shards or by its part of a checkpoint. */
enum { ROUND_DEADLINE_MS = 3600000 };

static void close_parts(struct mu_job *job)
{
    uint32_t place = (uint32_t)mu_comm_rank(job->comm);

    mu_progress_close(job->progress);
    mu_journal_close(job->journal);
    mu_run_dir_close(job->run);
    mu_worker_deinit(&job->worker);
    if (job->roll.size > 0)
        mu_segment_close(&job->segment, mu_roll_local_index(&job->roll, place) == 0);
    mu_workload_close(job->workload);
    mu_device_close(job->device);
    mu_roll_deinit(&job->roll);
    free(job->config_text);
}

static enum mu_status live(struct mu_job *job, const struct mu_job_request *request)
{
    enum mu_status st;

    mu_life_move(&job->life, MU_LIFE_ON_MEET);
    MU_TRY(mu_job_meet(job, request), st, failed);
    mu_life_move(&job->life, MU_LIFE_ON_PREPARE);
    MU_TRY(mu_job_prepare(job), st, failed);
    mu_life_move(&job->life, MU_LIFE_ON_LOAD);
    MU_TRY(mu_job_load(job), st, failed);
    mu_life_move(&job->life, MU_LIFE_ON_RUN);
    st = mu_job_train(job);
failed:
    return st;
}

/* All ranks know how it ended, the same on each: they leave in an orderly way. */
static bool is_agreed(const struct mu_job *job, enum mu_status st)
{
    return st == MU_OK || st == MU_REQUEUE ||
           (st == job->control.verdict && job->poller.status == MU_OK);
}

enum mu_status mu_job_run(const struct mu_job_request *request)
{
    const uint64_t started_ns = mu_clock_ns();
    struct mu_job *job = calloc(1, sizeof *job);
    struct mu_start_watch watch;
    enum mu_status st;

    if (!job)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a job");
    job->saved_step = -1;
    job->status.loss = job->status.valid_loss = NAN;
    mu_signals_install();
    MU_TRY(mu_signals_die_with_parent(), st, early);
    MU_TRY(mu_board_open(&job->board), st, early);
    mu_fault_set_rank(mu_board_own_rank(job->board));
    mu_fault(MU_FAULT_START, 0);
    mu_mpi_files_remove_stale();
    MU_TRY(mu_start_watch_begin(&watch, job->board), st, early);
    st = mu_comm_open(&job->comm);
    mu_start_watch_end(&watch);
    if (st != MU_OK)
        goto early;
    mu_fault_set_rank(mu_comm_rank(job->comm));
    if (mu_comm_size(job->comm) > 1)
        mu_log_set_rank(mu_comm_rank(job->comm));
    job->is_master = mu_comm_rank(job->comm) == 0;
    job->life.epoch = 1;
    mu_poller_init(&job->poller, job->comm, job->board);
    mu_ledger_start(&job->poller.ledger, MU_LEDGER_RECOVER, started_ns);
    job->started_ns = started_ns;
    job->control = mu_control_init(job->comm, &job->poller, job->life.epoch, ROUND_DEADLINE_MS);
    st = live(job, request);
    if (!is_agreed(job, st)) {
        mu_job_report_failure(job, st);
        if (st == MU_PEER_LOST || st == MU_REVOKED)
            mu_board_close(job->board);
        else
            mu_board_abandon(job->board);
        mu_comm_leave(job->comm, mu_status_exit_code(st));
    }
    if (st == MU_OK || st == MU_REQUEUE)
        mu_life_move(&job->life, MU_LIFE_ON_LEAVE);
    else
        mu_job_note_failure(job, st);
    mu_fault(MU_FAULT_LEAVE, job->life.step);
    close_parts(job);
    mu_board_close(job->board);
    /* The master's exit code is mpirun's. When several ranks leave with one that is not 0, Open MPI
     * 5.0's mpirun hangs for ever, once in 25 times. */
    if (!job->is_master)
        st = MU_OK;
    mu_comm_close(job->comm, mu_status_exit_code(st));
    free(job);
    return st;
early:
    mu_board_close(job->board);
    free(job);
    return st;
}
