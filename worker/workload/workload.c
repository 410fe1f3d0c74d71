/* What is trained, by name: the one place that knows all workloads. */
#include "worker/workload.h"

#include "orchestrator/core/shards.h"
#include "worker/workload/gpt.h"
#include "worker/workload/synthetic.h"

enum mu_status mu_workload_resolve(struct mu_settings *s)
{
    enum mu_status st = MU_OK;

    if (s->batch_shards == MU_AUTO)
        s->batch_shards =
            (int64_t)mu_shards_auto((uint64_t)s->batch_sequences, (uint64_t)s->model_context);
    if (s->batch_micro == MU_AUTO)
        s->batch_micro = (int64_t)mu_shards_auto_micro(
            (uint64_t)(s->batch_sequences / s->batch_shards), (uint64_t)s->model_context);
    if (s->model_kind == MU_MODEL_GPT2)
        MU_TRY(mu_gpt_resolve(s), st, done);
    else if (s->model_vocab == MU_AUTO)
        s->model_vocab = 2; /* read by nobody; the least that the schema allows */
done:
    return st;
}

enum mu_status mu_workload_open(const struct mu_settings *settings, struct mu_device *device,
                                struct mu_workload **out)
{
    switch ((enum mu_model)settings->model_kind) {
    case MU_MODEL_GPT2:
        return mu_gpt_open(settings, device, out);
    case MU_MODEL_SYNTHETIC:
        return mu_synthetic_open(settings, device, out);
    }
    return MU_FAIL(MU_INTERNAL, "model.kind %d is not in the table", settings->model_kind);
}

void mu_workload_close(struct mu_workload *workload)
{
    if (workload != NULL)
        workload->ops->close(workload);
}
