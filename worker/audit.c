/* Every rank of the host looks at the same posts and comes to the same verdict; the lowest one that
 * is not accused carries it out: writes down that the accused's sum counts for nothing, and only
 * then ends it. The accused may be adding shards of another rank that died by then; the word is not
 * its own, so that it cannot undo it.
 *
 * A post is read between two looks at its word, which only grows; a rank that has gone on to a
 * later turn, or a chunk that is reduced, tells that this turn's audit is over. */
#include "worker/audit.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/core/audit.h"
#include "worker/worker.h"

enum { SLICE = 1 << 20, COUNT_BITS = 2 }; /* elements between two polls */

static int64_t step_of(uint64_t turn)
{
    return (int64_t)((turn - 1) / 2);
}

static uint32_t shard_of(const struct mu_worker *w, uint64_t turn)
{
    return mu_audit_shard(step_of(turn), (uint32_t)w->workload->facts.shards);
}

static bool is_due(const struct mu_worker *w, uint64_t turn)
{
    return mu_audit_is_due(step_of(turn), w->settings->run_audit_every);
}

enum mu_status mu_audit_init(struct mu_worker *w)
{
    if (mu_device_has_host_memory(w->device) || w->settings->run_audit_every == 0)
        return MU_OK;
    w->audit.copy = mu_device_alloc_lent(w->device, SLICE * sizeof(float));
    return w->audit.copy ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory to audit shards");
}

void mu_audit_deinit(struct mu_worker *w)
{
    mu_device_free_lent(w->device, w->audit.copy);
    w->audit.copy = NULL;
}

static struct mu_hash hash_floats(struct mu_worker *w, const float *x, uint64_t count,
                                  struct mu_hash h)
{
    for (uint64_t at = 0; at < count; at += SLICE) {
        uint64_t n = count - at < SLICE ? count - at : SLICE;

        h = mu_hash_bytes(mu_device_view(w->device, x + at, n * sizeof *x, w->audit.copy),
                          n * sizeof *x, h.low);
        mu_device_poll(w->device);
    }
    return h;
}

static struct mu_hash hash_gradient(struct mu_worker *w, const struct mu_shard_result *g)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_hash h = mu_hash_bytes(&g->loss_nats, sizeof g->loss_nats, g->tokens);

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        if (t->spec.dense)
            h = hash_floats(w, g->dense + t->offset, t->spec.rows * t->spec.cols, h);
    }
    for (uint32_t i = 0; i < g->row_count; i++) {
        const struct mu_row_gradient *r = &g->rows[i];

        h = mu_hash_bytes(r->row, r->count * sizeof *r->row, h.low);
        h = hash_floats(w, r->value, r->count * l->tensors[r->tensor].spec.cols, h);
    }
    return h;
}

/* What broken hardware does, on demand: another bit each time. */
static void corrupt(const struct mu_worker *w, const struct mu_shard_result *g)
{
    static uint32_t times;
    const struct mu_layout *l = &w->workload->layout;

    for (uint32_t i = 0; i < l->tensor_count; i++)
        if (l->tensors[i].spec.dense) {
            float *first = (float *)(uintptr_t)(g->dense + l->tensors[i].offset);
            uint8_t bytes[sizeof *first];

            mu_device_download(w->device, bytes, first, sizeof bytes);
            bytes[2] ^= (uint8_t)(1 << times++ % 7);
            mu_device_upload(w->device, first, bytes, sizeof bytes);
            return;
        }
}

void mu_audit_note(struct mu_worker *w, uint64_t turn, uint32_t shard,
                   const struct mu_shard_result *g)
{
    if (!is_due(w, turn))
        return;
    if (mu_fault(MU_FAULT_CORRUPT, step_of(turn)))
        corrupt(w, g);
    if (shard != shard_of(w, turn))
        return;
    w->audit.noted = hash_gradient(w, g);
    w->audit.noted_turn = turn;
}

static void post(struct mu_worker *w, uint64_t turn, struct mu_hash hash)
{
    struct mu_rank_words *words = &w->segment->rank[w->slot];
    uint64_t word = atomic_load(&words->audited), count = 0;

    if (word >> COUNT_BITS == turn)
        count = word & ((1 << COUNT_BITS) - 1);
    if (count == MU_AUDIT_TRIES)
        return;
    if (count == 0) { /* whoever still reads the earlier turn's post sees that it is going */
        atomic_store(&words->audited, turn << COUNT_BITS);
        atomic_thread_fence(memory_order_seq_cst);
    }
    words->audit[count] = hash;
    atomic_store_explicit(&words->audited, turn << COUNT_BITS | (count + 1), memory_order_release);
}

/* The holder posts what it has added. After a repair it may have posted before, as another member:
 * then a difference is a change of mind. */
static void post_noted(struct mu_worker *w, uint64_t turn)
{
    const struct mu_rank_words *words = &w->segment->rank[w->slot];
    uint64_t word = atomic_load(&words->audited);

    if (w->audit.noted_turn != turn)
        return;
    if (word != (turn << COUNT_BITS | 1) || !mu_hash_equal(words->audit[0], w->audit.noted))
        post(w, turn, w->audit.noted);
    w->audit.noted_turn = 0;
}

/* False: the rank is in a later turn. */
static bool read_post(const struct mu_rank_words *words, uint64_t turn, struct mu_audit_post *p)
{
    uint64_t word, again;

    do {
        word = atomic_load_explicit(&words->audited, memory_order_acquire);
        p->count = word >> COUNT_BITS == turn ? word & ((1 << COUNT_BITS) - 1) : 0;
        for (uint32_t i = 0; i < MU_AUDIT_TRIES && i < p->count; i++)
            p->hash[i] = words->audit[i];
        atomic_thread_fence(memory_order_seq_cst);
        again = atomic_load_explicit(&words->audited, memory_order_relaxed);
    } while (again != word);
    return word >> COUNT_BITS <= turn;
}

/* Local indices of the members; 0 when there is nothing to compare: the shard is another host's, or
 * stands in the sum of a dead rank, or nobody else is here. */
static uint32_t find_members(const struct mu_worker *w, uint64_t turn, uint32_t *member)
{
    uint32_t count = w->local_count < MU_AUDIT_MEMBERS ? w->local_count : MU_AUDIT_MEMBERS;

    for (uint32_t i = 0; count > 1 && i < w->local_count; i++) {
        struct mu_shard_set deal =
            mu_recovery_deal(w->plan, turn, mu_roll_local(w->roll, w->host, i), w->crew,
                             (uint32_t)w->workload->facts.shards);

        if (!mu_shard_set_has(&deal, shard_of(w, turn)))
            continue;
        for (uint32_t k = 0; k < count; k++)
            member[k] = (i + k) % w->local_count;
        return count;
    }
    return 0;
}

static uint32_t slot_of(const struct mu_worker *w, uint32_t local)
{
    return mu_worker_slot(w, mu_roll_local(w->roll, w->host, local));
}

static struct mu_audit_verdict decide(const struct mu_worker *w, uint64_t turn, uint32_t *member)
{
    struct mu_audit_verdict passed = {.kind = MU_AUDIT_PASSED};
    struct mu_audit_post posts[MU_AUDIT_MEMBERS] = {{0}};
    uint32_t count = find_members(w, turn, member);

    if (count == 0 || mu_segment_step(w->segment) != step_of(turn))
        return passed;
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (atomic_load_explicit(&w->segment->chunk[c].reduced, memory_order_acquire) >= turn)
            return passed; /* or it was told by then that it is disputed */
    for (uint32_t k = 0; k < count; k++)
        if (!read_post(&w->segment->rank[slot_of(w, member[k])], turn, &posts[k]))
            return passed;
    return mu_audit_decide(posts, count);
}

static bool is_asked(const struct mu_worker *w, const struct mu_audit_verdict *v,
                     const uint32_t *member)
{
    for (uint32_t k = 0; k < MU_AUDIT_MEMBERS; k++)
        if (v->kind == MU_AUDIT_OPEN && v->members >> k & 1 && member[k] == w->local_index)
            return true;
    return false;
}

static bool moves_on(struct mu_worker *w, uint64_t turn)
{
    uint32_t member[MU_AUDIT_MEMBERS];
    struct mu_audit_verdict v = decide(w, turn, member);

    return v.kind == MU_AUDIT_PASSED || v.kind == MU_AUDIT_DISPUTED || is_asked(w, &v, member) ||
           (v.kind == MU_AUDIT_WRONG && !w->audit.told);
}

static enum mu_status compute(struct mu_worker *w, uint64_t turn)
{
    uint64_t state = atomic_load(&w->segment->header->state);
    enum mu_ledger_kind before = mu_poller_enter(w->poller, MU_LEDGER_REDO);
    struct mu_weights weights;
    struct mu_shard_result g;
    struct mu_hash h;
    enum mu_status st;

    MU_TRY(mu_device_weights_take(&w->weights, w->segment, state, &weights), st, failed);
    MU_TRY(w->workload->ops->shard_gradient(w->workload, &weights, step_of(turn), shard_of(w, turn),
                                            &g),
           st, failed);
    if (mu_fault(MU_FAULT_CORRUPT, step_of(turn)))
        corrupt(w, &g);
    h = hash_gradient(w, &g);
    MU_TRY(mu_device_verify(w->device), st, failed);
    post(w, turn, h);
failed:
    mu_poller_enter(w->poller, before);
    return st != MU_OK ? st : mu_poll(w->poller);
}

/* Ends the accused, if that is this rank's part. */
static void carry_out(struct mu_worker *w, uint64_t turn, uint32_t accused)
{
    struct mu_rank_words *words = &w->segment->rank[slot_of(w, accused)];
    uint32_t pid = atomic_load(&words->pid);

    w->audit.told = true;
    if (w->local_index != (accused == 0 ? 1 : 0))
        return;
    mu_log(MU_LOG_WARN,
           "audit of step %" PRId64 ": rank %d computes other bits of shard %" PRIu32
           " than the others: it is ended (process %" PRIu32 "), and what it computed in this step "
           "is computed again. Look at its machine's memory and CPU",
           step_of(turn) + 1, mu_comm_name(w->comm, (int)mu_roll_local(w->roll, w->host, accused)),
           shard_of(w, turn), pid);
    atomic_store(&words->accused, turn);
    if (pid != 0 && mu_board_process_start(pid) == words->start_time)
        kill((pid_t)pid, SIGKILL);
}

enum mu_status mu_audit(struct mu_worker *w, uint64_t turn)
{
    uint32_t member[MU_AUDIT_MEMBERS];
    struct mu_audit_verdict v;
    enum mu_status st = MU_OK;

    if (!is_due(w, turn))
        return MU_OK;
    post_noted(w, turn);
    w->audit.told = false;
    for (;;) {
        v = decide(w, turn, member);
        if (v.kind == MU_AUDIT_PASSED)
            break;
        if (v.kind == MU_AUDIT_DISPUTED) {
            w->audit.disputed_turn = turn;
            break;
        }
        if (v.kind == MU_AUDIT_WRONG && !w->audit.told)
            carry_out(w, turn, member[v.member]);
        else if (is_asked(w, &v, member))
            MU_TRY(compute(w, turn), st, failed);
        else
            MU_TRY(mu_worker_wait(w, moves_on, turn, "the audit of a shard"), st, failed);
    }
failed:
    return st;
}
