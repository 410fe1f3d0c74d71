/* There are two ways out. When all ranks know the same end (done, stopped, or a failure that was
 * agreed on), and have parted, everything is closed and MPI_Finalize called. Otherwise peers may be
 * dead or stuck: this rank says why, leaves its entry on the board for them to find it dead, and
 * exits; memory is left to the system. */
#include "orchestrator/master/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/run/aside.h"
#include "worker/parts.h"
#include "worker/watchdog.h"

/* A rank may be late by its shards or by its part of a checkpoint. */
enum { ROUND_DEADLINE_MS = 3600000 };

void mu_job_close_parts(struct mu_job *job)
{
    const bool makes_way = mu_job_makes_way(job) || job->keeps_state;
    const bool is_lost = mu_parts_are_lost(job->worker.resident.parts); /* a launcher goes on */

    mu_progress_close(job->progress);
    job->progress = NULL;
    mu_journal_close(job->journal);
    job->journal = NULL;
    mu_run_dir_close(job->run);
    if (job->run && job->parent && !mu_file_exists_in(job->run_path, "config.cfg"))
        mu_run_aside_forget(job->run_path); /* a fork that could not begin */
    job->run = NULL;
    mu_snapshots_close(&job->snapshots, !makes_way && !(is_lost && mu_started_by_launch()));
    mu_snapshots_deinit(&job->snapshots);
    mu_worker_deinit(&job->worker);
    mu_segment_close(&job->segment, !makes_way);
    mu_workload_close(job->workload);
    job->workload = NULL;
    mu_device_close(job->device);
    job->device = NULL;
    mu_job_choices_deinit(job);
    mu_roll_deinit(&job->roll);
    free(job->host_key);
    job->host_key = NULL;
    free(job->config_text);
    job->config_text = NULL;
    mu_job_ranks_deinit(job);
    free(job->parent);
    job->parent = NULL;
}

void mu_job_move(struct mu_job *job, enum mu_life_event event)
{
    mu_life_move(&job->life, event);
    mu_board_set_phase(job->board, mu_phase_of_life(job->life.state));
}

/* To where every rank holds the same committed state; from the beginning again with those that are
 * left when some die on the way. */
static enum mu_status begin(struct mu_job *job, const struct mu_job_request *request)
{
    enum mu_status st;

    for (;;) {
        bool again = true;

        mu_job_move(job, MU_LIFE_ON_MEET);
        st = mu_job_meet(job, request);
        if (st == MU_OK) {
            mu_watchdog_set_timeout(job->watchdog, job->settings.run_hang_timeout);
            mu_job_move(job, MU_LIFE_ON_PREPARE);
            st = mu_job_prepare(job);
        }
        if (st == MU_OK) {
            mu_job_move(job, MU_LIFE_ON_LOAD);
            st = mu_job_load(job);
        }
        if (mu_job_is_agreed(job, st))
            st = mu_job_fail_together(job, st);
        if ((st == MU_RECOVERED || mu_status_is_death(st)) && mu_job_has_lost_gpu(job))
            return MU_FAILED; /* to begin again is for the others */
        if (st == MU_RECOVERED && mu_job_is_released(job))
            return MU_OK;
        if (st == MU_RECOVERED) {
            mu_job_move(job, MU_LIFE_ON_RECOVER);
            mu_job_begin_again(job, &again);
            st = MU_OK;
        } else if (!mu_comm_is_fault_tolerant(job->comm) || !mu_status_is_death(st) ||
                   mu_poller_is_beyond_repair(job->poller)) {
            return st;
        } else {
            st = mu_job_recover_start(job, &again);
        }
        if (st != MU_OK || !again)
            return st;
    }
}

bool mu_job_is_released(const struct mu_job *job)
{
    return job->trial && job->recovery->plan.finished;
}

enum mu_status mu_job_live(struct mu_job *job, const struct mu_job_request *request)
{
    enum mu_status st;

    MU_TRY(begin(job, request), st, failed);
    if (mu_job_is_released(job))
        return MU_OK;
    mu_job_move(job, MU_LIFE_ON_RUN);
    st = mu_job_train(job);
failed:
    return st;
}

void mu_job_init(struct mu_job *job, struct mu_session *session, struct mu_comm *comm)
{
    *job = (struct mu_job){
        .life.epoch = session->epoch,
        .session = session,
        .board = session->board,
        .watchdog = session->watchdog,
        .poller = &session->poller,
        .recovery = &session->recovery,
        .comm = comm,
        .saved_step = -1,
        .common_steps = INT64_MAX,
        .status = {.loss = NAN, .valid_loss = NAN, .saved_step = -1},
        .is_master = mu_comm_rank(comm) == 0,
    };
    job->control = mu_control_init(comm, job->poller, job->life.epoch, ROUND_DEADLINE_MS);
}

/* Peers may be dead or stuck, and no end is known that all of them know. */
static _Noreturn void leave(struct mu_job *job, enum mu_status st)
{
    mu_job_die_alone(job, st);
    mu_job_report_failure(job, st);
    mu_watchdog_end(job->watchdog);
    if (mu_status_is_death(st))
        mu_board_close(job->board);
    else
        mu_board_abandon(job->board);
    mu_comm_leave(job->comm, mu_status_exit_code(st));
}

static enum mu_status run_in(struct mu_session *session, const struct mu_job_request *request)
{
    struct mu_job *job = malloc(sizeof *job);
    bool left_behind;
    enum mu_status st;

    if (!job)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a job");
    mu_job_init(job, session, session->comm);
    mu_session_attach(session, &(struct mu_session_job){.comm = job->comm,
                                                        .group = MU_GROUP_OF_ALL,
                                                        .worker = &job->worker,
                                                        .roll = &job->roll,
                                                        .recovered = mu_job_recovered,
                                                        .context = job});
    st = mu_job_live(job, request);
    mu_poller_hold(job->poller); /* from here on others leave, and nobody dies of it */
    if (st != MU_OK && st != MU_REQUEUE && !mu_job_is_agreed(job, st))
        leave(job, st);
    mu_job_move(job, st == MU_OK || st == MU_REQUEUE ? MU_LIFE_ON_LEAVE : MU_LIFE_ON_FAIL);
    mu_fault(MU_FAULT_LEAVE, job->life.step);
    mu_job_close_parts(job);
    left_behind = job->worker.resident.left_behind;
    /* The master's exit code is mpirun's. When several ranks leave with one that is not 0, Open MPI
     * 5.0's mpirun hangs for ever, once in 25 times. */
    if (!job->is_master)
        st = MU_OK;
    free(job);
    mu_session_close(session, st);
    if (left_behind) /* a library that hangs also hangs in what it does at the end of a process */
        mu_comm_leave(NULL, mu_status_exit_code(st));
    return st;
}

enum mu_status mu_job_run(const struct mu_job_request *request)
{
    static struct mu_session session; /* its poller is the device's hook for ever */
    enum mu_status st = mu_session_open(&session);

    return st == MU_OK ? run_in(&session, request) : st;
}
