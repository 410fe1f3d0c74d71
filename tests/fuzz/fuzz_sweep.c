/* Any bytes as the text of a sweep file: mistakes are told, nothing is read beyond the end, and what
 * is accepted gives trials that are what their settings say. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep/trials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void); /* asked for by LeakSanitizer */

/* libconfig 1.5 loses a buffer of its own (64 bytes) at some syntax errors after a string. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void check_trials(const struct mu_sweep_spec *spec, const struct mu_settings *base)
{
    struct mu_sweep_trials trials;

    if (base->model_kind != MU_MODEL_SYNTHETIC || /* others read files that the text names */
        mu_sweep_trials_make(spec, base, "fuzz.cfg", &trials) != MU_OK)
        return;
    for (uint32_t i = 0; i < trials.count; i++) {
        const struct mu_sweep_trial *t = &trials.item[i];

        if (t->settings.model_kind != MU_MODEL_SYNTHETIC)
            continue;
        MU_ASSERT(t->settings.run_steps >= 1 && t->shared < t->settings.run_steps);
        MU_ASSERT(t->tokens == t->tokens_per_step * (double)t->settings.run_steps);
        MU_ASSERT(t->trunk == MU_TRIAL_ALONE || t->trunk < trials.count);
    }
    mu_sweep_trials_deinit(&trials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mu_sweep_spec spec;
    struct mu_settings base;
    char *copy = malloc(size ? size : 1); /* of exact size: reading one byte more is seen */
    const struct mu_config_source source = {
        .text = copy, .text_size = size, .text_name = "fuzz.cfg"};

    MU_ASSERT(copy);
    memcpy(copy, data, size);
    mu_log_set_level(MU_LOG_SILENT);
    if (mu_sweep_read(&source, &base, &spec) == MU_OK)
        check_trials(&spec, &base);
    free(copy);
    return 0;
}
