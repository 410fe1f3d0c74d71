/* Continuing a text with a trained model: `muster generate`.
 *
 *   trained.h   from a checkpoint to a decoder
 *   sample.h    from logits to a token
 *   text.h      from tokens to text
 *
 * Tokens are a function of checkpoint, prompt, sampling, and the CPU's instruction set: not of the
 * ranks that trained the checkpoint, nor of threads. */
#ifndef MUSTER_GENERATE_GENERATE_H
#define MUSTER_GENERATE_GENERATE_H

#include <signal.h>

#include "orchestrator/generate/sample.h"
#include "orchestrator/generate/trained.h"

struct mu_generation {
    struct mu_trained_source source; /* `poll` is set here */
    const char *prompt;              /* text; NULL: none */
    size_t prompt_bytes;
    const char *prompt_tokens; /* "1,2,3", in the place of a text; NULL: none */
    int64_t tokens;            /* at most so many new ones */
    struct mu_sampling sampling;
    bool alone; /* without the prompt */
    bool raw;   /* bytes as they come */
    bool ids;   /* numbers of tokens instead of text */
    int out;    /* file descriptor */
    const volatile sig_atomic_t *stop;
};

/* Writes prompt and continuation to `out`, each token as it comes, and a newline at the end if the
 * text has none. Nothing is written before the model has taken the prompt. A reader that has gone
 * away is no error. When *stop becomes not 0 it ends after the token under way, with MU_OK. */
enum mu_status mu_generate(const struct mu_generation *generation) MU_CHECKED;

#endif
