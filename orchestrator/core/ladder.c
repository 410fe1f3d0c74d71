#include "orchestrator/core/ladder.h"

#include <string.h>

#define MINUTES_NS(n) ((uint64_t)(n)*60u * 1000000000u)

static const uint64_t WINDOW_NS = MINUTES_NS(10);

enum {
    CODE_FAILED = 1,
    CODE_USAGE = 64,
    CODE_INTERNAL = 70,
    CODE_REQUEUE = 75,
    CODE_CONFIG = 78,
    PAUSE_MS = 1000,
    PATIENCE_MS = 5000, /* for ranks to repair a death among them, or to give up */
    MOST_DOUBLINGS = 6,
};

static const char *const cause_words[MU_CAUSE_COUNT] = {
#define MU_LADDER_CAUSE_WORDS(name, words) words,
    MU_LADDER_CAUSES(MU_LADDER_CAUSE_WORDS)
#undef MU_LADDER_CAUSE_WORDS
};

const char *mu_ladder_cause_words(enum mu_ladder_cause cause)
{
    return (unsigned)cause < MU_CAUSE_COUNT ? cause_words[cause] : "?";
}

struct mu_ladder mu_ladder_begin(uint32_t ranks, int64_t most_restarts, int64_t committed_step)
{
    return (struct mu_ladder){.wanted = ranks,
                              .most_restarts = most_restarts,
                              .best_step = committed_step,
                              .most_still = MU_LADDER_STILL,
                              .cool_off_ms = MU_LADDER_COOL_OFF_MS};
}

/* An exit code of ours that no repetition mends; MU_OK: it is none. */
static enum mu_status refusal(const struct mu_ladder_end *end)
{
    if (end->mpirun_signal != 0)
        return MU_OK;
    switch (end->exit_code) {
    case CODE_USAGE:
        return MU_USAGE;
    case CODE_INTERNAL:
        return MU_INTERNAL;
    case CODE_CONFIG:
        return MU_CONFIG;
    default:
        return MU_OK;
    }
}

/* TERM to mpirun reaches the ranks first, which may manage to stop in an orderly way; but nobody
 * asked *the run* to stop. mpirun's exit code tells (75 when the ranks were asked), unless a
 * rank had died before, after which it tells nothing. */
static bool was_asked_to_stop(const struct mu_ladder_end *end)
{
    return end->outcome == MU_LADDER_REQUEUE && end->mpirun_signal == 0 &&
           (end->exit_code == CODE_REQUEUE || end->deaths > 0);
}

/* All ranks came to the same end: they say so, or none is missing where all can be seen. */
static bool gave_up_together(const struct mu_ladder_end *end)
{
    if (end->mpirun_signal != 0 || end->outcome == MU_LADDER_REQUEUE)
        return false;
    if (end->outcome == MU_LADDER_FAILED && end->agreed)
        return true;
    return end->exit_code == CODE_FAILED && end->has_started && end->seen > 0 && end->deaths == 0 &&
           !end->is_abroad;
}

static enum mu_ladder_cause find_cause(const struct mu_ladder_end *end)
{
    if (end->outcome == MU_LADDER_COMPLETE)
        return MU_CAUSE_COMPLETE;
    if (end->lease_lost)
        return MU_CAUSE_LEASE_LOST;
    if (end->wish == MU_WISH_STOP || (end->wish == MU_WISH_GO_ON && was_asked_to_stop(end)))
        return MU_CAUSE_STOPPED;
    if (end->stalled)
        return MU_CAUSE_STALLED;
    if (end->host_silent)
        return MU_CAUSE_HOST_SILENT;
    if (refusal(end) != MU_OK)
        return MU_CAUSE_REFUSED;
    if (end->wish == MU_WISH_CHANGE && end->outcome == MU_LADDER_REQUEUE)
        return MU_CAUSE_CHANGED;
    if (gave_up_together(end))
        return MU_CAUSE_AGREED;
    if (end->mpirun_signal != 0 && !end->start_hung)
        return MU_CAUSE_MPIRUN_KILLED;
    if (!end->has_started && end->deaths > 0)
        return MU_CAUSE_START_DIED;
    if (end->start_hung)
        return MU_CAUSE_START_HUNG;
    return end->deaths > 0 ? MU_CAUSE_RANKS_DIED : MU_CAUSE_MPIRUN_ENDED;
}

/* A failure that may be mended by starting again. */
static void decide_relaunch(struct mu_ladder *l, const struct mu_ladder_end *end,
                            struct mu_ladder_next *next)
{
    l->still = end->step > l->best_step ? 0 : l->still + 1;
    next->no_progress = l->still >= l->most_still;
    next->no_restart_left = l->restarts >= l->most_restarts;
    if (next->no_progress || next->no_restart_left) {
        next->status = MU_FAILED;
        return;
    }
    l->restarts++;
    next->relaunch = true;
    if (l->still > 1) {
        int doublings = l->still - 2;

        next->pause_ms = (uint64_t)PAUSE_MS
                         << (doublings < MOST_DOUBLINGS ? doublings : MOST_DOUBLINGS);
    }
}

struct mu_ladder_next mu_ladder_after(struct mu_ladder *l, const struct mu_ladder_end *end)
{
    struct mu_ladder_next next = {.cause = find_cause(end), .status = MU_OK};

    switch (next.cause) {
    case MU_CAUSE_COMPLETE:
        break;
    case MU_CAUSE_STOPPED:
        next.status = MU_REQUEUE;
        break;
    case MU_CAUSE_REFUSED:
        next.status = refusal(end);
        break;
    case MU_CAUSE_AGREED:
        next.status = MU_FAILED;
        break;
    case MU_CAUSE_CHANGED:
        l->still = 0;
        next.relaunch = true;
        break;
    default:
        decide_relaunch(l, end, &next);
    }
    if (end->step > l->best_step)
        l->best_step = end->step;
    return next;
}

/* ---- hosts ---- */
void mu_ladder_set_hosts(struct mu_ladder *l, const struct mu_ladder_host *host, uint32_t count)
{
    struct mu_ladder_host now[MU_LADDER_HOSTS];

    MU_ASSERT(count <= MU_LADDER_HOSTS);
    for (uint32_t i = 0; i < count; i++) {
        now[i] = (struct mu_ladder_host){.slots = host[i].slots};
        for (uint32_t k = 0; k < l->hosts; k++)
            if (strcmp(l->host[k].name, host[i].name) == 0)
                now[i] = l->host[k];
        memcpy(now[i].name, host[i].name, sizeof now[i].name);
        now[i].slots = host[i].slots;
    }
    memcpy(l->host, now, count * sizeof *now);
    l->hosts = count;
}

static void exclude(const struct mu_ladder *l, struct mu_ladder_host *h, uint64_t now_ns)
{
    h->excluded = true;
    h->until_ns = now_ns + 1000000u * l->cool_off_ms;
}

bool mu_ladder_host_failed(struct mu_ladder *l, uint32_t index, uint64_t now_ns)
{
    struct mu_ladder_host *h = &l->host[index];

    if (h->failures > 0 && now_ns - h->failed_ns > WINDOW_NS)
        h->failures = 0;
    if (h->failures++ == 0)
        h->failed_ns = now_ns;
    if (h->failures < MU_LADDER_FAILURES)
        return false;
    exclude(l, h, now_ns);
    return true;
}

void mu_ladder_host_lost(struct mu_ladder *l, uint32_t index, uint64_t now_ns)
{
    exclude(l, &l->host[index], now_ns);
}

/* Ranks go to slots; where more are wanted than there are slots, what a host would have had goes
 * with it. */
struct mu_ladder_plan mu_ladder_plan(struct mu_ladder *l, uint64_t now_ns)
{
    struct mu_ladder_plan plan = {.ranks = l->wanted, .hosts = 1};
    uint64_t all = 0, left = 0, first_ns = UINT64_MAX;

    if (l->hosts == 0)
        return plan;
    plan.hosts = 0;
    for (uint32_t i = 0; i < l->hosts; i++) {
        struct mu_ladder_host *h = &l->host[i];

        if (h->excluded && now_ns >= h->until_ns) {
            h->excluded = false;
            h->failures = 0;
        }
        all += h->slots;
        if (h->excluded) {
            first_ns = h->until_ns < first_ns ? h->until_ns : first_ns;
            continue;
        }
        plan.use[i] = true;
        plan.hosts++;
        left += h->slots;
    }
    if (plan.hosts == 0) {
        plan.ranks = 0;
        plan.pause_ms = (first_ns - now_ns) / 1000000u + 1;
        return plan;
    }
    if (l->wanted > all)
        plan.ranks = (uint32_t)(l->wanted * left / all);
    else if (l->wanted > left)
        plan.ranks = (uint32_t)left;
    plan.ranks = plan.ranks > 0 ? plan.ranks : 1;
    return plan;
}

/* A step takes as long as the rank with most shards: ceil(shards / ranks) of them. */
bool mu_ladder_pays(const struct mu_ladder_gain *g)
{
    double now, then;

    if (g->ranks_now == 0 || g->ranks_then <= g->ranks_now || g->shards == 0 || !(g->step_s > 0))
        return false;
    now = (double)((g->shards + g->ranks_now - 1) / g->ranks_now);
    then = (double)((g->shards + g->ranks_then - 1) / g->ranks_then);
    return (double)g->steps_left * g->step_s * (1 - then / now) > g->relaunch_s;
}

static bool is_soon_after_the_last(const struct mu_ladder *l, uint64_t now_ns)
{
    return l->replenished > 0 && now_ns - l->replenished_ns <= WINDOW_NS;
}

uint64_t mu_ladder_patience_ms(const struct mu_ladder *l, uint64_t now_ns)
{
    uint32_t doublings = is_soon_after_the_last(l, now_ns) ? l->replenished : 0;

    return (uint64_t)PATIENCE_MS << (doublings < MOST_DOUBLINGS ? doublings : MOST_DOUBLINGS);
}

void mu_ladder_replenish(struct mu_ladder *l, uint64_t now_ns)
{
    l->replenished = is_soon_after_the_last(l, now_ns) ? l->replenished + 1 : 1;
    l->replenished_ns = now_ns;
}
