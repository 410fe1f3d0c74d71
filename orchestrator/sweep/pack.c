/* A list schedule of trials that can have any number of workers (moldable tasks: Graham 1969;
 * Ludwig and Tiwari 1994), made again from nothing at each decision:
 *
 *   due     when each trial has to end, if the whole ends as soon as its work allows
 *           (pack_level.c); most are due late enough for the fewest workers
 *   begin   what waits, longest path first, on the workers that it needs to end when it is due, or
 *           on as many as there are. With room for all that waits: on the fewest, where least is to
 *           be done, and all workers of a host are shared out so that its trials end together
 *   reserve what is too wide or too large for what is free gets the host that can have it first;
 *           until then only what ends by then begins there. Else the narrow ones would pass it for
 *           ever
 *   grow    what is left free goes to what would end last on that host
 *   shrink  a group that is wider than it needs makes way for what found no room
 *
 * Who moves loses time, so it has to gain clearly more (mu_pack_is_worth): decisions are made
 * often, on figures that tremble, and nobody shall go back and forth. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep/pack_plan.h"

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* ---- what there is ---- */
static void *cut(char **at, size_t count, size_t size)
{
    void *out = *at;

    *at += (count * size + 15) / 16 * 16;
    return out;
}

static enum mu_status take_memory(struct mu_packing *p)
{
    struct mu_pack_fleet *f = &p->fleet;
    const size_t n = p->problem->trials, h = p->problem->hosts;
    const size_t each = sizeof *p->item + 3 * sizeof *p->set;
    const size_t host = 2 * sizeof(uint32_t) + 3 * sizeof(double);
    size_t leaves = 1;
    char *at;

    while (leaves < h)
        leaves *= 2;
    /* 16 for the rounding of each of the ten arrays. */
    p->memory = at =
        calloc(1, n * each + h * host + 2 * leaves * sizeof *f->node + (size_t)10 * 16);
    if (!at)
        return MU_NO_MEMORY;
    p->item = cut(&at, n, sizeof *p->item);
    p->set = cut(&at, n, sizeof *p->set);
    p->waiting = cut(&at, n, sizeof *p->waiting);
    p->training = cut(&at, n, sizeof *p->training);
    f->head = cut(&at, h, sizeof *f->head);
    f->left = cut(&at, h, sizeof *f->left);
    f->bytes = cut(&at, h, sizeof *f->bytes);
    f->load = cut(&at, h, sizeof *f->load);
    f->all_bytes = cut(&at, h, sizeof *f->all_bytes);
    f->node = cut(&at, 2 * leaves, sizeof *f->node);
    f->hosts = p->problem->hosts;
    f->leaves = (uint32_t)leaves;
    return MU_OK;
}

/* State in memory can be had on its host only; without such a host it is as good as none. */
static uint32_t bound_to(const struct mu_pack_problem *problem, const struct mu_pack_trial *t)
{
    if (t->workers > 0)
        return t->host;
    return t->host < problem->hosts && problem->host[t->host].workers >= t->least ? t->host
                                                                                  : MU_PACK_NOWHERE;
}

static void read_trial(struct mu_packing *p, uint32_t n)
{
    const struct mu_pack_trial *t = &p->problem->trial[n];
    struct mu_pack_item *i = &p->item[n];
    const uint32_t host = bound_to(p->problem, t);
    const uint32_t room =
        host == MU_PACK_NOWHERE ? p->fleet.widest : p->problem->host[host].workers;

    *i = (struct mu_pack_item){.trial = t, .index = n, .given = t->workers, .host = host};
    i->floor = t->workers;
    i->most = min_u32(t->most, room);
    i->path = t->work + t->tail;
    i->next = MU_PACK_NOWHERE;
    if (t->workers == 0) {
        i->most = i->most < t->least ? t->least : i->most;
        p->waiting[p->waits++] = i;
        return;
    }
    i->most = i->most < t->workers || t->moving ? t->workers : i->most;
    i->end = mu_pack_seconds(t->work, t->serial, t->workers);
    p->training[p->trains++] = i;
    p->moving += t->moving;
}

static int by_end(const void *a, const void *b)
{
    const struct mu_pack_item *x = *(struct mu_pack_item *const *)a;
    const struct mu_pack_item *y = *(struct mu_pack_item *const *)b;

    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void list_on_hosts(struct mu_packing *p)
{
    qsort(p->training, p->trains, sizeof *p->training, by_end);
    for (uint32_t n = p->trains; n-- > 0;) {
        struct mu_pack_item *i = p->training[n];

        i->next = p->fleet.head[i->host];
        p->fleet.head[i->host] = i->index;
        p->fleet.all_bytes[i->host] += i->trial->bytes;
        p->fleet.load[i->host] += i->end * i->given / p->problem->host[i->host].workers;
    }
}

/* ---- begin ---- */
static int by_path(const void *a, const void *b)
{
    const struct mu_pack_item *x = *(struct mu_pack_item *const *)a;
    const struct mu_pack_item *y = *(struct mu_pack_item *const *)b;

    if (x->path != y->path)
        return x->path > y->path ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_width(const void *a, const void *b)
{
    const struct mu_pack_item *x = *(struct mu_pack_item *const *)a;
    const struct mu_pack_item *y = *(struct mu_pack_item *const *)b;

    if (x->trial->least != y->trial->least)
        return x->trial->least > y->trial->least ? -1 : 1;
    return by_path(a, b);
}

static bool all_have_room(const struct mu_packing *p)
{
    uint64_t least = 0;

    for (uint32_t n = 0; n < p->waits; n++)
        least += p->waiting[n]->trial->least;
    return least <= p->fleet.free;
}

static void begin(struct mu_packing *p, struct mu_pack_item *i, uint32_t host, uint32_t workers)
{
    i->given = i->floor = workers;
    i->host = host;
    i->end = mu_pack_seconds(i->trial->work, i->trial->serial, workers);
    i->most = min_u32(i->most, p->problem->host[host].workers);
    i->next = p->fleet.head[host];
    p->fleet.head[host] = i->index;
    mu_pack_fleet_take(&p->fleet, host, workers, i->trial->bytes, i->end * workers);
}

/* On a host that is kept for another trial, and free again by then. */
static bool begin_beside(struct mu_packing *p, struct mu_pack_item *i)
{
    const struct mu_pack_trial *t = i->trial;

    for (uint32_t n = 0; n < p->fleet.reserved_count; n++) {
        const struct mu_pack_reserved *r = &p->fleet.reserved[n];

        if ((i->host == MU_PACK_NOWHERE || i->host == r->host) &&
            mu_pack_seconds(t->work, t->serial, t->least) <= r->until &&
            mu_pack_fleet_has(&p->fleet, r->host, t->least, t->bytes)) {
            begin(p, i, r->host, t->least);
            return true;
        }
    }
    return false;
}

/* On as many as it wants or, where there are not so many, as there are. */
static bool begin_wide(struct mu_packing *p, struct mu_pack_item *i)
{
    const struct mu_pack_trial *t = i->trial;
    const bool is_bound = i->host != MU_PACK_NOWHERE;
    const uint32_t room = is_bound ? p->fleet.left[i->host] : p->fleet.node[1].free;

    if (is_bound && mu_pack_fleet_reserved(&p->fleet, i->host))
        return false;
    for (uint32_t k = min_u32(i->want, room); k >= t->least; k--) {
        const uint32_t host = is_bound ? i->host : mu_pack_fleet_find(&p->fleet, k, t->bytes);

        if (host != MU_PACK_NOWHERE && mu_pack_fleet_has(&p->fleet, host, k, t->bytes)) {
            begin(p, i, host, k);
            return true;
        }
        if (is_bound)
            break;
    }
    return false;
}

/* On the fewest, where least is to be done; what is left of the host is shared out later. */
static bool begin_evenly(struct mu_packing *p, struct mu_pack_item *i)
{
    const struct mu_pack_trial *t = i->trial;
    uint32_t host = i->host;

    if (host == MU_PACK_NOWHERE)
        host = mu_pack_fleet_find_idlest(&p->fleet, t->least, t->bytes);
    else if (mu_pack_fleet_reserved(&p->fleet, host) ||
             !mu_pack_fleet_has(&p->fleet, host, t->least, t->bytes))
        return false;
    if (host != MU_PACK_NOWHERE)
        begin(p, i, host, t->least);
    return host != MU_PACK_NOWHERE;
}

/* ---- reserve ---- */
/* Seconds until the host has room for it; INFINITY: never, as far as is known. */
static double room_after(const struct mu_packing *p, const struct mu_pack_item *i, uint32_t host)
{
    const struct mu_pack_trial *t = i->trial;
    uint32_t workers = p->fleet.left[host];
    double bytes = p->fleet.bytes[host], after = 0;

    if (p->problem->host[host].workers < t->least || p->fleet.all_bytes[host] < t->bytes)
        return INFINITY;
    for (uint32_t n = p->fleet.head[host]; n != MU_PACK_NOWHERE; n = p->item[n].next) {
        if (workers >= t->least && bytes >= t->bytes)
            break;
        workers += p->item[n].given;
        bytes += p->item[n].trial->bytes;
        after = fmax(after, p->item[n].end);
    }
    return workers >= t->least && bytes >= t->bytes ? after : INFINITY;
}

static void reserve_for(struct mu_packing *p, const struct mu_pack_item *i)
{
    const bool is_bound = i->host != MU_PACK_NOWHERE;
    uint32_t best = MU_PACK_NOWHERE;
    const double most_bytes = is_bound ? p->problem->host[i->host].bytes_left : p->fleet.most_bytes;
    double soonest = INFINITY;

    /* All that others wait for is a worker. Whether any are free must not matter: a group that
     * makes way for one trial would find its workers kept for another, and take them back. */
    if (i->trial->least == 1 && i->trial->bytes <= most_bytes)
        return;
    if (p->fleet.reserved_count == MU_PACK_RESERVED)
        return;
    for (uint32_t h = is_bound ? i->host : 0; h < (is_bound ? i->host + 1 : p->fleet.hosts); h++) {
        const double after = room_after(p, i, h);

        if (after < soonest && !mu_pack_fleet_reserved(&p->fleet, h)) {
            soonest = after;
            best = h;
        }
    }
    if (best != MU_PACK_NOWHERE)
        mu_pack_fleet_reserve(&p->fleet, best, i->index, soonest);
}

/* ---- the decision ---- */
static void begin_or_reserve(struct mu_packing *p, struct mu_pack_item *i, bool has_room)
{
    if (!(has_room ? begin_evenly(p, i) : begin_wide(p, i)) && !begin_beside(p, i))
        reserve_for(p, i);
}

/* The wide ones first, while hosts are whole. Hosts are kept for what is left of them in the order
 * in which they would be if there were no room: who makes way for one must not see another come. */
static void begin_with_room(struct mu_packing *p)
{
    uint32_t wide = 0;

    qsort(p->waiting, p->waits, sizeof *p->waiting, by_width);
    for (; wide < p->waits && p->waiting[wide]->trial->least > 1; wide++)
        (void)begin_evenly(p, p->waiting[wide]);
    qsort(p->waiting, wide, sizeof *p->waiting, by_path);
    for (uint32_t n = 0; n < p->waits; n++)
        if (p->waiting[n]->given == 0)
            begin_or_reserve(p, p->waiting[n], true);
}

static void begin_in_turn(struct mu_packing *p)
{
    qsort(p->waiting, p->waits, sizeof *p->waiting, by_path);
    /* Those that train are late more than those that wait, if any: they have begun. */
    for (uint32_t n = p->trains; n-- > 0;)
        mu_pack_hurry(p, p->training[n]);
    for (uint32_t n = 0; n < p->waits; n++)
        begin_or_reserve(p, p->waiting[n], false);
}

static uint32_t tell(const struct mu_packing *p, struct mu_pack_command *command)
{
    uint32_t count = 0;

    for (int shrinks = 0; shrinks < 2; shrinks++)
        for (uint32_t n = 0; n < p->problem->trials; n++) {
            const struct mu_pack_item *i = &p->item[n];

            if (shrinks ? i->given < i->trial->workers : i->given > i->trial->workers)
                command[count++] = (struct mu_pack_command){n, i->host, i->given};
        }
    return count;
}

enum mu_status mu_pack(const struct mu_pack_problem *problem, struct mu_pack_command *command,
                       uint32_t *count)
{
    struct mu_packing p = {.problem = problem};

    *count = 0;
    if (problem->trials == 0 || problem->hosts == 0)
        return MU_OK;
    if (take_memory(&p) != MU_OK)
        return MU_FAIL(MU_NO_MEMORY, "no memory to plan %u trials", problem->trials);
    mu_pack_fleet_fill(&p.fleet, problem);
    for (uint32_t n = 0; n < problem->trials; n++)
        read_trial(&p, n);
    list_on_hosts(&p);
    mu_pack_fleet_index(&p.fleet);
    mu_pack_set_due(&p);
    if (all_have_room(&p))
        begin_with_room(&p);
    else
        begin_in_turn(&p);
    mu_pack_grow(&p);
    mu_pack_shrink(&p);
    *count = tell(&p, command);
    free(p.memory);
    return MU_OK;
}
