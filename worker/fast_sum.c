#include "worker/fast_sum.h"

#include <string.h>

void mu_fast_sum_add(struct mu_exact_sum *x, struct mu_sum *sum,
                     const struct mu_shard_result *gradient, bool first)
{
    float *to = (float *)(void *)sum->dense;

    for (uint32_t i = 0; i < x->layout->tensor_count; i++) {
        const struct mu_tensor *t = &x->layout->tensors[i];
        uint64_t n = t->spec.rows * t->spec.cols;

        if (t->spec.dense)
            x->device->ops->add(x->device, to + t->offset, gradient->dense + t->offset, (int64_t)n,
                                first);
        else if (first)
            memset(to + t->offset, 0, n * sizeof *to);
    }
    for (uint32_t i = 0; i < gradient->row_count; i++) {
        const struct mu_row_gradient *r = &gradient->rows[i];
        const struct mu_tensor *t = &x->layout->tensors[r->tensor];

        for (uint32_t j = 0; j < r->count; j++)
            x->device->ops->add(x->device, to + t->offset + r->row[j] * t->spec.cols,
                                r->value + j * t->spec.cols, (int64_t)t->spec.cols, false);
    }
}
