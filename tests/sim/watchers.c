/* The watchdogs of a host, one a rank, with core/watch for what they see. They are set to work when
 * a rank of the host is stopped, and look until none is: what they would find before that is
 * nothing. A rank that waits polls, and one that sits in MPI's part of a repair does not; nor does
 * a stopped one, whose watchdog stands still with it. */
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { MS = 10000, NS = 100, HANG_TIMEOUT_MS = 10000, FENCED_WITHIN_MS = 4000 };

static bool is_stopped(const struct rank *r)
{
    return r->frozen_until > r->sim->now;
}

static uint64_t last_moved(const struct rank *r)
{
    uint64_t t = r->sim->now;

    if (is_stopped(r))
        t = r->frozen_since;
    return r->in_repair && r->repair_since < t ? r->repair_since : t;
}

static struct mu_watch_view view_of(const struct rank *r, bool asked)
{
    uint64_t beaten = is_stopped(r) || !r->alive ? r->frozen_since : r->sim->now;

    return (struct mu_watch_view){
        .rank = (int)r->id,
        .pid = r->id + 1,
        .start_time = r->sim->generation,
        .polls = r->alive ? last_moved(r) / MS : 0,
        .beats = r->alive ? beaten / (MU_WATCH_LOOK_MS * MS) : 0,
        .phase = r->in_repair ? MU_PHASE_REPAIRING : MU_PHASE_RUNNING,
        .repair = r->repair,
        .process = !asked          ? MU_PROCESS_NOT_ASKED
                   : !r->alive     ? MU_PROCESS_GONE
                   : is_stopped(r) ? MU_PROCESS_STOPPED
                                   : MU_PROCESS_RUNS,
    };
}

static bool anybody_is_stopped(const struct sim *s, uint32_t host)
{
    for (uint32_t i = 0; i < s->host[host].ranks; i++)
        if (s->rank[s->host[host].rank[i]].alive && is_stopped(&s->rank[s->host[host].rank[i]]))
            return true;
    return false;
}

static void fence(struct rank *r, const struct mu_watch_fence *f)
{
    struct rank *other = &r->sim->rank[f->rank];

    if (!is_stopped(other))
        sim_violation(r->sim, "rank %u moves, and is fenced by rank %u", other->id, r->id);
    sim_trace(r->sim, (int)r->id, "fences rank %d, stopped for %llu ms", f->rank,
              (unsigned long long)f->still_ms);
    rank_die(other, "fenced");
}

void watcher_look(struct rank *r)
{
    struct sim *s = r->sim;
    const struct host *h = &s->host[r->host];
    struct mu_watch_view view[MU_WATCH_RANKS];
    struct mu_watch_actions actions;
    int n = 0;

    if (!r->alive || !anybody_is_stopped(s, r->host))
        return;
    sim_push(s, s->now + MU_WATCH_LOOK_MS * MS + sim_below(s, MS), EVENT_LOOK, r->id,
             s->generation);
    if (is_stopped(r))
        return;
    for (uint32_t i = 0; i < h->ranks && n < MU_WATCH_RANKS; i++)
        view[n++] = view_of(&s->rank[h->rank[i]], mu_watch_asks(r->watch, (int)h->rank[i]));
    mu_watch_look(r->watch, view, n, HANG_TIMEOUT_MS, s->now * NS, &actions);
    for (int i = 0; i < actions.fences; i++)
        fence(r, &actions.fence[i]);
    if (actions.gives_up_ms > 0)
        sim_violation(s, "rank %u gives up a repair in which a stopped rank was to be fenced",
                      r->id);
}

/* A rank of this host has been stopped. */
void watchers_begin(struct sim *s, uint32_t host)
{
    for (uint32_t i = 0; i < s->host[host].ranks; i++) {
        struct rank *r = &s->rank[s->host[host].rank[i]];

        if (!r->watch)
            r->watch = malloc(sizeof *r->watch);
        MU_ASSERT(r->watch);
        mu_watch_init(r->watch, (int)r->id, s->hosts == 1);
        sim_push(s, s->now + sim_below(s, MU_WATCH_LOOK_MS * MS), EVENT_LOOK, r->id, s->generation);
    }
}

/* Some time after it was: by now it is dead, goes on, or is alone: the launcher's to end. */
void watchers_check(struct sim *s, struct rank *stopped)
{
    bool company = false;

    if (!stopped->alive || !is_stopped(stopped) ||
        s->now - stopped->frozen_since < (uint64_t)FENCED_WITHIN_MS * MS)
        return;
    for (uint32_t i = 0; i < s->host[stopped->host].ranks; i++) {
        const struct rank *r = &s->rank[s->host[stopped->host].rank[i]];

        /* Who was stopped itself begins to look afresh. */
        company |= r->alive && (r->frozen_until == 0 ||
                                s->now > r->frozen_until + (uint64_t)FENCED_WITHIN_MS * MS);
    }
    if (company)
        sim_violation(s, "rank %u has been stopped for %d ms, and nobody has fenced it",
                      stopped->id, FENCED_WITHIN_MS);
    rank_die(stopped, "by the launcher");
}
