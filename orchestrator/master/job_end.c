/* How a job ends that all ranks know the end of: complete, stopped on request, or making way for
 * another generation, to which the state in memory is left. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

bool mu_job_is_stopped(const struct mu_job *job)
{
    return (job->last.requests & (MU_REQUEST_STOP | MU_REQUEST_MAKE_WAY)) &&
           job->life.step < job->settings.run_steps;
}

/* Where several hosts have a part of the state each, a generation on others would not find all; and
 * a device's memory goes with its process, but for a copy. */
bool mu_job_makes_way(const struct mu_job *job)
{
    const bool stays = job->worker.resident.state
                           ? job->snapshots.segment.header && job->snapshots.first_machines == 1
                           : job->worker.fleet.hosts == 1 && !job->segment.is_private;

    return mu_job_is_stopped(job) && !(job->last.requests & MU_REQUEST_STOP) && stays;
}

static enum mu_run_stopper stopper(const struct mu_job *job)
{
    if (!(job->last.requests & MU_REQUEST_STOP))
        return MU_STOPPED_BY_LAUNCHER;
    return job->requests.stopper[0] ? MU_STOPPED_BY_REQUEST
           : job->is_out_of_time    ? MU_STOPPED_BY_TIME_LIMIT
                                    : MU_STOPPED_BY_SIGNAL;
}

static void write_end(struct mu_job *job, bool stopped, const char *message)
{
    char text[256];

    job->status.outcome = stopped ? MU_OUTCOME_REQUEUE : MU_OUTCOME_COMPLETE;
    job->status.stopped_by = stopped ? stopper(job) : MU_STOPPED_BY_NOBODY;
    mu_job_put_status(job, MU_RUN_ENDED, message);
    snprintf(text, sizeof text, "{\"date\":\"%s\",\"outcome\":\"%s\",\"step\":%" PRId64 "}",
             mu_clock_date().text, stopped ? "requeue" : "complete", job->life.step);
    if (mu_journal_append(job->journal, MU_JOURNAL_END, text) != MU_OK)
        mu_log(MU_LOG_WARN, "the end of this run could not be written to its journal");
    if (stopped && !(job->last.requests & MU_REQUEST_STOP)) { /* whoever comes obeys the others */
        mu_run_dir_clear_request(job->run, MU_REQUEST_RELAUNCH);
        return;
    }
    mu_job_requests_end(job, stopped);
    mu_run_dir_clear_requests(job->run);
}

/* Nobody reads a summary between two generations, and the next one is waiting. */
static void make_way(struct mu_job *job)
{
    char text[256];

    mu_progress_close(job->progress);
    job->progress = NULL;
    snprintf(text, sizeof text,
             "making way for other ranks at step %" PRId64 " of %" PRId64
             "; the state stays in memory",
             job->life.step, job->settings.run_steps);
    if (!job->trial)
        mu_log(MU_LOG_INFO, "%s", text);
    write_end(job, true, text);
}

static const char *why_stopped(const struct mu_job *job)
{
    if (!(job->last.requests & MU_REQUEST_STOP))
        return "for other ranks"; /* which do not find the state in memory */
    return job->is_out_of_time ? "by run.time_limit" : "on request";
}

static void name_end(const struct mu_job *job, bool stopped, char *text, size_t size)
{
    const char *by = job->requests.stopper;

    if (job->resumed_step >= job->settings.run_steps)
        snprintf(text, size,
                 "this run was complete already: %" PRId64 " steps, %" PRIu64
                 " tokens. Nothing to do",
                 job->life.step, job->tokens);
    else if (stopped)
        snprintf(text, size,
                 "stopped %s at step %" PRId64 " of %" PRId64
                 ", with a checkpoint: the same command goes on%s%s%s",
                 why_stopped(job), job->life.step, job->settings.run_steps, *by ? " (" : "", by,
                 *by ? ")" : "");
    else
        snprintf(text, size, "complete: %" PRId64 " steps, %" PRIu64 " tokens", job->life.step,
                 job->tokens);
}

/* In two lines where one would be too wide. */
static void tell_goodput(const struct mu_ledger_sum *goodput)
{
    enum { MOST = 88 };
    struct mu_ledger_text t = mu_ledger_print(goodput);
    char *cut = strlen(t.text) > MOST ? memrchr(t.text, ' ', MOST) : NULL;

    if (cut)
        *cut = '\0';
    mu_log(MU_LOG_INFO, "%s", t.text);
    if (cut)
        mu_log(MU_LOG_INFO, "  %s", cut + 1);
}

static void summarise(struct mu_job *job, const char *text)
{
    struct mu_run_losses losses = mu_run_dir_losses(job->run);

    mu_run_dir_plot(job->run, true);
    mu_log(MU_LOG_INFO, "%s", text);
    if (isfinite(losses.last_train) && losses.first_train == losses.last_train)
        mu_log(MU_LOG_INFO, "training loss %.4f nats per token", losses.last_train);
    else if (isfinite(losses.last_train))
        mu_log(MU_LOG_INFO, "training loss %.4f -> %.4f nats per token", losses.first_train,
               losses.last_train);
    if (isfinite(losses.last_valid) && losses.first_valid == losses.last_valid)
        mu_log(MU_LOG_INFO, "validation loss %.4f nats per token", losses.last_valid);
    else if (isfinite(losses.last_valid))
        mu_log(MU_LOG_INFO, "validation loss %.4f -> %.4f nats per token", losses.first_valid,
               losses.last_valid);
    if (job->status.has_hash)
        mu_log(MU_LOG_INFO, "state hash of step %" PRId64 ": %s", job->status.hash_step,
               mu_hash_print(job->status.hash).text);
    if (mu_ledger_total_us(&job->status.goodput) > 0)
        tell_goodput(&job->status.goodput);
    mu_log(MU_LOG_DEBUG, "longest time without a poll on rank 0: %.1f ms",
           1e-6 * (double)job->poller->longest_gap_ns);
}

/* A sweep tells of its trials itself. */
static void end_records(struct mu_job *job, bool stopped)
{
    char text[300];

    mu_progress_close(job->progress);
    job->progress = NULL;
    name_end(job, stopped, text, sizeof text);
    if (!job->trial)
        summarise(job, text);
    write_end(job, stopped, text);
}

enum mu_status mu_job_finish(struct mu_job *job)
{
    mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    if (job->is_master && !job->summarised) {
        if (mu_job_makes_way(job))
            make_way(job);
        else
            end_records(job, mu_job_is_stopped(job));
        job->summarised = true;
    }
    return mu_job_take_leave(job);
}
