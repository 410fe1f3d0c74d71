/* Who computes wrong: a shard's gradient is the same whoever computes it, so two hashes of it that
 * differ accuse one of two ranks, and a third tells which. A pure function of what the members of
 * the audit have posted, so that all of them come to the same. */
#ifndef MUSTER_CORE_AUDIT_H
#define MUSTER_CORE_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"

/* Member 0 has the shard in its sum, 1 computes it too, 2 (where a host has so many ranks) decides.
 * Where there are only two, both compute it again, and one that changes its mind is wrong. */
enum { MU_AUDIT_MEMBERS = 3, MU_AUDIT_TRIES = 2 };

struct mu_audit_post {
    uint32_t count; /* how often the member has computed the shard, up to MU_AUDIT_TRIES */
    struct mu_hash hash[MU_AUDIT_TRIES];
};

enum mu_audit_kind {
    MU_AUDIT_PASSED,
    MU_AUDIT_OPEN,     /* `members` have to compute the shard, once more than they have */
    MU_AUDIT_WRONG,    /* `member` computes wrong */
    MU_AUDIT_DISPUTED, /* somebody does, and nobody can tell who */
};
struct mu_audit_verdict {
    enum mu_audit_kind kind;
    uint32_t members; /* bitmap */
    uint32_t member;
};

/* members: 2 or 3. */
struct mu_audit_verdict mu_audit_decide(const struct mu_audit_post *post, uint32_t members);

/* Whether the step after `step` committed ones is audited; every: 0 for never. */
bool mu_audit_is_due(int64_t step, int64_t every);
/* Which of its shards. */
uint32_t mu_audit_shard(int64_t step, uint32_t shards);

#endif
