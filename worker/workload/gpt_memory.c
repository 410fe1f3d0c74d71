/* Device memory of the gpt workload: taken once, at opening, and given back at closing. After a
 * first allocation that fails no other one is tried, and it is told once. */
#include <inttypes.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "worker/workload/gpt.h"

enum { BUFFERS_OF_BLOCK = 13, BUFFERS_OF_MODEL = 17, LENT_BUFFERS = 6 };

/* Device memory that mu_gpt_free gives back; NULL after a failure. */
static void *take(struct mu_gpt *g, uint64_t count, size_t element_bytes)
{
    void *memory = g->starved ? NULL : mu_device_alloc(g->device, (size_t)count * element_bytes);

    if (memory != NULL)
        g->owned[g->owned_count++] = memory;
    else
        g->starved = true;
    return memory;
}

/* The same of lent memory, which the host fills or reads. */
static void *take_lent(struct mu_gpt *g, uint64_t count, size_t element_bytes)
{
    void *memory =
        g->starved ? NULL : mu_device_alloc_lent(g->device, (size_t)count * element_bytes);

    if (memory != NULL)
        g->owned_lent[g->lent_count++] = memory;
    else
        g->starved = true;
    return memory;
}

static struct mu_gpt_ids take_ids(struct mu_gpt *g, uint64_t count)
{
    int32_t *host = take_lent(g, count, sizeof *host);

    return (struct mu_gpt_ids){
        host, mu_device_has_host_memory(g->device) ? host : take(g, count, sizeof *host)};
}

/* RMSNorm has none. */
static float *take_means(struct mu_gpt *g, uint64_t n)
{
    return g->dims.kind == MU_GPT_KIND_LLAMA ? NULL : take(g, n, sizeof(float));
}

/* What recomputation lets layers share is the first one's. */
static void allocate_block(struct mu_gpt *g, int64_t l, uint64_t n, size_t act)
{
    struct mu_gpt_block *b = &g->buffers.block[l];
    const uint64_t c = (uint64_t)g->dims.width;

    *b = g->buffers.block[0];
    if (l == 0 || !g->decodes)
        b->x1 = take(g, n * c, sizeof(float));
    if (l > 0 && g->decodes)
        b->qkv = take(g, n * 3 * c, act);
    if (l == 0 || g->recompute != MU_RECOMPUTE_BLOCK) {
        b->mean1 = take_means(g, n);
        b->rstd1 = take(g, n, sizeof(float));
        b->ln1 = take(g, n * c, act);
        b->qkv = take(g, n * 3 * c, act);
        b->att = take(g, n * c, act);
        b->lse = take(g, n * (uint64_t)g->dims.heads, sizeof(float));
        b->x2 = take(g, n * c, sizeof(float));
    }
    if (l == 0 || g->recompute == MU_RECOMPUTE_NONE) {
        b->mean2 = take_means(g, n);
        b->rstd2 = take(g, n, sizeof(float));
        b->ln2 = take(g, n * c, act);
        b->up = take(g, n * (uint64_t)mu_gpt_up_width(&g->dims), act);
        b->hidden = take(g, n * (uint64_t)g->dims.hidden, act);
    }
}

static void allocate_stream(struct mu_gpt *g, uint64_t n, size_t act)
{
    struct mu_gpt_buffers *a = &g->buffers;
    const uint64_t c = (uint64_t)g->dims.width;

    a->branch = take(g, n * c, sizeof(float));
    a->xf = take(g, n * c, sizeof(float));
    a->meanf = take_means(g, n);
    a->rstdf = take(g, n, sizeof(float));
    a->lnf = take(g, n * c, act);
}

static void allocate_pass(struct mu_gpt *g, uint64_t n, size_t act)
{
    struct mu_gpt_buffers *a = &g->buffers;
    const uint64_t c = (uint64_t)g->dims.width, hidden = (uint64_t)g->dims.hidden;

    allocate_stream(g, n, act);
    a->losses = take(g, n, sizeof(float));
    a->dx = take(g, n * c, sizeof(float));
    a->dnorm = take(g, n * c, sizeof(float));
    a->dbranch = take(g, n * c, act);
    a->datt = take(g, n * c, act);
    a->dwide = take(g, n * (3 * c > hidden ? 3 * c : hidden), act);
    if (!mu_device_has_host_memory(g->device))
        a->losses_copy = take_lent(g, n, sizeof(float));
}

/* A shard's gradient and tokens. */
static void allocate_shard(struct mu_gpt *g)
{
    const uint64_t v = (uint64_t)g->dims.vocab, n = g->shard_sequences * (uint64_t)g->dims.context,
                   rows = n < v ? n : v;

    g->buffers.dense = take(g, g->base.layout.elements, sizeof(float));
    g->buffers.row_value = take(g, rows * (uint64_t)g->dims.width, sizeof(float));
    g->tokens.input = take_ids(g, n);
    g->tokens.target = take_ids(g, n);
    g->tokens.row_of = take_ids(g, n);
    g->tokens.row = take_lent(g, rows, sizeof *g->tokens.row);
    g->tokens.row_of_id = take_lent(g, v, sizeof *g->tokens.row_of_id);
}

/* Angles of rotary positions: position t turns pair i of a head by t theta^(-2i / D). In double on
 * the host, so that they are the same for every device and CPU. */
static void find_turns(struct mu_gpt *g, float *turn)
{
    const int64_t half = g->dims.width / g->dims.heads / 2;

    for (int64_t i = 0; i < half; i++) {
        const double rate = mu_det_pow(g->rope_theta, -(double)i / (double)half);

        for (int64_t t = 0; t < g->dims.context; t++) {
            float *at = turn + (t * half + i) * 2;
            double cosine, sine;

            mu_det_cos_sin((double)t * rate, &cosine, &sine);
            at[0] = (float)cosine;
            at[1] = (float)sine;
        }
        mu_device_poll(g->device);
    }
}

static enum mu_status allocate_turns(struct mu_gpt *g)
{
    const uint64_t count = (uint64_t)(g->dims.context * (g->dims.width / g->dims.heads));
    float *turn = malloc(count * sizeof *turn);

    if (turn == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the angles of %" PRId64 " positions",
                       g->dims.context);
    g->buffers.turn = take(g, count, sizeof *turn);
    if (g->buffers.turn != NULL) {
        find_turns(g, turn);
        mu_device_upload(g->device, g->buffers.turn, turn, count * sizeof *turn);
    }
    free(turn);
    return MU_OK;
}

static enum mu_status tell_no_memory(const struct mu_gpt *g)
{
    return MU_FAIL(MU_NO_MEMORY,
                   "no memory for the activations of %" PRIu64 " tokens: %slower batch.micro "
                   "(now %" PRIu64 " sequences), or use fewer ranks on this host",
                   g->micro * (uint64_t)g->dims.context,
                   g->recompute == MU_RECOMPUTE_BLOCK || g->dims.layers == 1
                       ? ""
                       : "set device.recompute = \"block\" (slower, and the same bits), ",
                   g->micro);
}

/* Of n tokens in one pass. */
static void allocate_blocks(struct mu_gpt *g, uint64_t n)
{
    const size_t act = mu_device_act_bytes(g->device), layers = (size_t)g->dims.layers;

    g->buffers.block = calloc(layers, sizeof *g->buffers.block);
    g->owned = calloc(layers * BUFFERS_OF_BLOCK + BUFFERS_OF_MODEL, sizeof *g->owned);
    g->owned_lent = calloc(LENT_BUFFERS, sizeof *g->owned_lent);
    g->starved = g->buffers.block == NULL || g->owned == NULL || g->owned_lent == NULL;
    for (int64_t l = 0; l < g->dims.layers && !g->starved; l++)
        allocate_block(g, l, n, act);
}

enum mu_status mu_gpt_allocate_decoder(struct mu_gpt *g)
{
    const uint64_t n = (uint64_t)g->dims.context, v = (uint64_t)g->dims.vocab;
    enum mu_status st = MU_OK;

    g->decodes = true;
    g->recompute = MU_RECOMPUTE_BLOCK; /* layers share what it lets them share */
    allocate_blocks(g, n);
    allocate_stream(g, n, mu_device_act_bytes(g->device));
    g->tokens.input = take_ids(g, n);
    g->buffers.logits = take(g, v, sizeof *g->buffers.logits);
    if (!mu_device_has_host_memory(g->device))
        g->buffers.logits_copy = take_lent(g, v, sizeof *g->buffers.logits_copy);
    if (g->dims.kind == MU_GPT_KIND_LLAMA)
        MU_TRY(allocate_turns(g), st, done);
    if (g->starved)
        st =
            MU_FAIL(MU_NO_MEMORY, "no memory to keep the keys and values of %" PRIu64 " tokens", n);
done:
    return st;
}

enum mu_status mu_gpt_allocate(struct mu_gpt *g)
{
    const uint64_t n = g->micro * (uint64_t)g->dims.context;
    enum mu_status st = MU_OK;

    allocate_blocks(g, n);
    allocate_pass(g, n, mu_device_act_bytes(g->device));
    allocate_shard(g);
    if (g->dims.kind == MU_GPT_KIND_LLAMA)
        MU_TRY(allocate_turns(g), st, done);
    if (g->starved)
        st = tell_no_memory(g);
done:
    return st;
}

void mu_gpt_free(struct mu_gpt *g)
{
    for (uint32_t i = 0; i < g->owned_count; i++)
        mu_device_free(g->device, g->owned[i]);
    for (uint32_t i = 0; i < g->lent_count; i++)
        mu_device_free_lent(g->device, g->owned_lent[i]);
    free(g->owned);
    free(g->owned_lent);
    free(g->buffers.block);
}
