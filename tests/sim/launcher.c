/* Generations, as core/ladder decides them. The launcher renews the leases of the ranks that it
 * reaches; begins the next generation when no rank is left, or when a host does not answer: then
 * those that it reaches are killed, and the others must have ended by themselves, since their lease
 * has. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { LOOK = 5000, LEASE = 20000, MOST_RESTARTS = 1000, NS = 100, MS = 10000 };
static const uint64_t BOUND = 60000 * (uint64_t)MS;

static uint32_t home(const struct sim *s, uint32_t i)
{
    return (uint32_t)((uint64_t)i * s->hosts / s->ranks);
}

static void begin_ladder(struct sim *s)
{
    struct mu_ladder_host *list;

    s->ladder = mu_ladder_begin(s->ranks, MOST_RESTARTS, -1);
    if (s->hosts > MU_LADDER_HOSTS)
        return; /* no list: all of them, always */
    list = calloc(s->hosts, sizeof *list);
    MU_ASSERT(list);
    for (uint32_t h = 0; h < s->hosts; h++)
        snprintf(list[h].name, sizeof list[h].name, "host%u", h);
    for (uint32_t i = 0; i < s->ranks; i++)
        list[home(s, i)].slots++;
    mu_ladder_set_hosts(&s->ladder, list, s->hosts);
    free(list);
}

void launcher_lost(struct sim *s, uint32_t host)
{
    if (host >= s->ladder.hosts)
        return;
    if (s->host[host].cut)
        mu_ladder_host_lost(&s->ladder, host, s->now * NS);
    else if (mu_ladder_host_failed(&s->ladder, host, s->now * NS))
        sim_trace(s, -1, "host %u is left out from now on", host);
}

/* Which hosts, and how many ranks in all; nobody when the ladder says to wait. */
static uint32_t choose(struct sim *s, uint32_t *member)
{
    struct mu_ladder_plan plan = mu_ladder_plan(&s->ladder, s->now * NS);
    uint32_t n = 0, id = 0;

    if (plan.ranks == 0)
        s->launch_at = s->now + plan.pause_ms * MS;
    for (uint32_t i = 0; i < s->ranks && n < plan.ranks; i++) {
        uint32_t h = home(s, i);

        if ((s->ladder.hosts > 0 && !plan.use[h]) || s->host[h].cut)
            continue;
        while (s->rank[id].alive)
            id++;
        member[n] = id++;
        rank_start(s, member[n++], h);
    }
    return n;
}

static void launch(struct sim *s)
{
    uint32_t *member = calloc(s->ranks, sizeof *member), n;

    MU_ASSERT(member);
    s->generation++;
    s->deaths = 0;
    s->unfinished = 0;
    s->mpirun_died = false;
    s->first_comm = s->comms + 1;
    s->last_fault = s->now;
    s->lease_until = s->now + LEASE;
    for (uint32_t h = 0; h < s->hosts; h++)
        s->host[h].ranks = 0;
    n = choose(s, member);
    sim_trace(s, -1, "generation %u: %u ranks", s->generation, n);
    if (n > 0)
        comm_roll(s, mpi_comm_new(s, member, n));
    free(member);
}

void launcher_start(struct sim *s)
{
    begin_ladder(s);
    launch(s);
    sim_push(s, s->now + LOOK, EVENT_LAUNCHER, 0, 0);
}

/* Every rank that lived has left: nobody does when the last one died. */
static bool finished(const struct sim *s)
{
    for (uint32_t i = 0; i < s->room; i++)
        if (s->rank[i].exited)
            return true;
    return false;
}

static void renew(struct sim *s)
{
    for (uint32_t i = 0; i < s->room; i++) {
        struct rank *r = &s->rank[i];

        if (r->alive && !s->host[r->host].cut)
            r->lease_until = s->now + LEASE;
        else if (r->alive && s->now > r->lease_until)
            rank_die(r, "by its watchdog, at the end of its lease");
    }
}

/* A host with ranks of this generation does not answer: whether they live is not known. */
static bool unreachable(const struct sim *s)
{
    for (uint32_t h = 0; h < s->hosts; h++)
        if (s->host[h].cut && s->host[h].ranks > 0)
            return true;
    return false;
}

/* MPI has given up all that live: its daemons kill them. */
static void end_the_given_up(struct sim *s)
{
    for (uint32_t i = 0; i < s->room; i++)
        if (s->rank[i].alive && !s->rank[i].declared_dead)
            return;
    for (uint32_t i = 0; i < s->room; i++)
        rank_die(&s->rank[i], "by the launcher");
}

static void end_the_reachable(struct sim *s)
{
    for (uint32_t h = 0; h < s->hosts; h++)
        if (s->host[h].cut)
            launcher_lost(s, h);
    for (uint32_t i = 0; i < s->room; i++)
        if (s->rank[i].alive && !s->host[s->rank[i].host].cut)
            rank_die(&s->rank[i], "by the launcher");
}

/* What the launcher sees of a generation that has ended. */
static void climb(struct sim *s)
{
    struct mu_ladder_end end = {
        .outcome = MU_LADDER_NOTHING,
        .mpirun_signal = s->mpirun_died ? 9 : 0,
        .exit_code = 1,
        .seen = s->ranks,
        .deaths = s->deaths,
        .has_started = true,
        .step = -1,
    };
    struct mu_ladder_next next;

    for (uint32_t h = 0; h < s->hosts; h++) {
        uint64_t state = s->host[h].segment.state;

        if (!s->host[h].cut && state != NO_STATE && (int64_t)(state >> 1) > end.step)
            end.step = (int64_t)(state >> 1);
    }
    next = mu_ladder_after(&s->ladder, &end);
    sim_trace(s, -1, "generation %u: %s", s->generation, mu_ladder_cause_words(next.cause));
    if (next.relaunch) {
        s->launch_at = s->now + next.pause_ms * MS;
        return;
    }
    if (!next.no_progress)
        sim_violation(s, "the launcher gives up, and not for want of progress");
    s->gave_up = s->ended = true;
}

static void go_on(struct sim *s)
{
    if (s->launch_at == 0)
        climb(s);
    if (s->ended || s->now < s->launch_at)
        return;
    s->launch_at = 0;
    launch(s);
}

void launcher_look(struct sim *s)
{
    bool cut = unreachable(s);
    uint64_t next = s->now + LOOK;

    renew(s);
    end_the_given_up(s);
    if (finished(s) && s->alive == 0) {
        s->finished = s->ended = true;
        return;
    }
    if (cut)
        end_the_reachable(s);
    if (s->alive == 0 || (cut && planted(s, PLANT_no_lease)))
        go_on(s);
    if (s->now - s->last_fault > BOUND) {
        sim_violation(s, "no fault for %llu ms, and the job does not end",
                      (unsigned long long)(BOUND / MS));
        return;
    }
    sim_push(s, s->launch_at > next ? s->launch_at : next, EVENT_LAUNCHER, 0, 0);
}
