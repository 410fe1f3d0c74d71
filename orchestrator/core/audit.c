#include "orchestrator/core/audit.h"

#include "orchestrator/base/status.h"

static struct mu_audit_verdict open_for(uint32_t members)
{
    return (struct mu_audit_verdict){.kind = MU_AUDIT_OPEN, .members = members};
}

static struct mu_audit_verdict wrong(uint32_t member)
{
    return (struct mu_audit_verdict){.kind = MU_AUDIT_WRONG, .member = member};
}

static bool same(const struct mu_audit_post *a, const struct mu_audit_post *b)
{
    return mu_hash_equal(a->hash[0], b->hash[0]);
}

/* Bitmap of those that have computed the shard twice, with another result. */
static uint32_t changed(const struct mu_audit_post *post, uint32_t members)
{
    uint32_t who = 0;

    for (uint32_t i = 0; i < members; i++)
        if (post[i].count > 1 && !mu_hash_equal(post[i].hash[0], post[i].hash[1]))
            who |= 1u << i;
    return who;
}

/* Bitmap of those that have computed it less than `count` times. */
static uint32_t behind(const struct mu_audit_post *post, uint32_t members, uint32_t count)
{
    uint32_t who = 0;

    for (uint32_t i = 0; i < members; i++)
        if (post[i].count < count)
            who |= 1u << i;
    return who;
}

struct mu_audit_verdict mu_audit_decide(const struct mu_audit_post *post, uint32_t members)
{
    struct mu_audit_verdict disputed = {.kind = MU_AUDIT_DISPUTED};
    uint32_t missing = behind(post, 2, 1);

    MU_ASSERT(members == 2 || members == 3);
    if (missing != 0)
        return open_for(missing);
    if (same(&post[0], &post[1]) && changed(post, 2) == 0)
        return (struct mu_audit_verdict){.kind = MU_AUDIT_PASSED};
    if (members == 3) {
        if (post[2].count == 0)
            return open_for(1u << 2);
        if (same(&post[0], &post[1]))
            return wrong(changed(post, 1) ? 0 : 1);
        return same(&post[2], &post[0]) ? wrong(1) : same(&post[2], &post[1]) ? wrong(0) : disputed;
    }
    missing = behind(post, 2, MU_AUDIT_TRIES);
    if (missing != 0)
        return open_for(missing);
    switch (changed(post, 2)) {
    case 1u << 0:
        return wrong(0);
    case 1u << 1:
        return wrong(1);
    default:
        return disputed;
    }
}

bool mu_audit_is_due(int64_t step, int64_t every)
{
    return every > 0 && (step + 1) % every == 0;
}

uint32_t mu_audit_shard(int64_t step, uint32_t shards)
{
    return (uint32_t)((uint64_t)step * UINT64_C(0x9e3779b97f4a7c15) >> 32) % shards;
}
