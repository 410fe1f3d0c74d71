#include "orchestrator/core/roll.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct keyed {
    uint64_t key;
    uint32_t place;
};

static int by_key_and_place(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* host_of[i] = the lowest place with the key of place i. Sorted, since a fleet may have thousands
 * of ranks and of hosts, and a repair waits for this. */
static enum mu_status find_lowest(uint32_t *host_of, const uint64_t *host_key, uint32_t size)
{
    struct keyed *sorted = calloc(size, sizeof *sorted);

    if (!sorted)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a roll of %u ranks", size);
    for (uint32_t i = 0; i < size; i++)
        sorted[i] = (struct keyed){host_key[i], i};
    qsort(sorted, size, sizeof *sorted, by_key_and_place);
    for (uint32_t i = 0; i < size; i++) {
        bool first = i == 0 || sorted[i].key != sorted[i - 1].key;

        host_of[sorted[i].place] = first ? sorted[i].place : host_of[sorted[i - 1].place];
    }
    free(sorted);
    return MU_OK;
}

enum mu_status mu_roll_init(struct mu_roll *r, uint32_t epoch, const uint64_t *host_key,
                            uint32_t size)
{
    enum mu_status st;

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
    st = find_lowest(r->host_of, host_key, size);
    if (st != MU_OK) {
        mu_roll_deinit(r);
        return st;
    }
    for (uint32_t i = 0; i < size; i++) {
        uint32_t lowest = r->host_of[i];

        r->host_of[i] = lowest == i ? r->hosts++ : r->host_of[lowest];
        r->host[r->host_of[i]].count++;
    }
    for (uint32_t h = 1; h < r->hosts; h++)
        r->host[h].first = r->host[h - 1].first + r->host[h - 1].count;
    for (uint32_t h = 0; h < r->hosts; h++)
        r->host[h].count = 0;
    for (uint32_t i = 0; i < size; i++) {
        struct mu_roll_host *h = &r->host[r->host_of[i]];

        r->local[h->first + h->count++] = i;
    }
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
