#include "orchestrator/core/lifecycle.h"

#include <inttypes.h>
#include <stddef.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/status.h"

static const char *const state_names[] = {
#define MU_LIFE_NAME(name) #name,
    MU_LIFE_STATES(MU_LIFE_NAME)};
static const char *const event_names[] = {MU_LIFE_EVENTS(MU_LIFE_NAME)
#undef MU_LIFE_NAME
};

static const struct move {
    enum mu_life_state from;
    enum mu_life_event event;
    enum mu_life_state to;
} moves[] = {
    {MU_LIFE_STARTING, MU_LIFE_ON_MEET, MU_LIFE_MEETING},
    {MU_LIFE_MEETING, MU_LIFE_ON_PREPARE, MU_LIFE_PREPARING},
    {MU_LIFE_PREPARING, MU_LIFE_ON_LOAD, MU_LIFE_LOADING},
    {MU_LIFE_LOADING, MU_LIFE_ON_RUN, MU_LIFE_RUNNING},
    {MU_LIFE_RUNNING, MU_LIFE_ON_EVALUATE, MU_LIFE_EVALUATING},
    {MU_LIFE_RUNNING, MU_LIFE_ON_SAVE, MU_LIFE_SAVING},
    {MU_LIFE_RUNNING, MU_LIFE_ON_LEAVE, MU_LIFE_LEAVING},
    {MU_LIFE_EVALUATING, MU_LIFE_ON_RUN, MU_LIFE_RUNNING},
    {MU_LIFE_SAVING, MU_LIFE_ON_RUN, MU_LIFE_RUNNING},
    {MU_LIFE_MEETING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_PREPARING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_LOADING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_RUNNING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_EVALUATING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_SAVING, MU_LIFE_ON_RECOVER, MU_LIFE_RECOVERING},
    {MU_LIFE_RECOVERING, MU_LIFE_ON_RUN, MU_LIFE_RUNNING},
    {MU_LIFE_RECOVERING, MU_LIFE_ON_MEET, MU_LIFE_MEETING},
    {MU_LIFE_RECOVERING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_STARTING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_MEETING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_PREPARING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_LOADING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_RUNNING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_EVALUATING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
    {MU_LIFE_SAVING, MU_LIFE_ON_FAIL, MU_LIFE_FAILED},
};

bool mu_life_next(enum mu_life_state from, enum mu_life_event event, enum mu_life_state *to)
{
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++)
        if (moves[i].from == from && moves[i].event == event) {
            *to = moves[i].to;
            return true;
        }
    return false;
}

void mu_life_move(struct mu_life *life, enum mu_life_event event)
{
    enum mu_life_state to = life->state;

    MU_ASSERT(mu_life_next(life->state, event, &to));
    mu_log(MU_LOG_DEBUG, "%s --%s--> %s epoch %u step %" PRId64, state_names[life->state],
           event_names[event], state_names[to], life->epoch, life->step);
    life->state = to;
}

const char *mu_life_state_name(enum mu_life_state state)
{
    return state_names[state];
}

const char *mu_life_event_name(enum mu_life_event event)
{
    return event_names[event];
}
