/* Decoding with a GPT. The cache is the layers' qkv: rows [0, held) are of the tokens in
 * tokens.input. A pass over many tokens begins at position 0 and writes all rows; a pass over one
 * token appends its own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "worker/workload/decoder.h"
#include "worker/workload/gpt.h"

struct mu_decoder {
    struct mu_gpt *gpt;
    int64_t held;
};

enum mu_status mu_decoder_open(const struct mu_settings *settings, struct mu_device *device,
                               struct mu_decoder **out)
{
    struct mu_decoder *d;
    enum mu_status st;

    if (settings->model_kind == MU_MODEL_SYNTHETIC)
        return MU_FAIL(MU_CONFIG, "model.kind = \"synthetic\" is a law instead of a model, and has "
                                  "no text; expected a model of kind \"gpt2\" or \"llama\"");
    d = calloc(1, sizeof *d);
    if (d == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a decoder");
    MU_TRY(mu_gpt_new(settings, device, &d->gpt), st, failed);
    MU_TRY(mu_gpt_allocate_decoder(d->gpt), st, failed);
    *out = d;
    return MU_OK;
failed:
    mu_decoder_close(d);
    return st;
}

void mu_decoder_close(struct mu_decoder *d)
{
    if (d != NULL && d->gpt != NULL)
        mu_workload_close(&d->gpt->base);
    free(d);
}

const struct mu_layout *mu_decoder_layout(const struct mu_decoder *d)
{
    return &d->gpt->base.layout;
}

static enum mu_status check_tokens(const struct mu_decoder *d, const int32_t *tokens, int64_t count)
{
    const int64_t vocab = d->gpt->dims.vocab;

    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab)
            return MU_FAIL(MU_CORRUPT, "token %" PRId32 " is not in the vocabulary of %" PRId64,
                           tokens[i], vocab);
    return MU_OK;
}

/* Appends the tokens to those held, which lose their older half when there is no room. Gives back
 * at which position the pass begins. */
static int64_t append(struct mu_decoder *d, const int32_t *tokens, int64_t count)
{
    struct mu_gpt *g = d->gpt;
    const int64_t t = g->dims.context;
    int64_t kept = d->held, from;

    if (kept + count > t)
        kept = t / 2 < t - count ? t / 2 : t - count;
    from = count == 1 && kept == d->held ? kept : 0;
    memmove(g->tokens.input.host, g->tokens.input.host + (d->held - kept),
            (size_t)kept * sizeof *tokens);
    memcpy(g->tokens.input.host + kept, tokens, (size_t)count * sizeof *tokens);
    d->held = kept + count;
    return from;
}

enum mu_status mu_decoder_take(struct mu_decoder *d, const struct mu_weights *w,
                               const int32_t *tokens, int64_t count, const float **logits)
{
    struct mu_gpt *g = d->gpt;
    struct mu_gpt_buffers *a = &g->buffers;
    const struct mu_gpt_ids *ids = &g->tokens.input;
    const struct mu_linear head = {.rows = 1, .in = g->dims.width, .out = g->dims.vocab};
    struct mu_gpt_span span = {.sequences = 1};
    enum mu_status st;
    void *last;

    MU_ASSERT(count > 0 && count <= g->dims.context);
    MU_TRY(check_tokens(d, tokens, count), st, failed);
    span.at = append(d, tokens, count);
    span.length = d->held - span.at;
    if (ids->device != ids->host)
        mu_device_upload(g->device, ids->device + span.at, ids->host + span.at,
                         (size_t)span.length * sizeof *ids->host);
    MU_TRY(mu_gpt_forward_span(g, w, ids->device + span.at, span), st, failed);
    last = (char *)a->lnf +
           (size_t)((span.length - 1) * g->dims.width) * mu_device_act_bytes(g->device);
    g->device->ops->linear(g->device, head, a->logits, false, NULL, last,
                           mu_gpt_weight_act(g, w, 0, MU_GPT_WTE), NULL, MU_EPILOGUE_NONE);
    *logits = mu_device_view(g->device, a->logits, (size_t)g->dims.vocab * sizeof **logits,
                             a->logits_copy);
    st = mu_device_status(g->device);
failed:
    return st;
}
