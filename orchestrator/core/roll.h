/* The roll: which ranks are alive, which host each lives on, and what follows from that alone: who
 * owns which chunk on each host, who speaks for a host, how the hosts stand in a ring. Pure; every
 * rank computes the same from the same list. Each change of the roll starts a new epoch. */
#ifndef MUSTER_CORE_ROLL_H
#define MUSTER_CORE_ROLL_H

#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_roll_host {
    uint32_t first, count; /* its ranks are local[first .. first + count), ascending */
};

struct mu_roll {
    uint32_t epoch;
    uint32_t size; /* live ranks: places 0 .. size - 1 of the communicator */
    uint32_t hosts;
    uint32_t *host_of;         /* place -> host, hosts numbered by their lowest place */
    uint32_t *local;           /* places, sorted by (host, place) */
    struct mu_roll_host *host; /* hosts entries */
};

/* host_key[i] names the host of place i; equal keys are one host. */
enum mu_status mu_roll_init(struct mu_roll *roll, uint32_t epoch, const uint64_t *host_key,
                            uint32_t size) MU_CHECKED;
void mu_roll_deinit(struct mu_roll *roll);

/* Place `index` on host h, 0 <= index < count. */
static inline uint32_t mu_roll_local(const struct mu_roll *r, uint32_t h, uint32_t index)
{
    return r->local[r->host[h].first + index];
}
/* Index of a place among its host's ranks. */
uint32_t mu_roll_local_index(const struct mu_roll *r, uint32_t place);
/* Which place of host h reduces and updates chunk c: dealt in turn. */
static inline uint32_t mu_roll_owner(const struct mu_roll *r, uint32_t h, uint32_t chunk)
{
    return mu_roll_local(r, h, chunk % r->host[h].count);
}
/* The lowest place: decides. */
static inline uint32_t mu_roll_master(const struct mu_roll *r)
{
    (void)r;
    return 0;
}

#endif
