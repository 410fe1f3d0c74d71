/* A sweep's plan for scripts. What is not known is null. */
#include <jansson.h>

#include "orchestrator/plan/advice.h"
#include "orchestrator/plan/show_sweep.h"
#include "orchestrator/run/json_values.h"

static json_t *trial(const struct mu_sweep_trial *t)
{
    const struct mu_settings *s = &t->settings;

    return json_pack("{s:o, s:s, s:f, s:f, s:f, s:I, s:f, s:I, s:f, s:f, s:I}", "name",
                     mu_json_text(t->name), "role", mu_sweep_role_word(t->role), "size", t->size,
                     "parameters", t->n, "tokens", t->tokens, "steps", (json_int_t)s->run_steps,
                     "tokens_per_step", t->tokens_per_step, "seed", (json_int_t)s->run_seed, "lr",
                     s->optim_lr, "flops", t->flops, "shared_steps", (json_int_t)t->shared);
}

static json_t *costs(const struct mu_sweep_estimate *e, bool on_gpu)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "worker_seconds",
                     mu_json_real(e->worker_seconds), "wall_seconds", mu_json_real(e->wall_seconds),
                     "longest_seconds", mu_json_real(e->longest_seconds), "state_bytes",
                     on_gpu ? json_null() : mu_json_real(e->state_bytes), "together_bytes",
                     on_gpu ? json_null() : mu_json_real(e->together_bytes), "train_tokens",
                     e->train_tokens > 0 ? mu_json_real(e->train_tokens) : json_null());
}

enum mu_status mu_plan_sweep_json(const struct mu_sweep_spec *spec,
                                  const struct mu_sweep_trials *trials,
                                  const struct mu_sweep_estimate *estimate, int64_t workers)
{
    const bool on_gpu = trials->count > 0 && trials->item[0].settings.device_kind == MU_DEVICE_CUDA;
    json_t *all, *items = json_array(), *warnings = json_array();

    for (uint32_t i = 0; i < trials->count; i++)
        json_array_append_new(items, trial(&trials->item[i]));
    mu_sweep_warnings(spec, trials, estimate, mu_plan_json_collect, warnings);
    all = json_pack("{s:o, s:o, s:f, s:f, s:I, s:o, s:o}", "sweep", mu_json_text(spec->name),
                    "trials", items, "flops_alone", trials->flops_alone, "flops_shared",
                    trials->flops_shared, "workers", (json_int_t)workers, "costs",
                    costs(estimate, on_gpu), "warnings", warnings);
    return mu_json_write(stdout, all, spec->name);
}
