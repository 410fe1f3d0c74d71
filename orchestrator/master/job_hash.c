/* The hash of the committed state, by all ranks: the same whoever has it. */
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

struct hashed {
    struct mu_hash hash;
    uint64_t sums; /* of the rank's own copy, where the hash is put together of pieces of all */
};

static enum mu_status take_hash(void *context, int rank, struct mu_wire_reader *r)
{
    const struct hashed *own = context;
    struct hashed h;

    h.hash.high = mu_wire_get_u64(r);
    h.hash.low = mu_wire_get_u64(r);
    h.sums = mu_wire_get_u64(r);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a hash that cannot be read", rank);
    if (!mu_hash_equal(h.hash, own->hash))
        return MU_FAIL(MU_INTERNAL,
                       "the state on the host of rank %d is not the master's: %s, not %s. Memory "
                       "or software of one of them is "
                       "broken; nothing was saved",
                       rank, mu_hash_print(h.hash).text, mu_hash_print(own->hash).text);
    if (h.sums != own->sums)
        return MU_FAIL(MU_INTERNAL,
                       "the state in the memory of the GPU of rank %d is not the master's. Memory "
                       "or software of one of them is broken; nothing was saved",
                       rank);
    return MU_OK;
}

/* Every host hashes its own copy of the state; they must agree. */
enum mu_status mu_job_hash(struct mu_job *job, struct mu_hash *out)
{
    uint8_t bytes[24];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct hashed own;
    enum mu_status st;

    MU_TRY(mu_worker_hash(&job->worker, out), st, failed);
    if (job->roll.hosts == 1)
        return MU_OK;
    own = (struct hashed){*out, job->worker.resident.sums};
    mu_wire_put_u64(&w, own.hash.high);
    mu_wire_put_u64(&w, own.hash.low);
    mu_wire_put_u64(&w, own.sums);
    MU_TRY(mu_control_agree(&job->control, mu_control_gather(&job->control, MU_MESSAGE_HASHED, &w,
                                                             take_hash, &own)),
           st, failed);
failed:
    return st;
}
