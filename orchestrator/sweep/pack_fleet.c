#include <math.h>
#include <stddef.h>

#include "orchestrator/sweep/pack_plan.h"

static void refresh(struct mu_pack_fleet *f, uint32_t host)
{
    uint32_t at = f->leaves + host;
    const bool is_open = f->left[host] > 0 && !mu_pack_fleet_reserved(f, host);

    f->node[at].free = is_open ? f->left[host] : 0;
    f->node[at].bytes = is_open ? f->bytes[host] : -1;
    for (at /= 2; at > 0; at /= 2) {
        const struct mu_pack_node *a = &f->node[2 * at], *b = &f->node[2 * at + 1];

        f->node[at].free = a->free > b->free ? a->free : b->free;
        f->node[at].bytes = fmax(a->bytes, b->bytes);
    }
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

bool mu_pack_fleet_has(const struct mu_pack_fleet *f, uint32_t host, uint32_t workers, double bytes)
{
    return f->left[host] >= workers && f->bytes[host] >= bytes;
}

void mu_pack_fleet_take(struct mu_pack_fleet *f, uint32_t host, uint32_t workers, double bytes)
{
    f->left[host] -= workers;
    f->bytes[host] -= bytes;
    if (!mu_pack_fleet_reserved(f, host))
        f->free -= workers;
    refresh(f, host);
}

void mu_pack_fleet_reserve(struct mu_pack_fleet *f, uint32_t host, double until)
{
    f->reserved[f->reserved_count++] = (struct mu_pack_reserved){host, until};
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
    for (uint32_t n = 0; n < 2 * f->leaves; n++)
        f->node[n] = (struct mu_pack_node){0, -1};
    for (uint32_t h = 0; h < f->hosts; h++) {
        const struct mu_pack_host *host = &problem->host[h];

        f->head[h] = MU_PACK_NOWHERE;
        f->left[h] = host->free;
        f->all_bytes[h] = f->bytes[h] = host->bytes_left;
        f->workers += host->workers;
        f->free += host->free;
        f->widest = host->workers > f->widest ? host->workers : f->widest;
        if (host->free > 0)
            f->node[f->leaves + h] = (struct mu_pack_node){host->free, host->bytes_left};
    }
    for (uint32_t at = f->leaves - 1; at > 0; at--) {
        const struct mu_pack_node *a = &f->node[2 * at], *b = &f->node[2 * at + 1];

        f->node[at].free = a->free > b->free ? a->free : b->free;
        f->node[at].bytes = fmax(a->bytes, b->bytes);
    }
}
