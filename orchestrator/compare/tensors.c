/* The parts of two checkpoints need not be cut alike, so pieces are compared where they overlap. */
#include "orchestrator/compare/tensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/inspect/found.h"

/* ---- numbers --------------------------------------------------------------------------------- */

static double number_at(enum mu_array array, const void *bytes, uint64_t i)
{
    return array == MU_ARRAY_PREDICTION ? (double)((const int16_t *)bytes)[i]
                                        : (double)((const float *)bytes)[i];
}

static void add_differing(struct mu_array_difference *d, uint64_t cols, uint64_t at, double a,
                          double b)
{
    if (d->differing++ == 0) {
        d->row = at / cols;
        d->col = at % cols;
        d->first[0] = a;
        d->first[1] = b;
    }
    if (!isfinite(a) || !isfinite(b)) {
        d->nonfinite++;
        return;
    }
    d->most = fmax(d->most, fabs(b - a));
    d->squares[1] += (b - a) * (b - a);
}

void mu_array_difference_add(struct mu_array_difference *d, enum mu_array array, uint64_t cols,
                             uint64_t from, const void *a, const void *b, uint64_t count)
{
    const size_t size = mu_array_element_bytes(array);
    const char *bytes_a = a, *bytes_b = b;
    const bool same = memcmp(a, b, count * size) == 0;

    for (uint64_t i = 0; i < count; i++) {
        const double x = number_at(array, a, i);

        if (isfinite(x))
            d->squares[0] += x * x;
        if (!same && memcmp(bytes_a + i * size, bytes_b + i * size, size) != 0)
            add_differing(d, cols, from + i, x, number_at(array, b, i));
    }
    d->elements += count;
}

void mu_array_difference_finish(struct mu_array_difference *d)
{
    if (d->squares[1] > 0)
        d->relative = sqrt(d->squares[1]) / sqrt(d->squares[0]);
}

bool mu_tensor_differs(const struct mu_tensor_difference *t)
{
    bool differs = !t->compared;

    for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
        differs = differs || t->array[a].differing > 0;
    return differs;
}

/* ---- reading both ---------------------------------------------------------------------------- */

/* One side's bytes of an array, as they come. */
struct strand {
    struct mu_checkpoint_reader *reader;
    struct mu_checkpoint_piece piece;
    size_t used; /* bytes of the piece */
};

static enum mu_status refill(struct strand *s)
{
    if (s->used < s->piece.size)
        return MU_OK;
    s->used = 0;
    return mu_checkpoint_reader_next(s->reader, &s->piece);
}

static enum mu_status compare_array(struct mu_checkpoint_reader *const reader[2],
                                    const uint32_t tensor[2], enum mu_array array,
                                    struct mu_array_difference *d)
{
    const struct mu_tensor *t = &mu_checkpoint_reader_layout(reader[0])->tensors[tensor[0]];
    const size_t size = mu_array_element_bytes(array);
    struct strand s[2] = {{.reader = reader[0]}, {.reader = reader[1]}};
    enum mu_status st = MU_OK;

    for (int i = 0; i < 2; i++)
        mu_checkpoint_reader_begin(reader[i], tensor[i], array);
    for (;;) {
        size_t left[2], n;

        for (int i = 0; i < 2; i++) {
            MU_TRY(refill(&s[i]), st, done);
            left[i] = s[i].piece.size - s[i].used;
        }
        n = left[0] < left[1] ? left[0] : left[1];
        if (n == 0)
            break;
        mu_array_difference_add(d, array, mu_array_cols(array, t), d->elements,
                                (const char *)s[0].piece.bytes + s[0].used,
                                (const char *)s[1].piece.bytes + s[1].used, n / size);
        s[0].used += n;
        s[1].used += n;
    }
    mu_array_difference_finish(d);
done:
    return st;
}

static enum mu_status open_reader(const char *folder, struct mu_checkpoint_reader **out)
{
    enum mu_status st = mu_checkpoint_reader_open(folder, out);

    if (st == MU_NOT_FOUND)
        st = mu_found_no_checkpoint(folder);
    return st;
}

static uint32_t find_tensor(const struct mu_layout *layout, const char *name)
{
    uint32_t i = 0;

    while (i < layout->tensor_count && strcmp(layout->tensors[i].spec.name, name) != 0)
        i++;
    return i;
}

/* By name; their order may be another. */
static enum mu_status compare_tensor(struct mu_tensors_compared *c, const uint32_t tensor[2],
                                     struct mu_tensor_difference *out)
{
    const struct mu_tensor_spec *a, *b;
    enum mu_status st = MU_OK;

    for (int i = 0; i < 2; i++) {
        const struct mu_layout *layout = mu_checkpoint_reader_layout(c->reader[i]);

        if (tensor[i] < layout->tensor_count)
            out->spec[i] = &layout->tensors[tensor[i]].spec;
    }
    a = out->spec[0];
    b = out->spec[1];
    out->compared = a && b && a->rows == b->rows && a->cols == b->cols;
    for (enum mu_array array = 0; out->compared && array < MU_ARRAY_COUNT; array++)
        MU_TRY(compare_array(c->reader, tensor, array, &out->array[array]), st, done);
done:
    if (mu_tensor_differs(out) && c->first == UINT32_MAX)
        c->first = (uint32_t)(out - c->tensor);
    return st;
}

enum mu_status mu_tensors_compare(const char *a, const char *b, struct mu_tensors_compared *c)
{
    const struct mu_layout *in_a, *in_b;
    enum mu_status st = MU_OK;

    *c = (struct mu_tensors_compared){.first = UINT32_MAX};
    MU_TRY(open_reader(a, &c->reader[0]), st, failed);
    MU_TRY(open_reader(b, &c->reader[1]), st, failed);
    in_a = mu_checkpoint_reader_layout(c->reader[0]);
    in_b = mu_checkpoint_reader_layout(c->reader[1]);
    c->tensor = calloc((size_t)in_a->tensor_count + in_b->tensor_count, sizeof *c->tensor);
    if (!c->tensor) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to compare %s and %s", a, b);
        goto failed;
    }
    for (uint32_t i = 0; i < in_a->tensor_count; i++) {
        const uint32_t pair[2] = {i, find_tensor(in_b, in_a->tensors[i].spec.name)};

        MU_TRY(compare_tensor(c, pair, &c->tensor[c->count++]), st, failed);
    }
    for (uint32_t i = 0; i < in_b->tensor_count; i++) {
        const uint32_t pair[2] = {in_a->tensor_count, i};

        if (find_tensor(in_a, in_b->tensors[i].spec.name) == in_a->tensor_count)
            MU_TRY(compare_tensor(c, pair, &c->tensor[c->count++]), st, failed);
    }
    if (c->first == UINT32_MAX)
        c->first = c->count;
    return MU_OK;
failed:
    mu_tensors_compared_deinit(c);
    return st;
}

void mu_tensors_compared_deinit(struct mu_tensors_compared *c)
{
    mu_checkpoint_reader_close(c->reader[0]);
    mu_checkpoint_reader_close(c->reader[1]);
    free(c->tensor);
    *c = (struct mu_tensors_compared){0};
}
