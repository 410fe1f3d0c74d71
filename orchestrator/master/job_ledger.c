/* Where the ranks' time went: their ledgers (core/ledger.h) come to the master at checkpoints,
 * evaluations and the end, and are added to what earlier generations have left in status.json. */
#include "orchestrator/base/clock.h"
#include "orchestrator/master/job.h"

void mu_job_ledger_begin(struct mu_job *job)
{
    struct mu_run_kept kept = mu_run_dir_kept(job->run);

    job->status.goodput = job->kept = kept.goodput;
    if (job->is_begun)
        return; /* by a master that died, and that counted the generation */
    if (kept.interrupted)
        job->status.goodput.events[MU_LEDGER_RECOVERIES]++;
    if (kept.died > 0)
        job->status.goodput.events[MU_LEDGER_DEATHS] += (uint64_t)kept.died;
    if (job->reached > job->resumed_step)
        job->status.goodput.events[MU_LEDGER_STEPS_LOST] +=
            (uint64_t)(job->reached - job->resumed_step);
}

static enum mu_status take_ledger(void *context, int rank, struct mu_wire_reader *r)
{
    struct mu_ledger_sum *all = context, one;

    mu_ledger_get(r, &one);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a ledger that cannot be read", rank);
    mu_ledger_add(all, &one);
    return MU_OK;
}

enum mu_status mu_job_ledger_gather(struct mu_job *job)
{
    uint8_t bytes[MU_LEDGER_WIRE_BYTES];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct mu_ledger *own = &job->poller->ledger;
    struct mu_ledger_sum told = mu_ledger_told(own, mu_clock_ns()), all = {{0}, {0}};
    enum mu_status st;

    mu_ledger_put(&w, &told);
    MU_TRY(mu_control_agree(&job->control, mu_control_gather(&job->control, MU_MESSAGE_LEDGER, &w,
                                                             take_ledger, &all)),
           st, failed);
    mu_ledger_forget(own, &told, mu_clock_ns());
    if (job->is_master)
        mu_ledger_add(&job->status.goodput, &all);
failed:
    return st;
}
