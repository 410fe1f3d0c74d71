/* The clock and the queue of events. Time is counted in units of about 100 ns; every action of a
 * rank takes a random time, so that the order of everything follows from the seed, and nothing else
 * does. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/sim/sim.h"

enum { STACK_BYTES = 1 << 16, MOST_ACTIONS = 1 << 26 };

/* splitmix64 */
uint64_t sim_draw(struct sim *s)
{
    uint64_t x = s->rng += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
    return (uint64_t)((unsigned __int128)sim_draw(s) * n >> 64);
}

/* ---- a heap, by time and then by the order of pushing ---- */
static bool earlier(const struct event *a, const struct event *b)
{
    return a->time != b->time ? a->time < b->time : a->order < b->order;
}

void sim_push(struct sim *s, uint64_t time, enum event_kind kind, uint32_t rank, uint64_t what)
{
    struct event e = {time, s->orders++, kind, rank, what};
    uint32_t i = s->queued++;

    if (s->queued > s->queue_room) {
        s->queue_room = 2 * s->queue_room + 64;
        s->queue = realloc(s->queue, s->queue_room * sizeof *s->queue);
        MU_ASSERT(s->queue);
    }
    for (; i > 0 && earlier(&e, &s->queue[(i - 1) / 2]); i = (i - 1) / 2)
        s->queue[i] = s->queue[(i - 1) / 2];
    s->queue[i] = e;
}

static struct event pop(struct sim *s)
{
    struct event first = s->queue[0], last = s->queue[--s->queued];
    uint32_t i = 0, child;

    while ((child = 2 * i + 1) < s->queued) {
        if (child + 1 < s->queued && earlier(&s->queue[child + 1], &s->queue[child]))
            child++;
        if (!earlier(&s->queue[child], &last))
            break;
        s->queue[i] = s->queue[child];
        i = child;
    }
    s->queue[i] = last;
    return first;
}

/* ---- what is told ---- */
void sim_trace(const struct sim *s, int rank, const char *format, ...)
{
    va_list list;

    if (!s->options.trace)
        return;
    printf("%9.1f us  ", 0.1 * (double)s->now);
    if (rank >= 0)
        printf("g%u h%u r%-3d epoch %-2u ", s->generation, s->rank[rank].host, rank,
               s->rank[rank].comm ? s->rank[rank].comm->id : 0);
    else
        printf("%-19s ", "-");
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

void sim_violation(struct sim *s, const char *format, ...)
{
    va_list list;

    if (s->ended)
        return;
    va_start(list, format);
    vsnprintf(s->violation, sizeof s->violation, format, list);
    va_end(list);
    s->ended = true;
    sim_trace(s, -1, "VIOLATION %s", s->violation);
}

/* ---- ranks ---- */
static void run_at(struct rank *r, uint64_t time)
{
    sim_push(r->sim, time, EVENT_RUN, r->id, ++r->ticket);
}

void act(struct rank *r, const char *format, ...)
{
    struct sim *s = r->sim;
    va_list list;

    run_at(r, s->now + (UINT64_C(1) << sim_below(s, 7)) * r->slow);
    fiber_yield(&r->fiber);
    if (faults_strike(r))
        rank_die(r, "here");
    while (!r->alive)
        fiber_yield(&r->fiber);
    r->actions++;
    check_epoch(r);
    if (!s->options.trace)
        return;
    printf("%9.1f us  g%u h%u r%-3u epoch %-2u ", 0.1 * (double)s->now, s->generation, r->host,
           r->id, r->comm->id);
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

void rank_sleep(struct rank *r)
{
    r->sleeping = true;
    fiber_yield(&r->fiber);
    while (!r->alive)
        fiber_yield(&r->fiber);
}

void rank_wake(struct rank *r)
{
    if (!r->sleeping || !r->alive)
        return;
    r->sleeping = false;
    run_at(r, r->sim->now + 1 + sim_below(r->sim, 8) * r->slow);
}

void host_wake(struct sim *s, uint32_t host)
{
    for (uint32_t i = 0; i < s->host[host].ranks; i++)
        rank_wake(&s->rank[s->host[host].rank[i]]);
}

void rank_die(struct rank *r, const char *why)
{
    if (!r->alive)
        return;
    sim_trace(r->sim, (int)r->id, "DIES %s", why);
    r->alive = false;
    r->sim->alive--;
    r->sim->last_fault = r->sim->now;
    mpi_death(r->sim, r->id);
}

void rank_leave(struct rank *r)
{
    sim_trace(r->sim, (int)r->id, "leaves");
    r->alive = false;
    r->exited = true;
    r->sim->alive--;
    for (;;)
        fiber_yield(&r->fiber);
}

void rank_start(struct sim *s, uint32_t id, uint32_t host)
{
    struct rank *r = &s->rank[id];
    void *stack = r->stack;
    struct mu_watch *watch = r->watch;
    struct message *mail = r->mail;
    uint32_t room = r->mail_room;
    uint64_t ticket = r->ticket;

    if (!stack) {
        stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        MU_ASSERT(stack != MAP_FAILED);
    }
    *r = (struct rank){.sim = s,
                       .id = id,
                       .host = host,
                       .stack = stack,
                       .watch = watch,
                       .mail = mail,
                       .mail_room = room,
                       .alive = true,
                       .slow = 1,
                       .first_comm = s->first_comm,
                       .ticket = ticket,
                       .lease_until = s->lease_until};
    s->host[host].rank[s->host[host].ranks++] = id;
    s->alive++;
    fiber_start(&r->fiber, stack, STACK_BYTES, job_run, r);
    run_at(r, s->now + sim_below(s, 2000));
}

/* ---- a run ---- */
struct sim *sim_new(const struct options *o)
{
    struct sim *s = calloc(1, sizeof *s);

    MU_ASSERT(s);
    s->options = *o;
    s->rng = o->seed * 0x2545f4914f6cdd1du + 1;
    s->ranks = 1 + (uint32_t)sim_below(s, 9);
    s->hosts = 1 + (uint32_t)sim_below(s, 3);
    s->shards = 1 + (uint32_t)sim_below(s, 16);
    s->chunks = 1 + (uint32_t)sim_below(s, 5);
    s->steps = 2 + (uint32_t)sim_below(s, 6);
    s->redo_salt = sim_draw(s);
    if (o->ranks > 0)
        s->ranks = (uint32_t)o->ranks;
    if (o->hosts > 0)
        s->hosts = (uint32_t)o->hosts;
    if (s->hosts > s->ranks)
        s->hosts = s->ranks;
    if (s->ranks > 100) {
        s->shards = MU_SHARDS_MAX;
        s->chunks = 2;
        s->steps = 3;
    }
    s->spares = sim_below(s, 2) ? 0 : (uint32_t)sim_below(s, s->ranks);
    s->dedicated = sim_below(s, 3) == 0;
    s->duty = (struct mu_duty_plan){
        .steps = s->steps,
        .log_every = 1,
        .eval_every = (int64_t)sim_below(s, 4),
        .checkpoint_every = (int64_t)sim_below(s, 4),
        .can_evaluate = true,
    };
    s->host = calloc(s->hosts, sizeof *s->host);
    s->room = 2 * s->ranks;
    s->rank = calloc(s->room, sizeof *s->rank);
    MU_ASSERT(s->host && s->rank);
    for (uint32_t h = 0; h < s->hosts; h++) {
        s->host[h].segment.state = NO_STATE;
        s->host[h].segment.slot = calloc(s->ranks, sizeof *s->host[h].segment.slot);
        s->host[h].rank = calloc(s->room, sizeof *s->host[h].rank);
        MU_ASSERT(s->host[h].segment.slot && s->host[h].rank);
    }
    model_reference(s);
    faults_plan(s);
    return s;
}

void sim_free(struct sim *s)
{
    mpi_free_all(s);
    for (uint32_t i = 0; i < s->room; i++) {
        if (s->rank[i].stack)
            munmap(s->rank[i].stack, STACK_BYTES);
        free(s->rank[i].mail);
        free(s->rank[i].watch);
    }
    for (uint32_t h = 0; h < s->hosts; h++) {
        free(s->host[h].segment.slot);
        free(s->host[h].rank);
    }
    free(s->host);
    free(s->rank);
    free(s->queue);
    free(s->fault);
    free(s);
}

static void run_rank(struct sim *s, const struct event *e)
{
    struct rank *r = &s->rank[e->rank];

    if (!r->alive || e->what != r->ticket)
        return;
    if (r->frozen_until > s->now)
        sim_push(s, r->frozen_until, EVENT_RUN, r->id, r->ticket);
    else
        fiber_resume(&r->fiber);
}

void sim_run(struct sim *s)
{
    launcher_start(s);
    while (!s->ended && s->queued > 0 && s->actions++ < MOST_ACTIONS) {
        struct event e = pop(s);
        struct rank *r = &s->rank[e.rank];

        s->now = e.time;
        if (e.kind == EVENT_RUN)
            run_rank(s, &e);
        else if (e.kind == EVENT_FAULT)
            faults_happen(s, e.rank);
        else if (e.kind == EVENT_LAUNCHER)
            launcher_look(s);
        else if (e.kind == EVENT_MAIL)
            rank_wake(r);
        else if (e.kind == EVENT_LOOK && e.what == s->generation)
            watcher_look(r);
        else if (r->alive && e.what >> 32 == s->generation) {
            uint32_t what = (uint32_t)e.what;
            uint32_t *word = e.kind == EVENT_REVOKED ? &r->revoked_seen : &r->known;

            *word = what > *word ? what : *word;
            rank_wake(r);
        }
    }
    check_end(s);
}
