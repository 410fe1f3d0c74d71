/* The launcher's end of worker/heartbeat.h: which ranks of a generation live, wherever they are, as
 * far as they have found the way here. */
#ifndef MUSTER_LAUNCH_HEARTBEATS_H
#define MUSTER_LAUNCH_HEARTBEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/heartbeat.h"

/* UNHEARD --it says hello--> LIVES --its connection is closed--> DEAD, for ever */
enum mu_heartbeat_state { MU_HEARTBEAT_UNHEARD, MU_HEARTBEAT_LIVES, MU_HEARTBEAT_DEAD };

struct mu_heartbeat {
    enum mu_heartbeat_state state;
    uint64_t silent_ns; /* of one that lives, as far as the looks at it can tell */
    char host[256];     /* what it calls its machine; "": unheard */
};

struct mu_heartbeats {
    int listener;    /* -1: none, everybody stays unheard */
    char where[512]; /* MUSTER_HEARTBEAT; "": none */
    char job[64];
    uint32_t ranks;
    struct mu_heartbeat *rank;
    struct mu_heartbeats_caller *caller; /* connections, of ranks and of who has said nothing yet */
    uint32_t callers;
    uint64_t looked_ns;
};

/* Where no rank could call (no address, no port), nothing is heard, and the launcher knows what the
 * lease tells. job: MUSTER_JOB. */
void mu_heartbeats_open(struct mu_heartbeats *h, const char *job, uint32_t ranks);
void mu_heartbeats_close(struct mu_heartbeats *h); /* of zeros: nothing */
/* Hears what has come; several times a second. Time that this process did not run is not counted
 * as silence. */
void mu_heartbeats_look(struct mu_heartbeats *h);

#endif
