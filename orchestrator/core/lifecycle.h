/* The life of a rank, as a table of legal moves. One setter, which logs each move:
 *
 *   STARTING --MEET--> MEETING --PREPARE--> PREPARING --LOAD--> LOADING
 *
 *   LOADING --RUN--> RUNNING --LEAVE----> LEAVING
 *                    RUNNING --EVALUATE-> EVALUATING --RUN--> RUNNING
 *                    RUNNING --SAVE-----> SAVING     --RUN--> RUNNING
 *
 *   any of these but STARTING and LEAVING --RECOVER--> RECOVERING --RUN--> RUNNING
 *                                                      RECOVERING --MEET-> MEETING
 *   anything but LEAVING --FAIL--> FAILED
 *
 * MEETING: hello and welcome. PREPARING: device, data, segment. LOADING: initial weights or a
 * checkpoint, and the probe. RECOVERING: somebody died, and the others go on from where they are,
 * or begin again if nobody held the state yet. */
#ifndef MUSTER_CORE_LIFECYCLE_H
#define MUSTER_CORE_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

/* X(name) */
#define MU_LIFE_STATES(X) \
    X(STARTING)           \
    X(MEETING)            \
    X(PREPARING)          \
    X(LOADING) X(RUNNING) X(EVALUATING) X(SAVING) X(RECOVERING) X(LEAVING) X(FAILED)
#define MU_LIFE_EVENTS(X) \
    X(MEET) X(PREPARE) X(LOAD) X(RUN) X(EVALUATE) X(SAVE) X(RECOVER) X(LEAVE) X(FAIL)

enum mu_life_state {
#define MU_LIFE_STATE_ENUM(name) MU_LIFE_##name,
    MU_LIFE_STATES(MU_LIFE_STATE_ENUM)
#undef MU_LIFE_STATE_ENUM
        MU_LIFE_STATE_COUNT
};
enum mu_life_event {
#define MU_LIFE_EVENT_ENUM(name) MU_LIFE_ON_##name,
    MU_LIFE_EVENTS(MU_LIFE_EVENT_ENUM)
#undef MU_LIFE_EVENT_ENUM
        MU_LIFE_EVENT_COUNT
};

struct mu_life {
    enum mu_life_state state;
    uint32_t epoch;
    int64_t step;
};

/* Whether the move is in the table, and where it leads. */
bool mu_life_next(enum mu_life_state from, enum mu_life_event event, enum mu_life_state *to);
/* Makes the move; an illegal one is our bug. */
void mu_life_move(struct mu_life *life, enum mu_life_event event);
const char *mu_life_state_name(enum mu_life_state state);
const char *mu_life_event_name(enum mu_life_event event);

#endif
