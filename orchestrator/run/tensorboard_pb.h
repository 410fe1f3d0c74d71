/* Events as TensorBoard's protocol messages (tensorboard.proto). Private to tensorboard.c. Each
 * function gives back the bytes used of `out`. wall_s: seconds since 1970. */
#ifndef MUSTER_RUN_TENSORBOARD_PB_H
#define MUSTER_RUN_TENSORBOARD_PB_H

#include <stddef.h>
#include <stdint.h>

enum { MU_EVENT_MAX = 1024, MU_EVENT_SCALARS_MAX = 16 }; /* bytes; scalars of one event */

struct mu_event_scalar {
    const char *tag; /* up to 32 bytes */
    float value;
};

/* The first event of each file. */
size_t mu_event_pack_version(double wall_s, uint8_t out[MU_EVENT_MAX]);
/* What earlier files say of `step` and later ones is void. */
size_t mu_event_pack_start(double wall_s, int64_t step, uint8_t out[MU_EVENT_MAX]);
size_t mu_event_pack_scalars(double wall_s, int64_t step, const struct mu_event_scalar *scalars,
                             size_t count, uint8_t out[MU_EVENT_MAX]);

const char *mu_event_library_version(void);

#endif
