#include "orchestrator/generate/trained.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/which_checkpoint.h"
#include "worker/data/tokens.h"

static bool is_given(const struct mu_trained_source *source, const char *key)
{
    const size_t length = strlen(key);

    for (int i = 0; i < source->override_count; i++)
        if (strncmp(source->overrides[i], key, length) == 0 && source->overrides[i][length] == '=')
            return true;
    return false;
}

/* What it was saved with, and what the user wants otherwise. */
static enum mu_status read_settings(const struct mu_trained_source *source, const char *folder,
                                    const struct mu_checkpoint_info *info, struct mu_settings *s)
{
    char name[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(name, "the configuration in %s", folder), st, done);
    MU_TRY(mu_config_load(&(struct mu_config_source){.text = info->config,
                                                     .text_size = strlen(info->config),
                                                     .text_name = name,
                                                     .overrides = source->overrides,
                                                     .override_count = source->override_count},
                          s),
           st, done);
    if (s->device_kind == MU_DEVICE_CUDA && !is_given(source, "device.kind"))
        s->device_kind = MU_DEVICE_CPU;
    if (s->model_vocab == MU_AUTO && s->model_kind != MU_MODEL_SYNTHETIC)
        return MU_FAIL(MU_CORRUPT, "%s does not say how large its vocabulary is", folder);
    MU_TRY(mu_settings_resolve(s, 0), st, done);
done:
    return st;
}

/* What tokens stand for is known by the data that the model was trained on. A vocabulary of 256 is
 * one of bytes, also where they are not there any more. */
static enum mu_status name_vocabulary(struct mu_trained *t)
{
    static const struct {
        const char *format;
        int32_t end;
    } known[] = {{"llm.c gpt-2", 50256}, {"llm.c llama-3", 128000}};
    const char *path = t->settings.data_train;
    struct mu_tokens file = {0};
    enum mu_status st = MU_OK;

    t->drawable = t->settings.model_vocab;
    t->end_of_text = -1;
    snprintf(t->vocabulary, sizeof t->vocabulary, "%s",
             t->drawable == 256 ? "muster bytes" : "unknown");
    if (t->drawable != 256 && *path && mu_file_exists(path)) {
        MU_TRY(mu_tokens_open(&file, path), st, done);
        snprintf(t->vocabulary, sizeof t->vocabulary, "%s", file.format);
        if (file.vocab < t->drawable)
            t->drawable = file.vocab;
    }
    t->is_bytes = strcmp(t->vocabulary, "muster bytes") == 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(t->vocabulary, known[i].format) == 0 && known[i].end < t->drawable)
            t->end_of_text = known[i].end;
done:
    mu_tokens_close(&file);
    return st;
}

static enum mu_status open_device(const struct mu_trained_source *source, struct mu_trained *t)
{
    const struct mu_settings *s = &t->settings;
    const enum mu_isa isa =
        s->device_isa == MU_ISA_AUTO ? mu_device_best_isa() : (enum mu_isa)s->device_isa;

    mu_device_set_isa(isa);
    return mu_device_open(
        &(struct mu_device_options){.kind = (enum mu_device_kind)s->device_kind,
                                    .precision = (enum mu_precision)s->device_precision,
                                    .isa = isa,
                                    .threads = (int)s->device_threads,
                                    .tf32 = s->device_tf32 == MU_SWITCH_ON,
                                    .poll = source->poll,
                                    .poll_context = source->poll_context},
        &t->device);
}

/* Lent memory is where they are read to; the device's own, if it has any, where they are used. */
static enum mu_status take_memory(struct mu_trained *t, uint64_t elements)
{
    const size_t bytes[2] = {elements * sizeof(float), elements * sizeof(uint16_t)};
    const bool apart = !mu_device_has_host_memory(t->device);
    const int count = t->device->options.precision == MU_PRECISION_BF16 ? 2 : 1;
    bool enough = true;

    for (int i = 0; i < count && enough; i++) {
        t->host[i] = mu_device_alloc_lent(t->device, bytes[i]);
        t->on_device[i] = apart && t->host[i] ? mu_device_alloc(t->device, bytes[i]) : NULL;
        enough = t->host[i] && (t->on_device[i] || !apart);
    }
    if (!enough)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the %.2f GB of weights",
                       4e-9 * (double)elements);
    return MU_OK;
}

static enum mu_status ask_device(void *device)
{
    mu_device_poll(device);
    return mu_device_status(device);
}

static enum mu_status load_weights(const char *folder, struct mu_trained *t)
{
    const struct mu_layout *layout = mu_decoder_layout(t->decoder);
    const uint64_t n = layout->elements;
    const struct mu_checkpoint_poll poll = {ask_device, t->device};
    enum mu_status st;

    MU_TRY(take_memory(t, n), st, done);
    MU_TRY(mu_checkpoint_load(folder,
                              &(struct mu_state_view){.layout = layout, .weight = t->host[0]}, 0, 1,
                              &poll),
           st, done);
    for (uint64_t i = 0; t->host[1] && i < n; i++)
        ((uint16_t *)t->host[1])[i] = mu_bf16_from_f32(((const float *)t->host[0])[i]);
    for (int i = 0; i < 2; i++)
        if (t->on_device[i])
            mu_device_upload(t->device, t->on_device[i], t->host[i],
                             n * (i == 0 ? sizeof(float) : sizeof(uint16_t)));
    t->weights = (struct mu_weights){t->on_device[0] ? t->on_device[0] : t->host[0],
                                     t->on_device[1] ? t->on_device[1] : t->host[1]};
    st = mu_device_status(t->device);
done:
    return st;
}

static enum mu_status open_folder(const struct mu_trained_source *source, const char *folder,
                                  const struct mu_checkpoint_info *info, struct mu_trained *t)
{
    enum mu_status st;

    memset(t, 0, sizeof *t);
    MU_TRY(read_settings(source, folder, info, &t->settings), st, failed);
    MU_TRY(name_vocabulary(t), st, failed);
    MU_TRY(open_device(source, t), st, failed);
    MU_TRY(mu_decoder_open(&t->settings, t->device, &t->decoder), st, failed);
    MU_TRY(load_weights(folder, t), st, failed);
    return MU_OK;
failed:
    mu_trained_close(t);
    return st;
}

enum mu_status mu_trained_open(const struct mu_trained_source *source, struct mu_trained *t)
{
    struct mu_checkpoint_info info = {0};
    char folder[MU_PATH_MAX], damaged[MU_PATH_MAX];
    enum mu_status st, found;

    MU_TRY(mu_which_checkpoint(source->name, folder, &info), st, done);
    while ((st = open_folder(source, folder, &info, t)) == MU_CORRUPT) {
        memcpy(damaged, folder, sizeof damaged);
        found = mu_which_checkpoint_older(source->name, folder, &info);
        if (found != MU_OK)
            break;
        mu_log(MU_LOG_WARN, "checkpoint %s is damaged: it is passed over", damaged);
    }
done:
    mu_checkpoint_info_deinit(&info);
    return st;
}

void mu_trained_close(struct mu_trained *t)
{
    mu_decoder_close(t->decoder);
    for (int i = 0; i < 2; i++) {
        mu_device_free_lent(t->device, t->host[i]);
        mu_device_free(t->device, t->on_device[i]);
    }
    mu_device_close(t->device);
    memset(t, 0, sizeof *t);
}
