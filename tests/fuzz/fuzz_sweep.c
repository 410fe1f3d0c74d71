/* Any bytes as the text of a sweep file: mistakes are told, nothing is read beyond the end, and
 * what is accepted gives trials that are what their settings say, and so on when results come. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/sweep/stages.h"

enum { ADVANCES = 8, TRIALS = 500 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void); /* asked for by LeakSanitizer */

/* libconfig 1.5 loses a buffer of its own (64 bytes) at some syntax errors after a string. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void check_trials(const struct mu_sweep_trials *trials)
{
    for (uint32_t i = 0; i < trials->count; i++) {
        const struct mu_sweep_trial *t = &trials->item[i];

        if (t->settings.model_kind != MU_MODEL_SYNTHETIC)
            continue;
        MU_ASSERT(t->settings.run_steps >= 1 && t->shared < t->settings.run_steps);
        MU_ASSERT(t->tokens == t->tokens_per_step * (double)t->settings.run_steps);
        MU_ASSERT(t->trunk == MU_TRIAL_ALONE || t->trunk < trials->count);
    }
}

static void ignore(void *context, const char *line)
{
    MU_ASSERT(!context && line[0]);
}

/* A result of any kind, by the trial's number. */
static struct mu_sweep_result draw(uint32_t i)
{
    const struct mu_rng_words x = mu_rng_draw(1, MU_RNG_SYNTHETIC, 0, i);

    return (struct mu_sweep_result){(enum mu_sweep_result_kind)(1 + x.w[0] % 3),
                                    mu_rng_uniform(x.w[1])};
}

static void check_stages(const struct mu_sweep_spec *spec, const struct mu_settings *base)
{
    static struct mu_sweep_result result[MU_TRIALS_MAX];
    struct mu_sweep_stages stages;
    uint32_t added = 1;

    if (base->model_kind != MU_MODEL_SYNTHETIC || /* others read files that the text names */
        mu_sweep_stages_init(&stages, spec, base, "fuzz.cfg") != MU_OK)
        return;
    check_trials(&stages.trials);
    for (int k = 0; k < ADVANCES && added > 0 && stages.trials.count < TRIALS; k++) {
        for (uint32_t i = 0; i < stages.trials.count; i++)
            result[i] = draw(i);
        if (mu_sweep_stages_advance(&stages, result, &added, ignore, NULL) != MU_OK)
            break;
        check_trials(&stages.trials);
    }
    mu_sweep_stages_deinit(&stages);
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
        check_stages(&spec, &base);
    free(copy);
    return 0;
}
