/* Tokens as text on their way out. A byte model draws bytes, and may draw any: what goes out is
 * whole characters of valid UTF-8 without control characters, which would act on the terminal. A
 * character waits until all its bytes are there; what is none becomes U+FFFD, by the rule of the
 * Unicode standard (one for each maximal part of a character); one that is cut at the end is left
 * out. With `raw` bytes go out as they come. */
#ifndef MUSTER_GENERATE_TEXT_H
#define MUSTER_GENERATE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_text {
    bool raw;
    uint8_t held[4]; /* the beginning of a character */
    size_t held_count;
    bool on_line; /* the last thing that went out was no newline */
};

/* Room for what `count` bytes may become. */
#define MU_TEXT_ROOM(count) (3 * (size_t)(count) + 16)

/* out: what can go out now of these bytes and of those held. Gives back how many. */
size_t mu_text_take(struct mu_text *text, const uint8_t *bytes, size_t count, char *out);

#endif
