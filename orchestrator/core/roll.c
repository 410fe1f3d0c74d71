#include "orchestrator/core/roll.h"

#include <stdlib.h>
#include <string.h>

enum mu_status mu_roll_init(struct mu_roll *r, uint32_t epoch, const uint64_t *host_key,
                            uint32_t size)
{
    memset(r, 0, sizeof *r);
    r->epoch = epoch;
    r->size = size;
    r->host_of = calloc(size, sizeof *r->host_of);
    r->local = calloc(size, sizeof *r->local);
    r->host = calloc(size, sizeof *r->host);
    if (!r->host_of || !r->local || !r->host) {
        mu_roll_deinit(r);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a roll of %u ranks", size);
    }
    for (uint32_t i = 0; i < size; i++) {
        uint32_t j = 0;

        while (host_key[j] != host_key[i])
            j++;
        r->host_of[i] = j == i ? r->hosts++ : r->host_of[j];
        r->host[r->host_of[i]].count++;
    }
    for (uint32_t h = 1; h < r->hosts; h++)
        r->host[h].first = r->host[h - 1].first + r->host[h - 1].count;
    for (uint32_t h = 0, at = 0; h < r->hosts; h++)
        for (uint32_t i = 0; i < size; i++)
            if (r->host_of[i] == h)
                r->local[at++] = i;
    return MU_OK;
}

void mu_roll_deinit(struct mu_roll *r)
{
    free(r->host_of);
    free(r->local);
    free(r->host);
    memset(r, 0, sizeof *r);
}

uint32_t mu_roll_local_index(const struct mu_roll *r, uint32_t place)
{
    uint32_t h = r->host_of[place];

    for (uint32_t i = 0; i < r->host[h].count; i++)
        if (mu_roll_local(r, h, i) == place)
            return i;
    MU_ASSERT(!"a place is among its host's ranks");
    return 0;
}
