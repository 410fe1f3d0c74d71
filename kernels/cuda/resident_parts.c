/* kernels/resident_parts.h on CUDA: the kernels of sums.h over the spans of a part. They take
 * arrays of the whole layout and touch the spans' elements alone. */
#include "kernels/resident_parts.h"

#include <string.h>

#include "kernels/cuda/resident_inner.h"

static struct mu_cuda_spans spans_of(const struct mu_resident *r,
                                     const struct mu_cuda_resident_inner *in,
                                     const struct mu_resident_part *p)
{
    const struct mu_chunk *first = &r->options.layout->chunks[p->first_chunk];
    int64_t count = 0;

    for (uint32_t c = 0; c < p->chunk_count; c++)
        count += first[c].span_count;
    return mu_cuda_spans_of(in->host_spans, in->device_spans,
                            p->chunk_count > 0 ? first->first_span : 0, count);
}

static const int32_t *sum(struct mu_resident *r)
{
    return mu_cuda_resident_inner(r).sum.dense;
}

static int integers(struct mu_resident *r, uint64_t escapes, const uint64_t *bound, uint32_t parts,
                    struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_cuda_resident_inner in = mu_cuda_resident_inner(r);
    uint32_t *check = in.part_check;

    MU_ASSERT(escapes <= r->options.slots && parts <= r->options.parts);
    mu_cuda_clear(r->device, check, parts * sizeof *check);
    for (uint32_t i = 0; i < parts && !mu_cuda_is_broken(in.cuda); i++)
        mu_cuda_queued(in.cuda, "check of a part of the sum",
                       mu_cuda_check_int32(in.cuda->stream, check + i, in.sum.dense + bound[i],
                                           (int64_t)(bound[i + 1] - bound[i])),
                       false);
    if (!mu_cuda_is_broken(in.cuda))
        mu_cuda_queued(in.cuda, "slots of escaped blocks",
                       mu_cuda_sum_scatter(in.cuda->stream, &in.total, &in.sum, (uint32_t)escapes),
                       false);
    list[0] = (struct mu_all_reduce){MU_SUM_INT32, check, check, parts};
    list[1] = (struct mu_all_reduce){MU_SUM_INT64, in.total.slots, in.total.slots,
                                     (size_t)escapes * MU_BLOCK};
    return 2;
}

static bool finish(struct mu_resident *r, const struct mu_resident_part *p)
{
    struct mu_cuda_resident_inner in = mu_cuda_resident_inner(r);
    struct mu_cuda_spans spans = spans_of(r, &in, p);
    uint32_t is = 0, due = 0;

    in.total.dense = mu_resident_part_whole(p, p->integers);
    mu_cuda_clear(r->device, in.check, sizeof *in.check);
    if (mu_cuda_is_broken(in.cuda))
        return true;
    mu_cuda_queued(in.cuda, "check of a part of the total",
                   mu_cuda_check_int32(in.cuda->stream, in.check, p->integers, (int64_t)p->count),
                   false);
    mu_cuda_queued(in.cuda, "a part of the total of gradients",
                   mu_cuda_total_to_float(in.cuda->stream, mu_resident_part_whole(p, p->total),
                                          &in.total, &spans, in.prediction),
                   false);
    mu_cuda_download(r->device, &is, in.check, sizeof is);
    mu_cuda_download(r->device, &due, in.part_check + p->number, sizeof due);
    return is == due || mu_cuda_is_broken(in.cuda);
}

static int norm(struct mu_resident *r, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_cuda_words *words = mu_cuda_resident_inner(r).total.words;

    list[0] = (struct mu_all_reduce){MU_SUM_INT64, words->norm, words->norm, MU_CUDA_WIDE_WORDS};
    return 1;
}

static void take_norm(struct mu_resident *r, int64_t out[MU_RESIDENT_WIDE])
{
    const struct mu_cuda_words *words = mu_cuda_resident_inner(r).total.words;

    memset(out, 0, MU_RESIDENT_WIDE * sizeof *out);
    mu_cuda_download(r->device, out, words->norm, sizeof words->norm);
}

static void update(struct mu_resident *r, uint32_t from, const struct mu_resident_part *p,
                   const struct mu_adamw *how, float decay)
{
    struct mu_cuda_resident_inner in = mu_cuda_resident_inner(r);
    struct mu_cuda_spans spans = spans_of(r, &in, p);
    struct mu_adamw a = *how;

    a.weight = r->weight[from];
    a.m = mu_resident_part_whole(p, p->m[from]);
    a.v = mu_resident_part_whole(p, p->v[from]);
    a.gradient = mu_resident_part_whole(p, p->total);
    a.weight_out = r->weight[!from];
    a.m_out = mu_resident_part_whole(p, p->m[!from]);
    a.v_out = mu_resident_part_whole(p, p->v[!from]);
    a.weight_bf16 = NULL;
    a.decay = decay;
    a.check = NULL;
    if (!mu_cuda_is_broken(in.cuda))
        mu_cuda_queued(in.cuda, "adamw of a part",
                       mu_cuda_update(in.cuda->stream, &a, &spans, NULL), false);
}

const struct mu_resident_parts_ops mu_cuda_resident_parts_ops = {
    .sum = sum,
    .integers = integers,
    .finish = finish,
    .norm = norm,
    .take_norm = take_norm,
    .update = update,
};
