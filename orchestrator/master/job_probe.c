/* Before anything is trained: whether the ranks' machines compute the same bits. They compare all
 * that was probed; the run's fingerprint has what a step computes alone, since its evaluation may
 * change (data.valid, eval.tokens) and its bits do not. */
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

struct probes {
    struct mu_hash first;
    int differing; /* the first rank whose probe differs; 0: none */
};

static enum mu_status take_ready(void *context, int rank, struct mu_wire_reader *r)
{
    struct probes *p = context;
    struct mu_hash probe;

    probe.high = mu_wire_get_u64(r);
    probe.low = mu_wire_get_u64(r);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a probe that cannot be read", rank);
    if (rank == 0)
        p->first = probe;
    else if (!mu_hash_equal(probe, p->first) && p->differing == 0)
        p->differing = rank;
    return MU_OK;
}

enum mu_status mu_job_compare_probes(struct mu_job *job, uint32_t half)
{
    uint8_t bytes[32];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct probes probes = {{0}, 0};
    bool on_gpus = job->settings.device_kind == MU_DEVICE_CUDA;
    struct mu_probe own = {{0}, {0}};
    struct mu_hash all;
    enum mu_status st;

    MU_TRY(mu_job_agree(job, mu_worker_probe(&job->worker, half, &own)), st, failed);
    job->probe = own.gradient;
    all = mu_hash_bytes(&own, sizeof own, 0);
    mu_wire_put_u64(&w, all.high);
    mu_wire_put_u64(&w, all.low);
    st = mu_control_gather(&job->control, MU_MESSAGE_READY, &w, take_ready, &probes);
    if (st == MU_OK && probes.differing > 0 && job->settings.batch_reduce == MU_REDUCE_EXACT)
        st = MU_FAIL(MU_FAILED,
                     "rank %d computes other bits than rank 0 from the same numbers: its %s or "
                     "libraries differ. Use hosts of one kind%s",
                     probes.differing, on_gpus ? "GPU" : "CPU",
                     on_gpus ? "" : ", or device.isa = \"avx2\" or \"generic\"");
    MU_TRY(mu_control_agree(&job->control, st), st, failed);
failed:
    return st;
}
