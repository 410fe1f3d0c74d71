/* The audit of a step (run.audit_every): one of its shards is computed by two ranks of the host
 * that has it, and by a third when their bits differ, before any chunk of the step is reduced. The
 * rank that computes wrong is named and ended, its sum counts for nothing, and the others compute
 * its shards again, as after any death. Where nobody can tell which one it is the step carries
 * MU_SUM_DISPUTED, and every rank stops. Hosts with one rank have nobody to compare with.
 *
 * Posts lie in the ranks' words of the segment (segment.h), each written by its rank alone. */
#ifndef MUSTER_WORKER_AUDIT_H
#define MUSTER_WORKER_AUDIT_H

#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"
#include "worker/workload.h"

struct mu_worker;

/* A rank's own. */
struct mu_audit {
    uint64_t noted_turn, disputed_turn;
    struct mu_hash noted; /* of the audited shard, as it was added */
    bool told;            /* who computes wrong, in the step under way */
    float *copy;          /* of a part of a gradient; NULL where the host can read them */
};

enum mu_status mu_audit_init(struct mu_worker *w) MU_CHECKED;
void mu_audit_deinit(struct mu_worker *w);

/* A shard was computed, and is about to be added: finds out whether it is the audited one. */
void mu_audit_note(struct mu_worker *w, uint64_t turn, uint32_t shard,
                   const struct mu_shard_result *gradient);
/* This rank's shards are whole in its sum: returns once the turn's audit lets it be reduced, or
 * with the repair after somebody was ended. */
enum mu_status mu_audit(struct mu_worker *w, uint64_t turn) MU_CHECKED;

#endif
