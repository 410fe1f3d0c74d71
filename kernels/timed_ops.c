/* The tables of a timed device: each entry calls the real one between two looks at the clock. */
#include "kernels/timed.h"

static struct mu_timed *begin(struct mu_device *d, enum mu_timed_row row)
{
    mu_timed_push(d->timed, row);
    return d->timed;
}

/* Of the row that was begun last. */
static void end(struct mu_timed *t, struct mu_work work)
{
    struct mu_work *sum = &t->cell[t->stack[t->depth - 1]].work;

    mu_device_wait(t->device);
    sum->flops += work.flops;
    sum->bytes += work.bytes;
    mu_timed_pop(t);
}

static size_t act(const struct mu_timed *t)
{
    return mu_device_act_bytes(t->device);
}

static double elements(int64_t n, int64_t c)
{
    return (double)n * (double)c;
}

/* ---- memory ---- */
static struct mu_work moved(size_t bytes, double times)
{
    return (struct mu_work){0, times * (double)bytes};
}

static void upload(struct mu_device *d, void *to, const void *host, size_t bytes)
{
    struct mu_timed *t = begin(d, MU_TIMED_UPLOAD);

    t->inner->upload(d, to, host, bytes);
    end(t, moved(bytes, 1));
}

static void download(struct mu_device *d, void *host, const void *from, size_t bytes)
{
    struct mu_timed *t = begin(d, MU_TIMED_DOWNLOAD);

    t->inner->download(d, host, from, bytes);
    end(t, moved(bytes, 1));
}

static void clear(struct mu_device *d, void *to, size_t bytes)
{
    struct mu_timed *t = begin(d, MU_TIMED_CLEAR);

    t->inner->clear(d, to, bytes);
    end(t, moved(bytes, 1));
}

static void copy(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    struct mu_timed *t = begin(d, MU_TIMED_COPY);

    t->inner->copy(d, to, from, bytes);
    end(t, moved(bytes, 2));
}

/* ---- forward and backward ---- */
static void embed(struct mu_device *d, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t_count, int64_t c)
{
    struct mu_timed *t = begin(d, MU_TIMED_EMBED);

    t->inner->embed(d, out, table, position, token, n, t_count, c);
    end(t, mu_work_touch((position ? 3 : 2) * elements(n, c), 0, act(t)));
}

static void embed_backward(struct mu_device *d, float *rows, float *dposition, const float *dout,
                           const int32_t *row_of, int64_t n, int64_t t_count, int64_t c,
                           bool overwrite_position)
{
    struct mu_timed *t = begin(d, MU_TIMED_EMBED_BACKWARD);

    t->inner->embed_backward(d, rows, dposition, dout, row_of, n, t_count, c, overwrite_position);
    end(t, mu_work_touch(3 * elements(n, c), 0, act(t)));
}

/* Read x, with a branch also the branch and write the sum; write what is normalised. */
static struct mu_work norm_work(const struct mu_timed *t, bool has_branch, int64_t n, int64_t c)
{
    return mu_work_touch((has_branch ? 3 : 1) * elements(n, c), elements(n, c), act(t));
}

static void layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c)
{
    struct mu_timed *t = begin(d, MU_TIMED_LAYERNORM);

    t->inner->layernorm(d, out, mean, rstd, x_out, x, branch, weight, bias, n, c);
    end(t, norm_work(t, branch != NULL, n, c));
}

static void layernorm_backward(struct mu_device *d, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t c,
                               bool overwrite)
{
    struct mu_timed *t = begin(d, MU_TIMED_LAYERNORM_BACKWARD);

    t->inner->layernorm_backward(d, dx, dweight, dbias, dout, x, weight, mean, rstd, n, c,
                                 overwrite);
    end(t, mu_work_touch(4 * elements(n, c), 0, act(t)));
}

static void rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t c)
{
    struct mu_timed *t = begin(d, MU_TIMED_RMSNORM);

    t->inner->rmsnorm(d, out, rstd, x_out, x, branch, weight, n, c);
    end(t, norm_work(t, branch != NULL, n, c));
}

static void rmsnorm_backward(struct mu_device *d, float *dx, float *dweight, const float *dout,
                             const float *x, const float *weight, const float *rstd, int64_t n,
                             int64_t c, bool overwrite)
{
    struct mu_timed *t = begin(d, MU_TIMED_RMSNORM_BACKWARD);

    t->inner->rmsnorm_backward(d, dx, dweight, dout, x, weight, rstd, n, c, overwrite);
    end(t, mu_work_touch(4 * elements(n, c), 0, act(t)));
}

static void linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue epilogue)
{
    struct mu_timed *t = begin(d, MU_TIMED_LINEAR);

    t->inner->linear(d, s, y, y_is_act, before, x, w, b, epilogue);
    end(t, mu_work_linear(s, act(t), y_is_act, epilogue == MU_EPILOGUE_GELU, b != NULL));
}

static void linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx, bool dx_is_act,
                                  const void *dy, const void *w)
{
    struct mu_timed *t = begin(d, MU_TIMED_LINEAR_INPUT);

    t->inner->linear_backward_input(d, s, dx, dx_is_act, dy, w);
    end(t, mu_work_linear_backward_input(s, act(t), dx_is_act));
}

static void linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite)
{
    struct mu_timed *t = begin(d, MU_TIMED_LINEAR_WEIGHT);

    t->inner->linear_backward_weight(d, s, dw, db, dy, x, overwrite);
    end(t, mu_work_linear_backward_weight(s, act(t), db != NULL, overwrite));
}

static void gelu_backward(struct mu_device *d, void *grad, const void *before, int64_t n)
{
    struct mu_timed *t = begin(d, MU_TIMED_GELU_BACKWARD);

    t->inner->gelu_backward(d, grad, before, n);
    end(t, mu_work_touch(0, 3 * (double)n, act(t)));
}

static void swiglu(struct mu_device *d, void *out, const void *both, int64_t n, int64_t f)
{
    struct mu_timed *t = begin(d, MU_TIMED_SWIGLU);

    t->inner->swiglu(d, out, both, n, f);
    end(t, mu_work_touch(0, 3 * elements(n, f), act(t)));
}

static void swiglu_backward(struct mu_device *d, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f)
{
    struct mu_timed *t = begin(d, MU_TIMED_SWIGLU_BACKWARD);

    t->inner->swiglu_backward(d, dboth, dout, both, n, f);
    end(t, mu_work_touch(0, 5 * elements(n, f), act(t)));
}

/* Queries and keys, in place. */
static void rotate(struct mu_device *d, struct mu_attention s, void *qkv, const float *turn,
                   bool backward)
{
    struct mu_timed *t = begin(d, backward ? MU_TIMED_ROTATE_BACKWARD : MU_TIMED_ROTATE);

    t->inner->rotate(d, s, qkv, turn, backward);
    end(t, mu_work_touch(0, 4 * elements(s.batch * s.context, s.heads * s.head_size), act(t)));
}

static void to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    struct mu_timed *t = begin(d, MU_TIMED_TO_ACT);

    t->inner->to_act(d, out, x, n);
    end(t, mu_work_touch((double)n, (double)n, act(t)));
}

static void attention(struct mu_device *d, struct mu_attention s, void *out, float *lse,
                      const void *qkv)
{
    struct mu_timed *t = begin(d, MU_TIMED_ATTENTION);

    t->inner->attention(d, s, out, lse, qkv);
    end(t, mu_work_attention(s, act(t)));
}

static void attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                               const void *dout, const void *out, const void *qkv, const float *lse)
{
    struct mu_timed *t = begin(d, MU_TIMED_ATTENTION_BACKWARD);

    t->inner->attention_backward(d, s, dqkv, dout, out, qkv, lse);
    end(t, mu_work_attention_backward(s, act(t)));
}

static void classifier(struct mu_device *d, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n, int64_t c,
                       int64_t v, bool overwrite)
{
    struct mu_timed *t = begin(d, MU_TIMED_CLASSIFIER);

    t->inner->classifier(d, losses, dx, dtable, x, table, target, scale, n, c, v, overwrite);
    end(t, mu_work_classifier(n, c, v, act(t), dx != NULL, overwrite));
}

/* ---- sums and the update ---- */
static void adamw(struct mu_device *d, const struct mu_adamw *a)
{
    struct mu_timed *t = begin(d, MU_TIMED_ADAMW);

    t->inner->adamw(d, a);
    end(t, mu_work_adamw(a->count, a->weight_bf16 != NULL));
}

static void quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    struct mu_timed *t = begin(d, MU_TIMED_QUANTISE_ADD);

    t->inner->quantise_add(d, q);
    end(t, mu_work_quantise(q->rows * q->cols, q->overwrite));
}

static void add(struct mu_device *d, float *to, const float *from, int64_t n, bool overwrite)
{
    struct mu_timed *t = begin(d, MU_TIMED_ADD);

    t->inner->add(d, to, from, n, overwrite);
    end(t, mu_work_touch((overwrite ? 2 : 3) * (double)n, 0, act(t)));
}

static uint32_t add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n)
{
    struct mu_timed *t = begin(d, MU_TIMED_ADD_INT32);
    const uint32_t sum = t->inner->add_int32(d, a, b, n);

    end(t, mu_work_touch(3 * (double)n, 0, act(t)));
    return sum;
}

/* ---- state in the device's memory: of these the work is not counted ---- */
static const struct mu_work not_counted;

static void resident_begin(struct mu_resident *r, const int16_t *prediction)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_ADD);

    t->inner->resident->begin(r, prediction);
    end(t, not_counted);
}

static void resident_add_dense(struct mu_resident *r, const float *dense, uint32_t first,
                               uint32_t last)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_ADD);

    t->inner->resident->add_dense(r, dense, first, last);
    end(t, not_counted);
}

static void resident_add_rows(struct mu_resident *r, const struct mu_resident_rows *rows,
                              uint32_t count)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_ADD);

    t->inner->resident->add_rows(r, rows, count);
    end(t, not_counted);
}

static int resident_maxima(struct mu_resident *r, uint32_t requests, const int64_t *scalars,
                           int count, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const int n = t->inner->resident->maxima(r, requests, scalars, count, list);

    end(t, not_counted);
    return n;
}

static int resident_integers(struct mu_resident *r, uint64_t escapes, uint64_t last,
                             struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const int n = t->inner->resident->integers(r, escapes, last, list);

    end(t, not_counted);
    return n;
}

static void resident_agree(struct mu_resident *r, uint8_t *largest, int64_t *scalars, int count,
                           struct mu_resident_words *out)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);

    t->inner->resident->agree(r, largest, scalars, count, out);
    end(t, not_counted);
}

static bool resident_finish(struct mu_resident *r, int64_t norm[MU_RESIDENT_WIDE])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const bool is_right = t->inner->resident->finish(r, norm);

    end(t, not_counted);
    return is_right;
}

static void resident_update(struct mu_resident *r, uint32_t from, const struct mu_adamw *how,
                            float decay)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_UPDATE);

    t->inner->resident->update(r, from, how, decay);
    end(t, not_counted);
}

/* ---- the same in parts ---- */
static int parts_integers(struct mu_resident *r, uint64_t escapes, const uint64_t *bound,
                          uint32_t parts, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const int n = t->inner->resident_parts->integers(r, escapes, bound, parts, list);

    end(t, not_counted);
    return n;
}

static bool parts_finish(struct mu_resident *r, const struct mu_resident_part *part)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const bool is_right = t->inner->resident_parts->finish(r, part);

    end(t, not_counted);
    return is_right;
}

static int parts_norm(struct mu_resident *r, struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);
    const int n = t->inner->resident_parts->norm(r, list);

    end(t, not_counted);
    return n;
}

static void parts_take_norm(struct mu_resident *r, int64_t norm[MU_RESIDENT_WIDE])
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_SUM);

    t->inner->resident_parts->take_norm(r, norm);
    end(t, not_counted);
}

static void parts_update(struct mu_resident *r, uint32_t from, const struct mu_resident_part *part,
                         const struct mu_adamw *how, float decay)
{
    struct mu_timed *t = begin(r->device, MU_TIMED_RESIDENT_UPDATE);

    t->inner->resident_parts->update(r, from, part, how, decay);
    end(t, not_counted);
}

/* ---- the tables ---- */
#define TIME(name) (ops)->name = (ops)->name ? name : NULL

static void fill_operations(struct mu_device_ops *ops)
{
    TIME(upload);
    TIME(download);
    TIME(clear);
    TIME(copy);
    TIME(embed);
    TIME(embed_backward);
    TIME(layernorm);
    TIME(layernorm_backward);
    TIME(rmsnorm);
    TIME(rmsnorm_backward);
    TIME(linear);
    TIME(linear_backward_input);
    TIME(linear_backward_weight);
    TIME(gelu_backward);
    TIME(swiglu);
    TIME(swiglu_backward);
    TIME(rotate);
    TIME(to_act);
    TIME(attention);
    TIME(attention_backward);
    TIME(classifier);
    TIME(adamw);
    TIME(quantise_add);
    TIME(add);
    TIME(add_int32);
}

static void fill_resident(struct mu_timed *t)
{
    t->resident = *t->inner->resident;
    t->resident.begin = resident_begin;
    t->resident.add_dense = resident_add_dense;
    t->resident.add_rows = resident_add_rows;
    t->resident.maxima = resident_maxima;
    t->resident.integers = resident_integers;
    t->resident.agree = resident_agree;
    t->resident.finish = resident_finish;
    t->resident.update = resident_update;
    t->ops.resident = &t->resident;
}

static void fill_parts(struct mu_timed *t)
{
    t->parts = *t->inner->resident_parts;
    t->parts.integers = parts_integers;
    t->parts.finish = parts_finish;
    t->parts.norm = parts_norm;
    t->parts.take_norm = parts_take_norm;
    t->parts.update = parts_update;
    t->ops.resident_parts = &t->parts;
}

void mu_timed_fill(struct mu_timed *t)
{
    t->ops = *t->inner;
    fill_operations(&t->ops);
    if (t->inner->resident)
        fill_resident(t);
    if (t->inner->resident_parts)
        fill_parts(t);
}
