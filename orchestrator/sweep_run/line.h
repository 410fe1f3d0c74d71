/* A rank's line to the sweep's master, the rank at place 0: one receive is always posted, one
 * message at a time is on its way. On the master's own rank messages take no way at all. Served
 * inside polls; after a repair everything on its way is gone, an order that was not begun is void,
 * and who has nothing to do says so again. */
#ifndef MUSTER_SWEEP_RUN_LINE_H
#define MUSTER_SWEEP_RUN_LINE_H

#include <stdbool.h>

#include "orchestrator/master/session.h"
#include "orchestrator/sweep_run/messages.h"

struct mu_sweep_line {
    struct mu_session *session;
    struct mu_request in, out;
    bool is_posted, is_sending;
    bool is_broken;    /* until the next repair: what was on its way is lost */
    uint8_t *in_bytes; /* MU_SWEEP_DOWN_BYTES */
    uint8_t out_bytes[MU_SWEEP_UP_BYTES];
    size_t out_size;
    /* To be said. */
    struct mu_sweep_up ready, progress;
    bool says_ready, says_progress;
    uint64_t said_ns, ready_ns; /* when progress was, last, and READY */
    /* What was heard. */
    bool has_order;
    struct mu_sweep_order order;
    int over;       /* END: enum mu_status; else MU_SWEEP_NOT_OVER */
    uint64_t group; /* under way; 0: none */
    uint32_t told;  /* progress of it */
    int64_t first_step;
    /* Asked for, maybe before the group's job began: asked again after each of its steps. */
    uint64_t makes_way;
    bool stops;
    bool is_lost; /* what the master wants of this rank cannot be known: it is to leave */
};

enum mu_status mu_sweep_line_open(struct mu_sweep_line *l, struct mu_session *session) MU_CHECKED;
void mu_sweep_line_close(struct mu_sweep_line *l);
/* The rank has nothing to do; outcome: of its last group, NULL for who did not lead it. */
void mu_sweep_line_be_ready(struct mu_sweep_line *l, const struct mu_trial_outcome *outcome);
/* Takes up the order that was heard. */
void mu_sweep_line_begin(struct mu_sweep_line *l);
/* After a repair. */
void mu_sweep_line_reset(struct mu_sweep_line *l);
/* Inside polls, on a rank that is not the master. */
void mu_sweep_line_serve(struct mu_sweep_line *l);
/* The next message to the master, on its own rank; false: there is none. */
bool mu_sweep_line_take(struct mu_sweep_line *l, struct mu_sweep_up *up);
/* A message from it. */
void mu_sweep_line_hear(struct mu_sweep_line *l, const uint8_t *bytes, size_t size);

#endif
