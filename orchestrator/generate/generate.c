#include "orchestrator/generate/generate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/generate/text.h"

struct generating {
    const struct mu_generation *asked;
    struct mu_trained model;
    bool ids; /* numbers go out */
    int32_t *prompt;
    int64_t prompt_count;
    struct mu_text text;
    bool first;  /* no number has gone out yet */
    bool closed; /* what goes out goes nowhere: nobody reads it, or a full disk */
};

/* ---- the prompt ------------------------------------------------------------------------------ */

static enum mu_status add_token(struct generating *g, const char *word, char **end)
{
    const int64_t vocab = g->model.settings.model_vocab;
    long long token;

    errno = 0;
    token = strtoll(word, end, 10);
    if (*end == word || errno != 0 || (**end != ',' && **end != 0) || word[0] == ' ')
        return MU_FAIL(MU_USAGE, "--prompt-tokens: '%.20s' is no token; expected numbers: 1,2,3",
                       word);
    if (token < 0 || token >= vocab)
        return MU_FAIL(MU_USAGE,
                       "--prompt-tokens: %lld is not in the model's vocabulary; expected 0 to "
                       "%" PRId64,
                       token, vocab - 1);
    g->prompt[g->prompt_count++] = (int32_t)token;
    return MU_OK;
}

static enum mu_status read_tokens(struct generating *g)
{
    const char *word = g->asked->prompt_tokens;
    char *end;
    enum mu_status st;

    for (;; word = end + 1) {
        MU_TRY(add_token(g, word, &end), st, failed);
        if (*end == 0)
            return MU_OK;
    }
failed:
    return st;
}

/* A model must be given something: the end of a text before this one, or of a line. */
static enum mu_status default_prompt(struct generating *g)
{
    if (g->model.end_of_text >= 0)
        g->prompt[0] = g->model.end_of_text;
    else if (g->model.is_bytes)
        g->prompt[0] = '\n';
    else
        return MU_FAIL(MU_USAGE, "nobody knows how a text begins in the vocabulary of this model: "
                                 "give its first tokens, --prompt-tokens 1,2,3");
    g->prompt_count = 1;
    return MU_OK;
}

static enum mu_status make_prompt(struct generating *g)
{
    const struct mu_generation *a = g->asked;
    const int64_t context = g->model.settings.model_context;
    const size_t words = a->prompt_tokens ? strlen(a->prompt_tokens) : a->prompt_bytes;
    enum mu_status st = MU_OK;

    if (a->prompt && a->prompt_bytes > 0 && !g->model.is_bytes)
        return MU_FAIL(MU_USAGE,
                       "the model's tokens (%s, a vocabulary of %" PRId64
                       ") are no bytes, and nothing here knows their text: give numbers, "
                       "--prompt-tokens 1,2,3, and numbers come out",
                       g->model.vocabulary, g->model.settings.model_vocab);
    g->prompt = malloc((words + 1) * sizeof *g->prompt);
    if (!g->prompt)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a prompt of %zu bytes", words);
    for (size_t i = 0; a->prompt && i < a->prompt_bytes; i++)
        g->prompt[g->prompt_count++] = (uint8_t)a->prompt[i];
    if (a->prompt_tokens)
        MU_TRY(read_tokens(g), st, done);
    if (g->prompt_count == 0)
        MU_TRY(default_prompt(g), st, done);
    if (g->prompt_count > context)
        st = MU_FAIL(MU_USAGE,
                     "the prompt has %" PRId64 " tokens; the model sees no more than %" PRId64
                     " at once (model.context): give its end alone",
                     g->prompt_count, context);
done:
    return st;
}

/* ---- what goes out --------------------------------------------------------------------------- */

/* A token is seen when it is there, not when a buffer is full. */
static enum mu_status put(struct generating *g, const char *bytes, size_t count)
{
    while (count > 0 && !g->closed) {
        ssize_t n = write(g->asked->out, bytes, count);

        g->closed = n < 0 && errno != EINTR; /* nothing more is written, also no last line's end */
        if (g->closed && errno != EPIPE)
            return MU_FAIL(MU_FAILED, "standard output could not be written: %s", strerror(errno));
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
        }
    }
    return MU_OK;
}

static enum mu_status put_token(struct generating *g, int32_t token)
{
    char out[MU_TEXT_ROOM(1)];
    uint8_t byte = (uint8_t)token;
    size_t n;

    if (g->ids) {
        n = (size_t)snprintf(out, sizeof out, g->first ? "%d" : " %d", (int)token);
        g->text.on_line = true;
        g->first = false;
    } else
        n = mu_text_take(&g->text, &byte, 1, out);
    return put(g, out, n);
}

/* ---- the loop -------------------------------------------------------------------------------- */

static bool is_stopped(const struct generating *g)
{
    return g->closed || (g->asked->stop && *g->asked->stop);
}

/* Unreported: the user knows. */
static enum mu_status look_for_stop(void *context)
{
    return is_stopped(context) ? MU_REQUEUE : MU_OK;
}

static enum mu_status draw_all(struct generating *g)
{
    const struct mu_generation *a = g->asked;
    const bool has_prompt = a->prompt_tokens || a->prompt_bytes > 0;
    const float *logits;
    int32_t token;
    enum mu_status st;

    MU_TRY(
        mu_decoder_take(g->model.decoder, &g->model.weights, g->prompt, g->prompt_count, &logits),
        st, failed);
    for (int64_t i = 0; has_prompt && !a->alone && i < g->prompt_count; i++)
        MU_TRY(put_token(g, g->prompt[i]), st, failed);
    for (int64_t i = 0; i < a->tokens && !is_stopped(g); i++) {
        if (i > 0)
            MU_TRY(mu_decoder_take(g->model.decoder, &g->model.weights, &token, 1, &logits), st,
                   failed);
        MU_TRY(mu_sample(&a->sampling, logits, g->model.drawable, (uint64_t)(g->prompt_count + i),
                         &token),
               st, failed);
        if (token == g->model.end_of_text)
            break;
        MU_TRY(put_token(g, token), st, failed);
    }
failed:
    return st;
}

enum mu_status mu_generate(const struct mu_generation *asked)
{
    struct generating g = {.asked = asked, .text.raw = asked->raw, .first = true};
    struct mu_trained_source source = asked->source;
    enum mu_status st;

    source.poll = look_for_stop;
    source.poll_context = &g;
    MU_TRY(mu_trained_open(&source, &g.model), st, done);
    g.ids = asked->ids || !g.model.is_bytes;
    MU_TRY(make_prompt(&g), st, done);
    st = draw_all(&g);
    if (g.text.on_line && !g.text.raw) { /* also when it ended in the middle */
        enum mu_status end = put(&g, "\n", 1);

        st = st == MU_OK ? end : st;
    }
done:
    if (st == MU_REQUEUE && is_stopped(&g))
        st = MU_OK;
    free(g.prompt);
    mu_trained_close(&g.model);
    return st;
}
