/* What the master opens, writes down and says when a job begins, and the status that it keeps. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/master/job.h"

void mu_job_put_status(struct mu_job *job, enum mu_run_state state, const char *message)
{
    struct mu_run_status s;
    enum mu_phase before;

    if (!job->is_master)
        return;
    before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    job->status.state = state;
    job->status.step = job->life.step;
    job->status.ranks = (int)job->roll.size; /* a repair that does duties puts it, too */
    job->status.hosts = mu_job_hosts(job);
    job->status.workers = (int)job->worker.crew.count;
    job->status.saved_step = job->saved_step;
    snprintf(job->status.message, sizeof job->status.message, "%s", message);
    s = job->status;
    for (int i = 0; i < MU_LEDGER_EVENT_COUNT; i++) /* not gathered yet */
        s.goodput.events[i] += job->poller->ledger.events[i];
    mu_run_dir_put_status(job->run, &s);
    mu_board_set_phase(job->board, before);
}

static void introduce(const struct mu_job *job)
{
    const struct mu_workload_facts *facts = &job->workload->facts;
    uint32_t size = job->roll.size, shards = (uint32_t)facts->shards,
             workers = job->worker.crew.count, others = size - workers - job->worker.crew.first;
    const bool is_mended = mu_comm_is_fault_tolerant(job->comm);
    char hosts[32];

    snprintf(hosts, sizeof hosts, "%d host%s", mu_job_hosts(job),
             mu_job_hosts(job) == 1 ? "" : "s");
    mu_log(MU_LOG_INFO,
           "%u rank%s on %s: %u worker%s (master: rank %d%s), %u spare%s; %u shard%s; "
           "recovery: %s",
           size, size == 1 ? "" : "s", hosts, workers, workers == 1 ? "" : "s",
           mu_comm_name(job->comm, 0), job->worker.crew.first ? ", dedicated" : "", others,
           others == 1 ? "" : "s", shards, shards == 1 ? "" : "s",
           is_mended                ? "in-job on"
           : mu_started_by_launch() ? "by starting again"
                                    : "in-job off");
    if (size > 1 && !is_mended && mu_started_by_srun() && !mu_started_by_launch())
        mu_log(MU_LOG_INFO, "these ranks were started by srun: Slurm ends all of them when one "
                            "dies. `muster launch` in the job's script goes on by itself");
    else if (size > 1 && !is_mended && !mu_started_by_srun())
        mu_log(MU_LOG_INFO,
               "this MPI (%s) does not report deaths here: mpirun ends all ranks when one dies, "
               "and the same command goes on. `. build/env` switches fault tolerance on where MPI "
               "has it",
               mu_mpi_library_version());
    mu_log(MU_LOG_INFO, "%s", facts->summary);
    if (job->peak_flops > 0 && job->settings.device_kind == MU_DEVICE_CUDA)
        mu_log(MU_LOG_INFO, "matrix products reach %.0f TFLOP/s here (%u GPU%s, measured)",
               1e-12 * job->peak_flops * size, size, size == 1 ? "" : "s");
    else if (job->peak_flops > 0)
        mu_log(MU_LOG_INFO, "matrix products reach %.0f GFLOP/s here (%u x %lld threads, measured)",
               1e-9 * job->peak_flops * size, size, (long long)job->settings.device_threads);
    if (mu_worker_memory_sum(&job->memory) > 0)
        mu_log(MU_LOG_INFO, "memory of each GPU: about %s",
               mu_worker_memory_text(&job->memory, mu_device_memory(job->device).total).text);
    mu_log(MU_LOG_DEBUG, "%s", job->fingerprint);
    if (job->segment.is_private)
        mu_log(MU_LOG_INFO, "the state lies in private memory");
    if (job->from_memory)
        mu_log(MU_LOG_INFO, "going on from step %" PRId64 ", which was still in memory, in %s",
               job->resumed_step, job->run_path);
    else if (job->saved_step < 0 && job->origin.checkpoint[0])
        mu_log(MU_LOG_INFO, "a new run in %s, from %s %s", job->run_path,
               job->origin.weights_only ? "the weights of" : "the state of",
               job->origin.checkpoint);
    else if (job->resumed_step > 0)
        mu_log(MU_LOG_INFO, "going on from the checkpoint of step %" PRId64 " in %s",
               job->resumed_step, job->run_path);
    else
        mu_log(MU_LOG_INFO, "a new run in %s", job->run_path);
}

static enum mu_status begin_journal(struct mu_job *job, int64_t step)
{
    char folder[MU_PATH_MAX], *record = NULL;
    json_t *json;
    enum mu_status st;

    MU_TRY(mu_path_format(folder, "%s/journal", job->run_path), st, failed);
    MU_TRY(mu_journal_open(folder, &job->journal, &job->status.generation), st, failed);
    json = json_pack("{s:s, s:i, s:i, s:I, s:s}", "date", mu_clock_date().text, "ranks",
                     (int)job->roll.size, "hosts", mu_job_hosts(job), "step", (json_int_t)step,
                     "fingerprint", job->fingerprint);
    if (json)
        record = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    st = record ? mu_journal_append(job->journal, MU_JOURNAL_GENERATION, record)
                : MU_FAIL(MU_NO_MEMORY, "no memory for the journal");
    free(record);
failed:
    return st;
}

enum mu_status mu_job_open_records(struct mu_job *job)
{
    const struct mu_recovery_plan *plan = job->worker.plan;
    int64_t step = plan && plan->step > job->life.step ? plan->step : job->life.step;
    struct mu_run_losses losses;
    enum mu_status st;

    if (!job->run)
        MU_TRY(mu_run_dir_lock(job->run_path, &job->run), st, failed);
    MU_TRY(mu_run_dir_begin(job->run, job->config_text, step), st, failed);
    MU_TRY(begin_journal(job, step), st, failed);
    losses = mu_run_dir_losses(job->run);
    job->status.steps = job->settings.run_steps;
    job->status.loss = losses.last_train;
    job->status.valid_loss = losses.last_valid;
    job->status.ranks = (int)job->roll.size;
    job->status.hosts = mu_job_hosts(job);
    mu_job_ledger_begin(job);
    if (!job->trial) /* the sweep shows it */
        job->progress = mu_progress_open(job->settings.run_steps, step);
failed:
    return st;
}

enum mu_status mu_job_open_run(struct mu_job *job)
{
    enum mu_status st = mu_job_open_records(job);

    if (st == MU_OK) {
        mu_job_complete_save(job);
        mu_job_put_ranks(job);
        if (!job->trial)
            introduce(job);
        mu_job_requests_begin(job);
    }
    return st;
}
