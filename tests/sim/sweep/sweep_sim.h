/* A sweep in a pretended fleet: the real packing (orchestrator/sweep/pack.h), a simulated clock,
 * hosts with memory of their own, workers and hosts that die. Everything follows from the seed.
 *
 *   shapes.c  which trials there are        fleet.c  what happens when
 *   check.c   what must never happen        plant.c  mistakes that the checks must find
 *   main.c    fleets, seeds, and what must come of them
 *
 * Crash model: a worker's death costs its trial the step in hand, a host's all since the newest
 * checkpoint of the trials there. A trial may leave a living host, and fall back to its checkpoint,
 * only if that host has too few workers left for it. */
#ifndef MUSTER_TESTS_SIM_SWEEP_H
#define MUSTER_TESTS_SIM_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/sweep/pack.h"

enum { STEPS = 400, CHECKPOINT = 50 /* steps */, STAGES = 3 };
#define NONE UINT32_MAX

enum trial_state { TRIAL_LATER, TRIAL_WAITS, TRIAL_TRAINS, TRIAL_ENDED };

struct trial {
    double work, serial, bytes;
    double believed; /* times the truth */
    uint32_t most, least;
    uint32_t trunk; /* which it branches off; NONE */
    double shared;  /* of the trunk's work, before it can begin */
    uint32_t stage; /* begins when the stages before it have ended */

    double chain;   /* its work, or the longest through its branches */
    double fastest; /* of this chain, at full speed */
    enum trial_state state;
    double done, since; /* work, at the time `since` */
    double kept;        /* by the newest checkpoint; a branch: 0 is the trunk's */
    uint32_t host;      /* of its state in memory; NONE */
    uint32_t workers;   /* 0 unless it trains */
    uint32_t becomes;   /* workers after the move under way */
    double moves_until; /* INFINITY: it does not move */
    bool released;      /* a branch: its trunk has come so far */
};

struct host {
    uint32_t alive, free;
    double bytes; /* of memory, free */
};

#define PLANT_TABLE(X)                                                      \
    X(nothing)                                                              \
    X(no_memory)  /* hosts have as much as anybody wants */                 \
    X(dead_host)  /* the dead are free workers */                           \
    X(no_state)   /* what waits can begin anywhere */                       \
    X(no_move)    /* who moves is moved again */                            \
    X(forgotten)  /* nothing is told while the first trial has not ended */ \
    X(too_narrow) /* begins below least */                                  \
    X(too_wide)   /* grows by workers that are not free */                  \
    X(two_hosts)  /* grows by another host's workers */                     \
    X(restless)   /* a group makes way whenever nothing else is to be done */
enum plant {
#define PLANT_ENUM(name) PLANT_##name,
    PLANT_TABLE(PLANT_ENUM)
#undef PLANT_ENUM
        PLANTS,
    PLANT_NOTHING = PLANT_nothing
};

/* What a run is made of. */
struct setup {
    uint64_t seed;
    uint32_t trials, hosts, host_workers;
    enum shape {
        SHAPE_EQUAL,
        SHAPE_LOG_UNIFORM,
        SHAPE_HEAVY,
        SHAPE_CHAINS,
        SHAPE_STAGES,
        SHAPES
    } shape;
    double serial, move_cost;
    double error;      /* of what is believed of a trial's work and serial share, relative */
    double host_bytes; /* a trial takes up to a third of it; INFINITY */
    uint32_t widest;   /* trials that need up to so many workers */
    uint32_t deaths;
    enum plant plant;
    bool trace;
    bool simple_bound; /* knows nothing of hosts and of stages */
};

struct outcome {
    double seconds, bound, busy; /* busy: share of worker-seconds; bound: least seconds possible */
    double work;                 /* seconds on one worker */
    double decision_s;           /* median, CPU time */
    uint32_t decisions, begun, moved, died;
    char failure[200]; /* empty: none */
};

struct sim {
    struct setup setup;
    struct trial *trial;
    struct host *host;
    uint32_t *owner; /* of worker w, on host w / host_workers: trial; NONE: none; DEAD */
    uint32_t *live;  /* trials that train */
    uint32_t live_count, ended, stage, draws;
    double now, next_death, busy_s;
    double tail[STAGES]; /* of the stages after, on one worker */
    struct mu_pack_trial *listed;
    uint32_t *listed_trial;
    struct mu_pack_host *seen;
    struct mu_pack_command *command;
    double *decision_s;
    uint32_t decision_room;
    struct outcome out;
};
#define DEAD (UINT32_MAX - 1)

void shapes_make(struct sim *s);
/* Least seconds in which these trials can be trained. */
double shapes_bound(const struct sim *s);
double sim_uniform(struct sim *s); /* in (0, 1) */

void fleet_run(const struct setup *setup, struct outcome *out);

enum plant plant_named(const char *name); /* PLANTS: there is none */
uint32_t plant_problem(struct sim *s, uint32_t trials);
void plant_commands(struct sim *s, uint32_t trials, uint32_t *count);

void check_failed(struct sim *s, const char *what, uint32_t trial);
/* Before a command is carried out. */
void check_command(struct sim *s, const struct mu_pack_command *c, uint32_t trial);
/* After everything that happens: workers, groups, hosts and memory. */
void check_fleet(struct sim *s);

#endif
