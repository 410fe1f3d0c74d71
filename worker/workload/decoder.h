/* A trained model that continues a sequence: tokens in, and what the model makes of the next one
 * out. The forward pass is that of training (gpt_pass.c); the keys and values of the tokens before
 * are kept, so that one more token costs one more token.
 *
 * A model sees model.context tokens at once. When these are taken up, the older half is let go, and
 * the younger one is computed anew at positions from 0 on, since what is kept of a token knows its
 * position and all tokens before it. So a token is seen with between half and all of
 * model.context tokens before it, and which ones follows from its place in the sequence alone. */
#ifndef MUSTER_WORKER_DECODER_H
#define MUSTER_WORKER_DECODER_H

#include "worker/workload.h"

struct mu_decoder;

/* Of resolved settings; their data are not looked at. The device is borrowed. MU_CONFIG for shapes
 * that do not go together, and for a workload without tokens. */
enum mu_status mu_decoder_open(const struct mu_settings *settings, struct mu_device *device,
                               struct mu_decoder **out) MU_CHECKED;
void mu_decoder_close(struct mu_decoder *decoder); /* NULL is allowed */
/* Of the weights that it is to be given. */
const struct mu_layout *mu_decoder_layout(const struct mu_decoder *decoder);

/* `count` tokens more, at least one and at most model.context. *logits: of the token after them, a
 * number for each of the vocabulary, the host's to read until the next call. Weights are the same
 * in every call. MU_CORRUPT for a token beyond the vocabulary; a status that the device's hook
 * told. */
enum mu_status mu_decoder_take(struct mu_decoder *decoder, const struct mu_weights *weights,
                               const int32_t *tokens, int64_t count,
                               const float **logits) MU_CHECKED;

#endif
