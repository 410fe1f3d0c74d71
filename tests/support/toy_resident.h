/* kernels/resident.h and kernels/collective.h in plain memory, for tests of what is built on them:
 * devices of ranks that are threads of one program (fake_comm.h). Arithmetic is the worker's own.
 *
 * Collectives as NCCL's, and no kinder: one that a rank has not joined never ends, whatever became
 * of that rank; some ranks see the end of one while others abort it; until the end outputs hold
 * garbage, and inputs that somebody writes are found out; sometimes the library notices a death by
 * itself. */
#ifndef MUSTER_TESTS_TOY_RESIDENT_H
#define MUSTER_TESTS_TOY_RESIDENT_H

#include <stdlib.h>
#include <string.h>

#include "kernels/resident.h"
#include "orchestrator/base/clock.h"
#include "tests/support/fake_comm.h"
#include "tests/support/toy_moves.h"
#include "worker/worker.h"

/* ---- the state of a rank ---- */
struct toy_resident {
    struct mu_resident base;
    struct mu_exact_sum exact;
    struct mu_sum sum; /* its dense part has one element more: the sum of the others */
    struct mu_sum_counts counts;
    int16_t *prediction;
    uint8_t *bytes; /* maxima, escaped, flags, requests: a byte each */
    int64_t scalars[MU_RESIDENT_SCALARS], *slots;
    int32_t *reduced;
    int32_t part_check[FAKE_RANKS]; /* toy_parts.h */
    int64_t norm[MU_RESIDENT_WIDE];
    float *part; /* of a gradient; zeros elsewhere */
};

static inline void *toy_zeroed(uint64_t n, size_t size)
{
    void *memory = calloc(n, size);

    MU_ASSERT(memory);
    return memory;
}

static inline uint64_t toy_bytes(const struct mu_layout *l)
{
    return 2 * l->blocks + 8 + 8;
}

static inline enum mu_status toy_resident_open(struct mu_device *d,
                                               const struct mu_resident_options *o,
                                               struct mu_resident **out)
{
    const struct mu_layout *l = o->layout;
    struct toy_resident *t = toy_zeroed(1, sizeof *t);

    t->base = (struct mu_resident){.device = d, .options = *o};
    for (int h = 0; h < 2; h++) {
        t->base.weight[h] = toy_zeroed(l->elements, 4);
        if (o->parts > 0)
            continue;
        t->base.m[h] = toy_zeroed(l->elements, 4);
        t->base.v[h] = toy_zeroed(l->elements, 4);
    }
    if (o->parts == 0)
        t->base.total = toy_zeroed(l->elements, 4);
    t->sum = (struct mu_sum){.dense = toy_zeroed(l->elements + 1, 4),
                             .largest = toy_zeroed(l->blocks, 1),
                             .escaped = toy_zeroed(l->blocks / 64 + 1, 8),
                             .slot_of = toy_zeroed(l->blocks, 4),
                             .slots = toy_zeroed(o->slots * MU_BLOCK, 8),
                             .counts = &t->counts};
    t->prediction = toy_zeroed(l->blocks, 2);
    t->bytes = toy_zeroed(toy_bytes(l), 1);
    t->slots = toy_zeroed(o->slots * MU_BLOCK, 8);
    t->reduced = toy_zeroed(l->elements + 1, 4);
    t->part = toy_zeroed(l->elements, 4);
    *out = &t->base;
    return mu_exact_sum_init(&t->exact, l, d, o->shards);
}

static inline void toy_resident_close(struct mu_resident *r)
{
    struct toy_resident *t = (struct toy_resident *)r;

    for (int h = 0; h < 2; h++) {
        free(r->weight[h]);
        free(r->m[h]);
        free(r->v[h]);
    }
    free(r->total);
    free(t->sum.dense);
    free(t->sum.largest);
    free(t->sum.escaped);
    free(t->sum.slot_of);
    free(t->sum.slots);
    free(t->prediction);
    free(t->bytes);
    free(t->slots);
    free(t->reduced);
    free(t->part);
    mu_exact_sum_deinit(&t->exact);
    free(t);
}

static inline void toy_resident_begin(struct mu_resident *r, const int16_t *prediction)
{
    struct toy_resident *t = (struct toy_resident *)r;
    const struct mu_layout *l = r->options.layout;

    memcpy(t->prediction, prediction, l->blocks * sizeof *prediction);
    memset(t->sum.dense, 0, (l->elements + 1) * 4);
    memset(t->sum.largest, 0, l->blocks);
    memset(t->sum.escaped, 0, (l->blocks / 64 + 1) * 8);
    t->counts = (struct mu_sum_counts){0, 0};
}

/* Zeros add nothing. */
static inline void toy_resident_add_dense(struct mu_resident *r, const float *dense, uint32_t first,
                                          uint32_t end)
{
    struct toy_resident *t = (struct toy_resident *)r;
    const struct mu_layout *l = r->options.layout;
    struct mu_shard_result g = {.dense = t->part};

    memset(t->part, 0, l->elements * 4);
    for (uint32_t i = first; i < end && dense; i++) /* what is not dense may hold anything */
        if (l->tensors[i].spec.dense)
            memcpy(t->part + l->tensors[i].offset, dense + l->tensors[i].offset,
                   l->tensors[i].spec.rows * l->tensors[i].spec.cols * 4);
    mu_exact_sum_add(&t->exact, &t->sum, t->prediction, &g, false);
}

static inline void toy_resident_add_rows(struct mu_resident *r, const struct mu_resident_rows *rows,
                                         uint32_t count)
{
    struct toy_resident *t = (struct toy_resident *)r;
    struct mu_shard_result g = {.dense = t->part, .row_count = count};

    memset(t->part, 0, r->options.layout->elements * 4);

    for (uint32_t i = 0; i < count; i++)
        g.rows[i] = (struct mu_row_gradient){.tensor = rows[i].tensor,
                                             .count = rows[i].count,
                                             .row = rows[i].row,
                                             .value = rows[i].value};
    mu_exact_sum_add(&t->exact, &t->sum, t->prediction, &g, false);
}

static inline struct mu_all_reduce toy_resident_bucket(struct mu_resident *r, uint64_t from,
                                                       uint64_t to)
{
    struct toy_resident *t = (struct toy_resident *)r;

    return (struct mu_all_reduce){MU_SUM_INT32, t->reduced + from, t->sum.dense + from, to - from};
}

static inline int toy_resident_maxima(struct mu_resident *r, uint32_t requests,
                                      const int64_t *scalars, int count,
                                      struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct toy_resident *t = (struct toy_resident *)r;
    const uint64_t n = r->options.layout->blocks;

    memcpy(t->bytes, t->sum.largest, n);
    for (uint64_t b = 0; b < n; b++)
        t->bytes[n + b] = t->sum.escaped[b / 64] >> b % 64 & 1;
    for (int i = 0; i < 8; i++) {
        t->bytes[2 * n + (unsigned)i] = t->counts.flags >> i & 1;
        t->bytes[2 * n + 8 + (unsigned)i] = requests >> i & 1;
    }
    memcpy(t->scalars, scalars, (size_t)count * sizeof *scalars);
    list[0] =
        (struct mu_all_reduce){MU_MAX_UINT8, t->bytes, t->bytes, toy_bytes(r->options.layout)};
    list[1] = (struct mu_all_reduce){MU_SUM_INT64, t->scalars, t->scalars, (size_t)count};
    return 2;
}

static inline void toy_resident_agree(struct mu_resident *r, uint8_t *largest, int64_t *scalars,
                                      int count, struct mu_resident_words *out)
{
    struct toy_resident *t = (struct toy_resident *)r;
    const uint64_t n = r->options.layout->blocks;

    memset(out, 0, sizeof *out);
    memcpy(largest, t->bytes, n);
    memcpy(scalars, t->scalars, (size_t)count * sizeof *scalars);
    for (uint64_t b = 0; b < n; b++)
        out->escapes += t->bytes[n + b];
    for (int i = 0; i < 8; i++) {
        out->flags |= (uint32_t)t->bytes[2 * n + (unsigned)i] << i;
        out->requests |= (uint32_t)t->bytes[2 * n + 8 + (unsigned)i] << i;
    }
    mu_device_poll(r->device);
}

/* This rank's slots at the places that all have agreed on; returns how many there are. */
static inline uint64_t toy_scatter_slots(struct toy_resident *t)
{
    const struct mu_layout *l = t->base.options.layout;
    uint64_t slot = 0;

    for (uint64_t b = 0; b < l->blocks; b++) {
        if (!t->bytes[l->blocks + b])
            continue;
        MU_ASSERT(slot < t->base.options.slots);
        if (t->sum.escaped[b / 64] >> b % 64 & 1)
            memcpy(t->slots + slot * MU_BLOCK,
                   t->sum.slots + t->sum.slot_of[b] * (uint64_t)MU_BLOCK, MU_BLOCK * 8);
        else
            memset(t->slots + slot * MU_BLOCK, 0, MU_BLOCK * 8);
        slot++;
    }
    return slot;
}

static inline int toy_resident_integers(struct mu_resident *r, uint64_t escapes, uint64_t end,
                                        struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct toy_resident *t = (struct toy_resident *)r;
    const struct mu_layout *l = r->options.layout;
    uint64_t slot = toy_scatter_slots(t);

    t->sum.dense[l->elements] = (int32_t)mu_chunk_check(t->sum.dense, l->elements);
    MU_ASSERT(slot == escapes);
    list[0] = toy_resident_bucket(r, 0, end);
    list[1] = toy_resident_bucket(r, l->elements, l->elements + 1);
    list[2] = (struct mu_all_reduce){MU_SUM_INT64, t->slots, t->slots, slot * MU_BLOCK};
    return 3;
}

/* Chunks [from, from + count): total and integers begin with the first of them. Squares go to norm,
 * and it may take long enough for somebody to die meanwhile. */
static inline void toy_to_float(struct toy_resident *t, uint32_t from, uint32_t count, float *total,
                                const int32_t *integers, int64_t norm[MU_RESIDENT_WIDE])
{
    const struct mu_layout *l = t->base.options.layout;
    const int64_t *wide = t->slots;
    struct mu_wide squares = {{0}, 0};

    for (uint32_t c = 0; c < from + count; c++) {
        const struct mu_chunk *chunk = &l->chunks[c];
        uint64_t escaped[MU_CHUNK / MU_BLOCK] = {0}, escapes = 0;
        struct mu_chunk_maxima m = {.escaped = escaped};

        for (uint64_t b = 0; b < chunk->block_count; b++)
            if (t->bytes[l->blocks + chunk->first_block + b]) {
                escaped[b / 64] |= UINT64_C(1) << b % 64;
                escapes++;
            }
        if (c >= from)
            mu_chunk_to_float(&t->exact, total + (chunk->offset - l->chunks[from].offset), &squares,
                              integers + (chunk->offset - l->chunks[from].offset), wide, &m, chunk,
                              t->prediction);
        wide += escapes * MU_BLOCK;
    }
    memcpy(norm, &squares, sizeof squares);
    for (uint64_t i = 0; i < fake.seed % 4; i++) {
        mu_clock_sleep_us(60);
        mu_device_poll(t->base.device);
    }
}

static inline bool toy_resident_finish(struct mu_resident *r, int64_t norm[MU_RESIDENT_WIDE])
{
    struct toy_resident *t = (struct toy_resident *)r;
    const struct mu_layout *l = r->options.layout;

    toy_to_float(t, 0, l->chunk_count, r->total, t->reduced, norm);
    return mu_chunk_check(t->reduced, l->elements) == (uint32_t)t->reduced[l->elements];
}

static inline void toy_resident_check(struct mu_resident *r, uint32_t half, uint32_t sums[3])
{
    const float *array[] = {r->weight[half], r->m[half], r->v[half]};

    mu_device_poll(r->device); /* a death may be repaired here, and is not told */
    memset(sums, 0, 3 * sizeof *sums);
    for (int i = 0; i < 3 && array[i]; i++)
        sums[i] =
            mu_chunk_check((const int32_t *)(const void *)array[i], r->options.layout->elements);
}

static inline void toy_resident_update(struct mu_resident *r, uint32_t from,
                                       const struct mu_adamw *how, float decay)
{
    const struct mu_layout *l = r->options.layout;
    struct mu_adamw a = *how;

    a.check = NULL;
    a.weight_bf16 = NULL;
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        a.count = (int64_t)(t->spec.rows * t->spec.cols);
        a.weight = r->weight[from] + t->offset;
        a.m = r->m[from] + t->offset;
        a.v = r->v[from] + t->offset;
        a.gradient = r->total + t->offset;
        a.weight_out = r->weight[!from] + t->offset;
        a.m_out = r->m[!from] + t->offset;
        a.v_out = r->v[!from] + t->offset;
        a.decay = t->spec.decay ? decay : 0;
        r->device->ops->adamw(r->device, &a);
    }
}

static const struct mu_resident_ops toy_resident_ops = {
    .open = toy_resident_open,
    .close = toy_resident_close,
    .begin = toy_resident_begin,
    .add_dense = toy_resident_add_dense,
    .add_rows = toy_resident_add_rows,
    .bucket = toy_resident_bucket,
    .maxima = toy_resident_maxima,
    .integers = toy_resident_integers,
    .agree = toy_resident_agree,
    .finish = toy_resident_finish,
    .check = toy_resident_check,
    .update = toy_resident_update,
};

/* ---- collectives ---- */
enum { TOY_GROUPS = 512, TOY_PENDING = 128 };

/* A group of operations, whole once everybody has joined. */
struct toy_group {
    int joined, count;
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    uint8_t *sum[MU_RESIDENT_LIST];
};
struct toy_communicator {
    char id[16];
    int size, here;
    uint32_t ranks; /* bitmap of names */
    struct toy_group group[TOY_PENDING];
};
struct mu_collective {
    struct toy_communicator *communicator;
    int begun, done; /* groups that it has joined, and seen the end of */
    bool formed;
    struct mu_all_reduce list[TOY_PENDING][MU_RESIDENT_LIST];
    uint64_t input[TOY_PENDING][MU_RESIDENT_LIST]; /* hash */
    struct toy_mover mover;
};

static struct {
    pthread_mutex_t lock;
    struct toy_communicator at[TOY_GROUPS];
    int count;
} toy_peers = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void toy_peers_clear(void)
{
    for (int i = 0; i < toy_peers.count; i++)
        for (int g = 0; g < TOY_PENDING; g++)
            for (int k = 0; k < MU_RESIDENT_LIST; k++)
                free(toy_peers.at[i].group[g].sum[k]);
    memset(toy_peers.at, 0, sizeof toy_peers.at);
    toy_peers.count = 0;
    toy_moves_clear();
}

static inline size_t toy_element(enum mu_reduction_kind kind)
{
    return kind == MU_SUM_INT32 ? 4 : kind == MU_SUM_INT64 ? 8 : 1;
}

static inline void toy_merge(enum mu_reduction_kind kind, void *into, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (kind == MU_SUM_INT32)
            ((uint32_t *)into)[i] += ((const uint32_t *)from)[i];
        else if (kind == MU_SUM_INT64)
            ((uint64_t *)into)[i] += ((const uint64_t *)from)[i];
        else if (((const uint8_t *)from)[i] > ((uint8_t *)into)[i])
            ((uint8_t *)into)[i] = ((const uint8_t *)from)[i];
    }
}

static inline enum mu_status toy_make_id(struct mu_device *d, struct mu_collective_id *out)
{
    static _Atomic unsigned made;

    (void)d;
    memset(out, 0, sizeof *out);
    snprintf(out->bytes, sizeof out->bytes, "%u", ++made);
    return MU_OK;
}

static inline enum mu_status toy_open_peers(struct mu_device *d, const struct mu_collective_id *id,
                                            int rank, int size, struct mu_collective **out)
{
    struct toy_communicator *c = toy_peers.at;

    (void)d;
    *out = toy_zeroed(1, sizeof **out);
    (*out)->mover = toy_moves_open(id->bytes, rank, size);
    pthread_mutex_lock(&toy_peers.lock);
    while (c < toy_peers.at + toy_peers.count && strcmp(c->id, id->bytes) != 0)
        c++;
    MU_ASSERT(c < toy_peers.at + TOY_GROUPS);
    if (c == toy_peers.at + toy_peers.count) {
        toy_peers.count++;
        snprintf(c->id, sizeof c->id, "%.15s", id->bytes);
        c->size = size;
    }
    MU_ASSERT(c->size == size && !(c->ranks >> fake_self & 1));
    c->here++;
    c->ranks |= UINT32_C(1) << fake_self;
    (*out)->communicator = c;
    pthread_mutex_unlock(&toy_peers.lock);
    return MU_OK;
}

static inline uint64_t toy_hash_of(const struct mu_all_reduce *a)
{
    return mu_hash_bytes(a->from, a->count * toy_element(a->kind), 0).low;
}

static inline enum mu_status toy_all_reduce(struct mu_collective *c,
                                            const struct mu_all_reduce *list, int count)
{
    struct toy_group *g = &c->communicator->group[c->begun];

    MU_ASSERT(c->formed && c->begun < TOY_PENDING);
    pthread_mutex_lock(&toy_peers.lock);
    for (int i = 0; i < count; i++) {
        size_t bytes = list[i].count * toy_element(list[i].kind);

        if (g->joined == 0) {
            g->list[i] = list[i];
            g->sum[i] = toy_zeroed(bytes + 1, 1);
        }
        MU_ASSERT(g->joined == 0 || g->count == count);
        MU_ASSERT(g->list[i].kind == list[i].kind && g->list[i].count == list[i].count);
        toy_merge(list[i].kind, g->sum[i], list[i].from, list[i].count);
        memset(list[i].to, 0x5a, bytes);
        c->list[c->begun][i] = list[i];
        c->input[c->begun][i] = toy_hash_of(&list[i]);
    }
    g->count = count;
    g->joined++;
    c->begun++;
    pthread_mutex_unlock(&toy_peers.lock);
    return MU_OK;
}

static inline enum mu_status toy_move(struct mu_collective *c, const struct mu_move *list,
                                      int count)
{
    MU_ASSERT(c->formed && c->done == c->begun);
    toy_moves_begin(&c->mover, list, count);
    return MU_OK;
}

/* Nobody has written what may still be read. */
static inline void toy_check_inputs(const struct mu_collective *c, int group, int count)
{
    for (int i = 0; i < count; i++) {
        const struct mu_all_reduce *own = &c->list[group][i];

        MU_ASSERT(own->to == own->from || toy_hash_of(own) == c->input[group][i]);
    }
}

static inline enum mu_status toy_poll_peers(struct mu_collective *c, bool *done)
{
    struct toy_communicator *all = c->communicator;
    enum mu_status st = MU_OK;

    pthread_mutex_lock(&toy_peers.lock);
    c->formed = all->here == all->size;
    for (; c->done < c->begun && all->group[c->done].joined == all->size; c->done++) {
        const struct toy_group *g = &all->group[c->done];
        const struct mu_all_reduce *own = c->list[c->done];

        toy_check_inputs(c, c->done, g->count);
        for (int i = 0; i < g->count; i++)
            memcpy(own[i].to, g->sum[i], own[i].count * toy_element(own[i].kind));
    }
    *done = toy_moves_poll(&c->mover) && c->formed && c->done == c->begun;
    for (int r = 0; !*done && r < FAKE_RANKS; r++)
        if ((all->ranks >> r & 1) && fake.dead[r] && (fake.seed + (unsigned)fake_self) % 3 == 0)
            st = MU_PEER_LOST;
    pthread_mutex_unlock(&toy_peers.lock);
    return st;
}

static inline enum mu_status toy_abort_peers(struct mu_collective *c, uint64_t deadline_ms)
{
    (void)deadline_ms;
    pthread_mutex_lock(&toy_peers.lock);
    for (int g = c->done; g < c->begun; g++)
        toy_check_inputs(c, g, c->communicator->group[g].count);
    pthread_mutex_unlock(&toy_peers.lock);
    free(c);
    return MU_OK;
}

static inline const char *toy_words(const struct mu_collective *c)
{
    (void)c;
    return "";
}

static const struct mu_collective_ops toy_collective_ops = {
    .make_id = toy_make_id,
    .open = toy_open_peers,
    .all_reduce = toy_all_reduce,
    .move = toy_move,
    .poll = toy_poll_peers,
    .words = toy_words,
    .close = toy_abort_peers,
    .abort = toy_abort_peers,
};

#endif
