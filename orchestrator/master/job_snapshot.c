/* Copies of the devices' state in the machines' memory (worker/snapshot.h), as a job makes them: at
 * a step at which all know of it, since the lowest rank's wish rides on that step's reduction; the
 * last thing that is done after it. Taking one up is job_load.c's. */
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

enum { OPEN_DEADLINE_MS = 120000 };

static enum mu_status poll_job(void *context)
{
    struct mu_job *job = context;

    return mu_poll(job->poller);
}

static enum mu_status open_copies(struct mu_job *job, bool mine)
{
    const struct mu_segment_options how = {
        .keep_sweep = job->trial,
        .run_key = job->run_key,
        .run_id = job->run_id,
        .generation = job->generation,
        .deadline_ms = OPEN_DEADLINE_MS,
        .poll = poll_job,
        .poll_context = job,
    };

    return mu_control_agree(&job->control, mine ? mu_snapshots_open(&job->snapshots, how) : MU_OK);
}

/* Once, though every machine may lack it. A copy of a part would be of no use. */
static void do_without(struct mu_job *job)
{
    if (job->is_master)
        mu_log(MU_LOG_INFO,
               "/dev/shm has no room for the %.2f GiB of two copies of the GPUs' state, or they "
               "would take most of the memory that is left: none is made, and when mpirun dies the "
               "run goes on from its newest checkpoint (mount -o remount,size=SIZE /dev/shm; "
               "device.snapshot_every = 0 says that none is wanted)",
               (double)job->snapshots.bytes / 0x1p30);
    mu_snapshots_close(&job->snapshots, true);
    job->control.verdict = MU_OK; /* known, and lived with */
}

enum mu_status mu_job_open_snapshots(struct mu_job *job)
{
    bool leads;
    enum mu_status st;

    job->keeper = &job->worker;
    if (!job->worker.resident.state)
        return MU_OK;
    MU_TRY(mu_control_agree(&job->control,
                            mu_snapshots_init(&job->snapshots, &job->worker, job->host_key)),
           st, failed);
    if (job->settings.device_snapshot_every == 0)
        return MU_OK;
    leads = job->snapshots.machine.local_index == 0;
    st = open_copies(job, leads);
    if (st == MU_OK)
        st = open_copies(job, !leads);
    if (st == MU_NO_MEMORY) {
        do_without(job);
        return MU_OK;
    }
    if (st == MU_OK)
        job->keeper = &job->snapshots.machine;
failed:
    return st;
}

static struct mu_segment_origin origin_of(const struct mu_job *job)
{
    return (struct mu_segment_origin){job->setting, job->probe, job->peak_flops};
}

enum mu_status mu_job_upload(struct mu_job *job, bool handed_over)
{
    const struct mu_segment_origin origin = origin_of(job);
    enum mu_status st;

    mu_fault(MU_FAULT_LOAD, mu_segment_step(job->keeper->segment));
    MU_TRY(mu_control_agree(&job->control, mu_snapshots_upload(&job->snapshots, &job->worker)), st,
           failed);
    if (handed_over)
        mu_worker_settle(job->keeper, &origin);
    mu_worker_commit(&job->worker, mu_segment_step(job->keeper->segment));
failed:
    return st;
}

enum mu_status mu_job_snapshot(struct mu_job *job)
{
    const struct mu_segment_origin origin = origin_of(job);
    const bool asked = job->last.requests & MU_REQUEST_SNAPSHOT &&
                       job->life.step < job->settings.run_steps && !mu_job_is_stopped(job);

    if (!job->snapshots.segment.header || !(asked || mu_job_makes_way(job)))
        return MU_OK;
    return mu_snapshots_take(&job->snapshots, &job->worker, &origin, &job->last);
}
