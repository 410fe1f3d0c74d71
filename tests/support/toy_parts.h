/* kernels/resident_parts.h in plain memory, on toy_resident.h. */
#ifndef MUSTER_TESTS_TOY_PARTS_H
#define MUSTER_TESTS_TOY_PARTS_H

#include "kernels/resident_parts.h"
#include "tests/support/toy_resident.h"

static inline const int32_t *toy_parts_sum(struct mu_resident *r)
{
    return ((struct toy_resident *)r)->sum.dense;
}

static inline int toy_parts_integers(struct mu_resident *r, uint64_t escapes, const uint64_t *bound,
                                     uint32_t parts, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct toy_resident *t = (struct toy_resident *)r;
    uint64_t slots = toy_scatter_slots(t);

    MU_ASSERT(slots == escapes && parts <= r->options.parts && parts <= FAKE_RANKS);
    MU_ASSERT(bound[0] == 0 && bound[parts] == r->options.layout->elements);
    for (uint32_t i = 0; i < parts; i++)
        t->part_check[i] =
            (int32_t)mu_chunk_check(t->sum.dense + bound[i], bound[i + 1] - bound[i]);
    list[0] = (struct mu_all_reduce){MU_SUM_INT32, t->part_check, t->part_check, parts};
    list[1] = (struct mu_all_reduce){MU_SUM_INT64, t->slots, t->slots, slots * MU_BLOCK};
    return 2;
}

static inline bool toy_parts_finish(struct mu_resident *r, const struct mu_resident_part *p)
{
    struct toy_resident *t = (struct toy_resident *)r;

    memset(t->norm, 0, sizeof t->norm);
    if (p->chunk_count > 0)
        toy_to_float(t, p->first_chunk, p->chunk_count, p->total, p->integers, t->norm);
    return mu_chunk_check(p->integers, p->count) == (uint32_t)t->part_check[p->number];
}

static inline int toy_parts_norm(struct mu_resident *r, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct toy_resident *t = (struct toy_resident *)r;

    list[0] = (struct mu_all_reduce){MU_SUM_INT64, t->norm, t->norm, MU_RESIDENT_WIDE};
    return 1;
}

static inline void toy_parts_take_norm(struct mu_resident *r, int64_t norm[MU_RESIDENT_WIDE])
{
    memcpy(norm, ((struct toy_resident *)r)->norm, MU_RESIDENT_WIDE * sizeof *norm);
}

static inline void toy_parts_update(struct mu_resident *r, uint32_t from,
                                    const struct mu_resident_part *p, const struct mu_adamw *how,
                                    float decay)
{
    const struct mu_layout *l = r->options.layout;
    struct mu_adamw a = *how;

    for (uint32_t c = p->first_chunk; c < p->first_chunk + p->chunk_count; c++) {
        const struct mu_chunk *chunk = &l->chunks[c];

        for (uint32_t i = chunk->first_span; i < chunk->first_span + chunk->span_count; i++) {
            const struct mu_span *s = &l->spans[i];
            uint64_t at = s->offset - p->offset;

            a.count = (int64_t)s->count;
            a.weight = r->weight[from] + s->offset;
            a.m = p->m[from] + at;
            a.v = p->v[from] + at;
            a.gradient = p->total + at;
            a.weight_out = r->weight[!from] + s->offset;
            a.m_out = p->m[!from] + at;
            a.v_out = p->v[!from] + at;
            a.decay = l->tensors[s->tensor].spec.decay ? decay : 0;
            r->device->ops->adamw(r->device, &a);
        }
    }
}

static const struct mu_resident_parts_ops toy_resident_parts_ops = {
    .sum = toy_parts_sum,
    .integers = toy_parts_integers,
    .finish = toy_parts_finish,
    .norm = toy_parts_norm,
    .take_norm = toy_parts_take_norm,
    .update = toy_parts_update,
};

#endif
