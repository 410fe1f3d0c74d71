/* The boundary between training and what is trained. A workload gives tensors, the gradient of a
 * shard, and the loss of a piece of the validation set; reductions, state, checkpoints and sweeps
 * know no model.
 *
 * Everything here is a pure function of (settings, weights, step, shard): no state is carried from
 * one call to the next, so that any rank can compute any shard at any time, any number of times,
 * with the same bits. */
#ifndef MUSTER_WORKER_WORKLOAD_H
#define MUSTER_WORKER_WORKLOAD_H

#include <stdint.h>

#include "kernels/device.h"
#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/counting.h"
#include "orchestrator/core/layout.h"

/* Weights of the committed half, by element as in the layout; device or lent memory. */
struct mu_weights {
    const float *f32;
    const uint16_t *bf16; /* the same, rounded; NULL in fp32 */
};

/* Rows of a tensor's gradient, apart from its dense part: the embedding rows of the shard's
 * tokens. */
struct mu_row_gradient {
    uint32_t tensor, count;
    const uint32_t *row; /* ascending, distinct; the host's */
    const float *value;  /* count x cols; device or lent memory */
};

/* What a shard's gradient is handed out as; buffers belong to the workload and are valid until its
 * next call. */
struct mu_shard_result {
    /* layout->elements, device or lent memory; tensors without a dense addend are not to be read */
    const float *dense;
    struct mu_row_gradient rows[2];
    uint32_t row_count; /* entries of rows in use */
    double loss_nats;   /* sum over the shard's tokens */
    uint64_t tokens;
};

struct mu_piece_result {
    double loss_nats; /* sum over the piece's tokens */
    uint64_t tokens;
    double bytes; /* of source text that they stand for; 0 when unknown */
};

/* For people and for rates. */
struct mu_workload_facts {
    char summary[256]; /* "gpt2, 4 layers, width 128, ..., vocabulary 256: 0.84M parameters" */
    uint64_t tokens_per_step;
    double flops_per_token; /* 6N + 12 L d T for gpt (forward and backward); 0: unknown */
    uint64_t shards;        /* S */
    uint64_t eval_pieces;   /* 0: nothing to evaluate */
    double train_windows;   /* windows in an epoch; 0: no epochs */
};

struct mu_workload;

struct mu_workload_ops {
    const char *name;
    void (*close)(struct mu_workload *);
    /* Initial values of elements [from, to) of tensor t, by counter-based random numbers. */
    void (*init_tensor)(const struct mu_workload *, uint32_t tensor, uint64_t from, uint64_t to,
                        float *out);
    /* Gradient of the mean loss of the whole batch that shard `shard` contributes: the sum over
     * shards is the gradient. */
    enum mu_status (*shard_gradient)(struct mu_workload *, const struct mu_weights *, int64_t step,
                                     uint32_t shard, struct mu_shard_result *out) MU_CHECKED;
    /* step: how many steps the weights have behind them. */
    enum mu_status (*evaluate)(struct mu_workload *, const struct mu_weights *, int64_t step,
                               uint64_t piece, struct mu_piece_result *out) MU_CHECKED;
};

/* What a caller of shard_gradient wants to hear in the middle of it: the gradients of tensors from
 * `first` on are final, and stand in `dense`, as in struct mu_shard_result. Device operations that
 * tell() begins see them. tell NULL: nothing. */
struct mu_ready {
    void (*tell)(void *context, const float *dense, uint32_t first);
    void *context;
};

struct mu_workload {
    const struct mu_workload_ops *ops;
    struct mu_layout layout;
    struct mu_workload_facts facts;
    struct mu_ready ready; /* the caller's, set round a call */
};

/* For workloads, as early as they can, and as often; they need not at all. */
static inline void mu_workload_tell_ready(const struct mu_workload *w, const float *dense,
                                          uint32_t first)
{
    if (w->ready.tell)
        w->ready.tell(w->ready.context, dense, first);
}

/* Settles what of vocabulary, shards and micro-batch is still MU_AUTO: the data's header says the
 * first, mu_settings_resolve the others. MU_CONFIG as mu_workload_open. */
enum mu_status mu_workload_resolve(struct mu_settings *settings) MU_CHECKED;

/* Parameters and FLOPs, without opening anything: of settings that are resolved. */
struct mu_counts mu_workload_counts(const struct mu_settings *settings);

/* Opens what settings->model_kind names: reads the headers of the data, resolves nothing (settings
 * are resolved), lays out the tensors, takes buffers from the device. device may be NULL: then only
 * layout, facts and init_tensor may be used (plan, inspect). MU_CONFIG with file and reason for
 * data that do not fit. */
enum mu_status mu_workload_open(const struct mu_settings *settings, struct mu_device *device,
                                struct mu_workload **out) MU_CHECKED;
void mu_workload_close(struct mu_workload *workload);
/* What has come of opening or resolving it: data that are not there or damaged are a mistake of the
 * configuration, which becomes MU_CONFIG, told with what to do; all else stays as it is. */
enum mu_status mu_workload_blame_data(enum mu_status st,
                                      const struct mu_settings *settings) MU_CHECKED;

#endif
