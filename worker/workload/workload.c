/* What is trained, by name: the one place that knows all workloads. */
#include "worker/workload.h"

#include "orchestrator/config/config.h"
#include "worker/workload/gpt.h"
#include "worker/workload/synthetic.h"

enum mu_status mu_workload_resolve(struct mu_settings *s)
{
    enum mu_status st = MU_OK;

    if (s->model_kind != MU_MODEL_SYNTHETIC)
        MU_TRY(mu_gpt_resolve(s), st, done);
    MU_TRY(mu_settings_resolve(s, 0), st, done);
done:
    return st;
}

struct mu_counts mu_workload_counts(const struct mu_settings *settings)
{
    const uint64_t n = (uint64_t)settings->synthetic_params;

    if (settings->model_kind != MU_MODEL_SYNTHETIC)
        return mu_gpt_counts(settings);
    return (struct mu_counts){.all = n,
                              .non_embedding = n,
                              .non_embedding_head = n,
                              .flops_all = 6 * (double)n,
                              .flops_non_embedding = 6 * (double)n,
                              .flops_non_embedding_head = 6 * (double)n};
}

enum mu_status mu_workload_open(const struct mu_settings *settings, struct mu_device *device,
                                struct mu_workload **out)
{
    switch ((enum mu_model)settings->model_kind) {
    case MU_MODEL_GPT2:
    case MU_MODEL_LLAMA:
        return mu_gpt_open(settings, device, out);
    case MU_MODEL_SYNTHETIC:
        return mu_synthetic_open(settings, device, out);
    }
    return MU_FAIL(MU_INTERNAL, "model.kind %d is not in the table", settings->model_kind);
}

enum mu_status mu_workload_blame_data(enum mu_status st, const struct mu_settings *settings)
{
    if (st != MU_NOT_FOUND && st != MU_CORRUPT && st != MU_FAILED)
        return st;
    return MU_FAIL(
        MU_CONFIG,
        "data.train = \"%s\", data.valid = \"%s\": expected token files (make them with "
        "`muster tokenize`, look at them with `muster inspect`; scripts/quickstart makes those "
        "of configs/quickstart.cfg and configs/*-toy.cfg)",
        settings->data_train, settings->data_valid);
}

void mu_workload_close(struct mu_workload *workload)
{
    if (workload != NULL)
        workload->ops->close(workload);
}
