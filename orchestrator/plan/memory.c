/* Memory and disk. Sizes are those of the code that takes them: worker/segment.h lays the segment
 * out, worker/rehearse.h opens the workload on a device that only counts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/disk.h"
#include "orchestrator/base/memory_left.h"
#include "orchestrator/plan/plan.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/rehearse.h"
#include "worker/segment.h"
#include "worker/workload.h"

/* A rank that has trained nothing: its program, MPI, oneDNN and what they keep. Measured. */
static const double other_bytes = 40 * 0x1p20;

void mu_plan_memory_of_segment(const struct mu_layout *layout, bool bf16, bool resident,
                               uint64_t eval_pieces, uint32_t ranks, struct mu_plan_memory *out)
{
    const double n = resident ? 0 : (double)layout->elements;
    struct mu_segment_options options = {.layout = layout,
                                         .eval_pieces = eval_pieces,
                                         .ranks = ranks,
                                         .bf16 = bf16,
                                         .words_only = resident};

    out->segment = (double)mu_segment_bytes(&options);
    options.ranks = ranks + 64; /* pages round off */
    out->sum = ((double)mu_segment_bytes(&options) - out->segment) / 64;
    out->weights = 2 * n * (bf16 ? 6 : 4);
    out->moments = 2 * n * 2 * sizeof(float);
    out->predictions = 2 * (double)layout->blocks * sizeof(int16_t);
    out->total =
        fmax(0, out->segment - out->sum * ranks - out->weights - out->moments - out->predictions);
}

/* As the help of optim.shard has it, of a state that stays in the GPUs; else a copy of the
 * weights. */
static double state_of_gpu(const struct mu_settings *s, const struct mu_layout *layout,
                           int64_t ranks)
{
    const double n = (double)layout->elements,
                 copy = s->device_precision == MU_PRECISION_BF16 ? 4 : 0;

    if (s->device_collective != MU_COLLECTIVE_NCCL)
        return n * (sizeof(float) + copy / 2);
    if (s->optim_shard == MU_SWITCH_ON && ranks > 1)
        return n * (12 + copy + 48.0 / (double)ranks);
    return n * (36 + copy);
}

/* Every rank has words of its own; a copy of the state lies beside them now and then. */
static void add_copies(struct mu_plan *p, const struct mu_layout *layout)
{
    const struct mu_segment_options copy = {.layout = layout, .ranks = 1, .state_only = true};
    struct mu_plan_memory *m = &p->memory;

    m->segment *= (double)p->ranks;
    m->total *= (double)p->ranks;
    m->copy = p->settings.device_snapshot_every != 0 ? (double)mu_segment_bytes(&copy) : 0;
    m->segment += m->copy;
}

static enum mu_status find_segment(struct mu_plan *p)
{
    const struct mu_settings *s = &p->settings;
    const bool resident = s->device_collective == MU_COLLECTIVE_NCCL;
    struct mu_workload *w = NULL;
    enum mu_status st = mu_workload_open(s, NULL, &w);

    if (st != MU_OK)
        return st;
    mu_plan_memory_of_segment(&w->layout, s->device_precision == MU_PRECISION_BF16, resident,
                              w->facts.eval_pieces, (uint32_t)p->ranks, &p->memory);
    if (resident)
        add_copies(p, &w->layout);
    if (s->device_kind == MU_DEVICE_CUDA)
        p->memory.gpu = state_of_gpu(s, &w->layout, p->ranks);
    p->disk.checkpoint = (double)mu_checkpoint_bytes(&w->layout);
    mu_workload_close(w);
    return MU_OK;
}

enum mu_status mu_plan_find_memory(struct mu_plan *p)
{
    struct mu_plan_memory *m = &p->memory;
    const bool on_gpu = p->settings.device_kind == MU_DEVICE_CUDA;
    struct mu_worker_memory own;
    enum mu_status st;

    MU_TRY(find_segment(p), st, done);
    MU_TRY(mu_worker_rehearse_workload(&p->settings, &own), st, done);
    m->activations = (double)own.activations;
    m->logits = (double)own.logits;
    m->other = other_bytes;
    m->host = m->segment + m->other * (double)p->ranks;
    if (on_gpu)
        m->gpu += m->activations + m->logits;
    else
        m->host += (m->activations + m->logits) * (double)p->ranks;
    m->left = (double)mu_memory_left("");
    m->physical = (double)mu_memory_physical();
    m->shm_left = mu_plan_shm_left();
    m->known = true;
done:
    return st;
}

double mu_plan_left_on_disk(const char *path)
{
    char nearest[MU_PATH_MAX];
    struct mu_disk disk;

    mu_path_find_nearest(nearest, path);
    return mu_disk_look(nearest, &disk) == 0 && disk.total_bytes > 0 ? (double)disk.free_bytes
                                                                     : NAN;
}

/* A checkpoint is written before an old one goes. */
void mu_plan_find_disk(struct mu_plan *p)
{
    struct mu_plan_disk *d = &p->disk;

    d->written = mu_plan_checkpoints_written(&p->settings);
    d->kept = mu_plan_checkpoints_kept(&p->settings);
    d->most = d->checkpoint * (double)(d->kept < d->written ? d->kept + 1 : d->kept);
    d->left = mu_plan_left_on_disk(p->path);
}
