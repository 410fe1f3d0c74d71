/* Inside of packing: a decision while it is made. Nothing here outlives mu_pack. */
#ifndef MUSTER_SWEEP_PACK_PLAN_H
#define MUSTER_SWEEP_PACK_PLAN_H

#include "orchestrator/sweep/pack.h"

enum { MU_PACK_RESERVED = 16 };
#define MU_PACK_NOWHERE UINT32_MAX

/* A trial, and what is decided of it so far. */
struct mu_pack_item {
    const struct mu_pack_trial *trial;
    uint32_t index;
    uint32_t given; /* workers that it is to have; 0: it waits on */
    uint32_t floor; /* of them, what it keeps when it does not grow */
    uint32_t most;  /* that a host has for it */
    uint32_t want;  /* to end when it is due; to begin with */
    uint32_t host;  /* where it trains, or has to; MU_PACK_NOWHERE: anywhere */
    uint32_t next;  /* in its host's list */
    double path;    /* work + tail */
    double end;     /* of what trains, as it trains now */
    double due;     /* later than that, and the whole ends later */
};

/* Hosts: what is free, who trains there, and a tree over them that finds one with room. */
struct mu_pack_fleet {
    const struct mu_pack_host *host;
    uint32_t hosts, leaves; /* a power of two */
    uint32_t workers, free; /* in all; of hosts that are not reserved */
    uint32_t widest;        /* workers of the largest host */
    double most_bytes;      /* left on a host at first */
    uint32_t *head;         /* of host's list of items; MU_PACK_NOWHERE ends it */
    uint32_t *left;         /* free workers */
    double *bytes;          /* of memory, left */
    double *load;           /* seconds of work there, if it were shared evenly */
    double *all_bytes;      /* left when nothing trains there */
    struct mu_pack_node {   /* of hosts with free workers below it */
        uint32_t free;      /* most */
        double bytes;       /* most; negative: none */
        double load;        /* least */
    } * node;               /* node[1] is the root, node[leaves + h] is host h */
    /* Kept for a trial that fits nowhere yet: others only if they end before it could begin. */
    struct mu_pack_reserved {
        uint32_t host, item; /* for whom */
        double until;
    } reserved[MU_PACK_RESERVED];
    uint32_t reserved_count;
};

struct mu_packing {
    const struct mu_pack_problem *problem;
    struct mu_pack_item *item; /* [trials] */
    struct mu_pack_item **set; /* [trials] of them, where some are looked at together */
    struct mu_pack_item **waiting, **training; /* most urgent first; first to end first */
    uint32_t waits, trains, moving;
    struct mu_pack_fleet fleet;
    void *memory;
};

/* ---- pack_fleet.c ---- */
/* The first host with so many free workers and so much memory: who fills one host after the other
 * keeps room for wide trials. */
uint32_t mu_pack_fleet_find(const struct mu_pack_fleet *f, uint32_t workers, double bytes);
/* That with the least load of these. */
uint32_t mu_pack_fleet_find_idlest(const struct mu_pack_fleet *f, uint32_t workers, double bytes);
bool mu_pack_fleet_has(const struct mu_pack_fleet *f, uint32_t host, uint32_t workers,
                       double bytes);
/* seconds: of one worker, that are to be done there. */
void mu_pack_fleet_take(struct mu_pack_fleet *f, uint32_t host, uint32_t workers, double bytes,
                        double seconds);
void mu_pack_fleet_reserve(struct mu_pack_fleet *f, uint32_t host, uint32_t item, double until);
const struct mu_pack_reserved *mu_pack_fleet_reserved(const struct mu_pack_fleet *f, uint32_t host);
/* Of problem's hosts; the arrays are there already. Then what trains is entered, then the tree is
 * made. */
void mu_pack_fleet_fill(struct mu_pack_fleet *f, const struct mu_pack_problem *problem);
void mu_pack_fleet_index(struct mu_pack_fleet *f);

/* ---- pack_level.c ---- */
/* Fewest workers, of least .. most, with which its work takes no longer; most when none do. */
uint32_t mu_pack_need(const struct mu_pack_item *i, uint32_t least, double seconds);
/* The earliest time at which all of the set, with the workers given and more, so many in all, and
 * their tails could have ended. */
double mu_pack_level(struct mu_pack_item *const *set, uint32_t count, uint32_t workers);
/* due and want of all items. */
void mu_pack_set_due(struct mu_packing *p);

/* ---- pack_grow.c ---- */
/* What a group gains by other workers must be clearly more than what moving it costs. */
bool mu_pack_is_worth(const struct mu_packing *p, double seconds);
/* One that trains and would end too late: free workers of its host. */
void mu_pack_hurry(struct mu_packing *p, struct mu_pack_item *i);
/* Free workers of each host to what would end last there. */
void mu_pack_grow(struct mu_packing *p);
/* Groups with more workers than they need make way for trials that found no room. */
void mu_pack_shrink(struct mu_packing *p);

#endif
