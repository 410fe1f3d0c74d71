#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/base/status.h"
#include "tests/sim/sweep/sweep_sim.h"

static const double hair = 1e-9;

static double speed(const struct trial *t)
{
    return isinf(t->moves_until) ? 1 / mu_pack_seconds(1, t->serial, t->workers) : 0;
}

/* ---- workers ---- */
static void hand_out(struct sim *s, uint32_t host, uint32_t from, uint32_t to, uint32_t count)
{
    const uint32_t each = s->setup.host_workers;

    for (uint32_t w = host * each; w < (host + 1) * each && count > 0; w++)
        if (s->owner[w] == from) {
            s->owner[w] = to;
            s->host[host].free += to == NONE;
            s->host[host].free -= from == NONE;
            count--;
        }
    if (count > 0)
        check_failed(s, "has not the workers that it gives away", from == NONE ? to : from);
}

/* Work done until now, and what of it a checkpoint keeps. */
static void settle(struct sim *s, struct trial *t)
{
    const double seconds = s->now - t->since, unit = t->work * CHECKPOINT / STEPS;

    if (isinf(t->moves_until))
        s->busy_s += seconds * t->workers;
    t->done = fmin(t->work, t->done + seconds * speed(t));
    t->since = s->now;
    t->kept = fmax(t->kept, floor(t->done / unit) * unit);
}

static void leave(struct sim *s, uint32_t i, enum trial_state state)
{
    struct trial *t = &s->trial[i];
    uint32_t at = 0;

    hand_out(s, t->host, i, NONE, t->becomes > t->workers ? t->becomes : t->workers);
    s->host[t->host].bytes += t->bytes;
    t->workers = t->becomes = 0;
    t->moves_until = INFINITY;
    t->state = state;
    while (s->live[at] != i)
        at++;
    s->live[at] = s->live[--s->live_count];
}

/* ---- decisions ---- */
static double tail_of(const struct sim *s, uint32_t i)
{
    const struct trial *t = &s->trial[i];
    double longest = t->work;

    for (uint32_t c = i + 1; c < s->setup.trials && s->trial[c].trunk == i; c++)
        if (!s->trial[c].released)
            longest = fmax(longest, s->trial[c].shared + s->trial[c].chain);
    return longest - t->work + s->tail[t->stage];
}

static uint32_t list(struct sim *s, uint32_t *later)
{
    uint32_t count = 0;

    *later = 0;
    for (uint32_t i = 0; i < s->setup.trials; i++) {
        const struct trial *t = &s->trial[i];

        *later += t->state == TRIAL_LATER;
        if (t->state != TRIAL_WAITS && t->state != TRIAL_TRAINS)
            continue;
        s->listed_trial[count] = i;
        s->listed[count++] = (struct mu_pack_trial){.work = (t->work - t->done) * t->believed,
                                                    .tail = tail_of(s, i),
                                                    .serial = fmin(1, t->serial / t->believed),
                                                    .most = t->most,
                                                    .least = t->least,
                                                    .bytes = t->bytes,
                                                    .workers = t->workers,
                                                    .host = t->host,
                                                    .moving = !isinf(t->moves_until)};
    }
    for (uint32_t h = 0; h < s->setup.hosts; h++)
        s->seen[h] = (struct mu_pack_host){s->host[h].alive, s->host[h].free, s->host[h].bytes};
    return count;
}

static void obey(struct sim *s, const struct mu_pack_command *c)
{
    const uint32_t i = s->listed_trial[c->trial];
    struct trial *t = &s->trial[i];

    check_command(s, c, i);
    if (s->setup.trace)
        printf("%10.3f  trial %u: %u -> %u workers of host %u\n", s->now, i, t->workers, c->workers,
               c->host);
    if (t->state == TRIAL_WAITS) {
        if (t->host != c->host)
            t->done = t->kept;
        t->host = c->host;
        t->since = s->now;
        t->state = TRIAL_TRAINS;
        t->workers = t->becomes = c->workers;
        s->host[c->host].bytes -= t->bytes;
        hand_out(s, c->host, NONE, i, c->workers);
        s->live[s->live_count++] = i;
        s->out.begun++;
        return;
    }
    settle(s, t);
    if (c->workers > t->workers)
        hand_out(s, t->host, NONE, i, c->workers - t->workers);
    t->becomes = c->workers;
    t->moves_until = s->now + s->setup.move_cost;
    s->out.moved++;
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void decide(struct sim *s)
{
    struct mu_pack_problem problem = {.trial = s->listed,
                                      .host = s->seen,
                                      .hosts = s->setup.hosts,
                                      .move_cost = s->setup.move_cost};
    uint32_t count;
    double from;

    for (uint32_t n = 0; n < s->live_count; n++)
        settle(s, &s->trial[s->live[n]]);
    problem.trials = plant_problem(s, list(s, &problem.later));
    from = cpu_s();
    MU_ASSERT(mu_pack(&problem, s->command, &count) == MU_OK);
    if (s->out.decisions < s->decision_room)
        s->decision_s[s->out.decisions] = cpu_s() - from;
    s->out.decisions++;
    plant_commands(s, problem.trials, &count);
    for (uint32_t n = 0; n < count && s->out.failure[0] == '\0'; n++)
        obey(s, &s->command[n]);
    check_fleet(s);
}

/* ---- what happens ---- */
static void release(struct sim *s, uint32_t i)
{
    const struct trial *t = &s->trial[i];

    for (uint32_t c = i + 1; c < s->setup.trials && s->trial[c].trunk == i; c++)
        if (!s->trial[c].released && t->done >= s->trial[c].shared * (1 - hair)) {
            s->trial[c].released = true;
            s->trial[c].state = TRIAL_WAITS;
        }
}

static void open_stage(struct sim *s)
{
    for (uint32_t i = 0; i < s->setup.trials; i++)
        if (s->trial[i].stage == s->stage && s->trial[i].trunk == NONE)
            s->trial[i].state = TRIAL_WAITS;
}

static double next_of(const struct sim *s, uint32_t i)
{
    const struct trial *t = &s->trial[i];
    double until = t->work;

    if (!isinf(t->moves_until))
        return t->moves_until;
    for (uint32_t c = i + 1; c < s->setup.trials && s->trial[c].trunk == i; c++)
        if (!s->trial[c].released)
            until = fmin(until, s->trial[c].shared);
    return t->since + fmax(until - t->done, 0) / speed(t);
}

static void end_move(struct sim *s, uint32_t i)
{
    struct trial *t = &s->trial[i];

    settle(s, t);
    if (t->becomes < t->workers)
        hand_out(s, t->host, i, NONE, t->workers - t->becomes);
    t->workers = t->becomes;
    t->moves_until = INFINITY;
}

static void advance(struct sim *s)
{
    for (uint32_t n = s->live_count; n-- > 0;) {
        const uint32_t i = s->live[n];
        struct trial *t = &s->trial[i];

        if (!isinf(t->moves_until)) {
            if (t->moves_until <= s->now)
                end_move(s, i);
            continue;
        }
        settle(s, t);
        release(s, i);
        if (t->done >= t->work * (1 - hair)) {
            leave(s, i, TRIAL_ENDED);
            s->ended++;
            if (s->setup.trace)
                printf("%10.3f  trial %u ended\n", s->now, i);
        }
    }
    for (uint32_t i = 0; i < s->setup.trials; i++)
        if (s->trial[i].stage <= s->stage && s->trial[i].state != TRIAL_ENDED)
            return;
    if (++s->stage < STAGES)
        open_stage(s);
}

/* ---- deaths ---- */
static void worker_dies(struct sim *s, uint32_t w)
{
    const uint32_t host = w / s->setup.host_workers, i = s->owner[w];
    const bool was_free = i == NONE;
    uint32_t left = 0;

    if (i == DEAD)
        return;
    s->owner[w] = DEAD;
    s->host[host].alive--;
    s->host[host].free -= was_free;
    s->out.died++;
    if (was_free)
        return;
    struct trial *t = &s->trial[i];

    settle(s, t);
    t->done = fmax(t->kept, floor(t->done / t->work * STEPS) * t->work / STEPS);
    for (uint32_t v = host * s->setup.host_workers; v < (host + 1) * s->setup.host_workers; v++)
        left += s->owner[v] == i;
    t->workers = t->becomes = left; /* who lives goes on with it, in whatever move it was */
    t->moves_until = INFINITY;
    if (left < t->least)
        leave(s, i, TRIAL_WAITS);
}

static void host_dies(struct sim *s, uint32_t host)
{
    for (uint32_t w = 0; w < s->setup.host_workers; w++)
        worker_dies(s, host * s->setup.host_workers + w);
    for (uint32_t i = 0; i < s->setup.trials; i++)
        if (s->trial[i].state == TRIAL_WAITS && s->trial[i].host == host) {
            s->trial[i].host = NONE;
            s->trial[i].done = s->trial[i].kept;
        }
}

/* One in ten takes the host with it. Half of host 0 lives: the widest trial has room there. */
static void somebody_dies(struct sim *s)
{
    const uint32_t workers = s->setup.hosts * s->setup.host_workers;
    const uint32_t w = (uint32_t)(sim_uniform(s) * workers);

    if (sim_uniform(s) < 0.1 && w >= s->setup.host_workers)
        host_dies(s, w / s->setup.host_workers);
    else if (w > s->setup.host_workers / 2)
        worker_dies(s, w);
    if (--s->setup.deaths == 0)
        s->next_death = INFINITY;
    else
        s->next_death -= log(sim_uniform(s)) * 0.5 * s->out.bound / (s->setup.deaths + 1.0);
}

/* ---- a run ---- */
static void *take(size_t count, size_t size)
{
    void *out = calloc(count, size);

    MU_ASSERT(out);
    return out;
}

static void start(struct sim *s)
{
    const struct setup *p = &s->setup;
    const uint32_t workers = p->hosts * p->host_workers;

    s->decision_room = 100 * p->trials;
    s->trial = take(p->trials, sizeof *s->trial);
    s->live = take(p->trials, sizeof *s->live);
    s->listed = take(p->trials, sizeof *s->listed);
    s->listed_trial = take(p->trials, sizeof *s->listed_trial);
    s->command = take(p->trials, sizeof *s->command);
    s->host = take(p->hosts, sizeof *s->host);
    s->seen = take(p->hosts, sizeof *s->seen);
    s->owner = take(workers, sizeof *s->owner);
    s->decision_s = take(s->decision_room, sizeof *s->decision_s);
    for (uint32_t h = 0; h < p->hosts; h++)
        s->host[h] = (struct host){p->host_workers, p->host_workers, p->host_bytes};
    for (uint32_t w = 0; w < workers; w++)
        s->owner[w] = NONE;
    shapes_make(s);
    s->out.bound = shapes_bound(s);
    for (uint32_t i = 0; i < p->trials; i++)
        s->out.work += s->trial[i].work;
    s->next_death = p->deaths > 0 ? 0.01 * s->out.bound : INFINITY;
    open_stage(s);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void finish(struct sim *s)
{
    const double workers = (double)s->setup.hosts * s->setup.host_workers;
    const uint32_t timed =
        s->out.decisions < s->decision_room ? s->out.decisions : s->decision_room;

    qsort(s->decision_s, timed, sizeof *s->decision_s, by_value);
    s->out.decision_s = s->decision_s[timed / 2];
    s->out.seconds = s->now;
    s->out.busy = s->busy_s / (s->now * workers);
    free(s->trial);
    free(s->live);
    free(s->listed);
    free(s->listed_trial);
    free(s->command);
    free(s->host);
    free(s->seen);
    free(s->owner);
    free(s->decision_s);
}

void fleet_run(const struct setup *setup, struct outcome *out)
{
    struct sim s = {.setup = *setup};

    start(&s);
    while (s.ended < setup->trials && s.out.failure[0] == '\0') {
        double next = s.next_death;

        decide(&s);
        for (uint32_t n = 0; n < s.live_count; n++)
            next = fmin(next, next_of(&s, s.live[n]));
        if (isinf(next) || s.out.decisions > 100 * setup->trials) {
            check_failed(&s, "nothing happens any more, or without end", NONE);
            break;
        }
        s.now = fmax(s.now, next);
        if (s.next_death <= s.now)
            somebody_dies(&s);
        advance(&s);
    }
    finish(&s);
    *out = s.out;
}
