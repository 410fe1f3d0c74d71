#include <math.h>
#include <stddef.h>

#include "orchestrator/sweep/pack_plan.h"

static const struct mu_pack_node nothing = {0, -1, INFINITY};

static void join(struct mu_pack_fleet *f, uint32_t at)
{
    const struct mu_pack_node *a = &f->node[2 * at], *b = &f->node[2 * at + 1];

    f->node[at].free = a->free > b->free ? a->free : b->free;
    f->node[at].bytes = fmax(a->bytes, b->bytes);
    f->node[at].load = fmin(a->load, b->load);
}

/* A host without free workers, or one that is kept for a trial, is not to be found. */
static struct mu_pack_node leaf(const struct mu_pack_fleet *f, uint32_t host)
{
    if (f->left[host] == 0 || mu_pack_fleet_reserved(f, host))
        return nothing;
    return (struct mu_pack_node){f->left[host], f->bytes[host], f->load[host]};
}

static void refresh(struct mu_pack_fleet *f, uint32_t host)
{
    uint32_t at = f->leaves + host;

    f->node[at] = leaf(f, host);
    for (at /= 2; at > 0; at /= 2)
        join(f, at);
}

static bool has_room(const struct mu_pack_node *n, uint32_t workers, double bytes)
{
    return n->free >= workers && n->bytes >= bytes;
}

/* Depth first, the left before the right. A node may promise too much, its workers being one host's
 * and its memory another's: then the search goes on behind it. */
uint32_t mu_pack_fleet_find(const struct mu_pack_fleet *f, uint32_t workers, double bytes)
{
    uint32_t at = 1;

    for (;;) {
        if (has_room(&f->node[at], workers, bytes)) {
            if (at >= f->leaves)
                return at - f->leaves;
            at *= 2;
            continue;
        }
        while (at & 1)
            at /= 2;
        if (at == 0)
            return MU_PACK_NOWHERE;
        at++;
    }
}

static uint32_t idlest_below(const struct mu_pack_fleet *f, uint32_t at, uint32_t workers,
                             double bytes, double *load)
{
    uint32_t first, found, better;

    if (!has_room(&f->node[at], workers, bytes) || f->node[at].load >= *load)
        return MU_PACK_NOWHERE;
    if (at >= f->leaves) {
        *load = f->node[at].load;
        return at - f->leaves;
    }
    first = f->node[2 * at].load <= f->node[2 * at + 1].load ? 2 * at : 2 * at + 1;
    found = idlest_below(f, first, workers, bytes, load);
    better = idlest_below(f, first ^ 1, workers, bytes, load);
    return better != MU_PACK_NOWHERE ? better : found;
}

uint32_t mu_pack_fleet_find_idlest(const struct mu_pack_fleet *f, uint32_t workers, double bytes)
{
    double load = INFINITY;

    return idlest_below(f, 1, workers, bytes, &load);
}

bool mu_pack_fleet_has(const struct mu_pack_fleet *f, uint32_t host, uint32_t workers, double bytes)
{
    return f->left[host] >= workers && f->bytes[host] >= bytes;
}

void mu_pack_fleet_take(struct mu_pack_fleet *f, uint32_t host, uint32_t workers, double bytes,
                        double seconds)
{
    f->left[host] -= workers;
    f->bytes[host] -= bytes;
    f->load[host] += seconds / f->host[host].workers;
    if (!mu_pack_fleet_reserved(f, host))
        f->free -= workers;
    refresh(f, host);
}

void mu_pack_fleet_reserve(struct mu_pack_fleet *f, uint32_t host, uint32_t item, double until)
{
    f->reserved[f->reserved_count++] = (struct mu_pack_reserved){host, item, until};
    f->free -= f->left[host];
    refresh(f, host);
}

const struct mu_pack_reserved *mu_pack_fleet_reserved(const struct mu_pack_fleet *f, uint32_t host)
{
    for (uint32_t i = 0; i < f->reserved_count; i++)
        if (f->reserved[i].host == host)
            return &f->reserved[i];
    return NULL;
}

void mu_pack_fleet_fill(struct mu_pack_fleet *f, const struct mu_pack_problem *problem)
{
    f->host = problem->host;
    for (uint32_t h = 0; h < f->hosts; h++) {
        const struct mu_pack_host *host = &problem->host[h];

        f->head[h] = MU_PACK_NOWHERE;
        f->left[h] = host->free;
        f->all_bytes[h] = f->bytes[h] = host->bytes_left;
        f->workers += host->workers;
        f->free += host->free;
        f->widest = host->workers > f->widest ? host->workers : f->widest;
        if (host->workers > 0)
            f->most_bytes = fmax(f->most_bytes, host->bytes_left);
    }
}

void mu_pack_fleet_index(struct mu_pack_fleet *f)
{
    for (uint32_t n = 0; n < f->leaves; n++)
        f->node[f->leaves + n] = n < f->hosts ? leaf(f, n) : nothing;
    for (uint32_t at = f->leaves - 1; at > 0; at--)
        join(f, at);
}
