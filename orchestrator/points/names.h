/* Texts by number: each gets the next one when it first appears. */
#ifndef MUSTER_POINTS_NAMES_H
#define MUSTER_POINTS_NAMES_H

#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_names {
    char **text; /* [count], by number */
    uint32_t count, room;
    uint32_t *slot; /* hash table of 2 * room: number + 1; 0: free */
};

/* {0} is an empty one. */
enum mu_status mu_names_number(struct mu_names *names, const char *text, uint32_t *out) MU_CHECKED;
uint32_t mu_names_find(const struct mu_names *names, const char *text); /* UINT32_MAX: not there */
void mu_names_deinit(struct mu_names *names);

#endif
