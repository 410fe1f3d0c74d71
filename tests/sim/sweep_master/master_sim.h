/* A sweep's master in a pretended fleet: the real decisions (orchestrator/sweep_run/master.h, the
 * stages and the packing below it) of a real sweep file, a simulated clock, ranks that are as
 * orchestrator/sweep_run/line.c has them. Everything follows from the seed.
 *
 *   shapes.c  which sweep, and what each of its trials comes to: a function of its name
 *   fleet.c   ranks, messages, deaths and repairs
 *   crew.c    groups that train
 *   lead.c    the master as a process, its journal, and the next one after it has died
 *   check.c   what must never happen
 *   plant.c   mistakes that the checks must find
 *   main.c    fleets, seeds, and what must come of them
 *
 * Crash model. Ranks and whole hosts die at any time, the master among them. Some time later all
 * that live say in a repair which group they are in; what was on its way until then is lost, orders
 * and outcomes among it. A trial's state outlives its ranks in the memory of its host, and is gone
 * with the last of that host's ranks; checkpoints, and what a trunk left for its branches, stay. A
 * group may fail, and some trials kill whoever takes a certain step. */
#ifndef MUSTER_TESTS_SIM_SWEEP_MASTER_H
#define MUSTER_TESTS_SIM_SWEEP_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/sweep_run/master.h"

#define NONE UINT32_MAX
enum { CHECKPOINT = 20 /* steps */, FACTS = 4096, MISTAKE_BYTES = 240 };

/* What is true of a trial, whoever leads. */
struct fact {
    char name[128];
    int64_t steps, shared;
    uint32_t trunk; /* fact; NONE */
    enum mu_trial_end end;
    int64_t end_step;  /* of DIVERGED; of CRASHES, that which kills: cannot be taken */
    int64_t fail_step; /* fails there once; -1: never */
    double loss, serial, step_s, step_tokens;

    uint32_t crew;                     /* that has it; NONE */
    uint32_t host;                     /* of its state in memory; NONE */
    int64_t step, kept;                /* there; by its newest checkpoint */
    bool is_there;                     /* a branch: what its trunk leaves for it */
    bool is_finished;                  /* its folder says so */
    uint32_t failures, deaths, killed; /* killed: by it; deaths: in it, or ordered into it */

    /* As the journal has it (orchestrator/sweep_run/past.h). */
    bool is_recorded;
    struct mu_cell record;
    uint32_t ends;
};

/* A group, as its ranks live it. */
struct crew {
    uint64_t number;
    uint32_t fact, host, count, expected; /* ranks in it; ordered into it, and not there yet */
    enum { CREW_GATHERS, CREW_TRAINS, CREW_ENDED } state;
    bool is_stalled; /* somebody died, and nobody was told yet */
    bool makes_way;
    uint32_t tick, told, deaths_here; /* its next step; messages; ranks that died of one step */
    int64_t first_told;
    double said;
    enum mu_trial_end end;
    int leader; /* who tells of its end */
    uint32_t *branch, branches;
};

struct message {
    enum { SAY_READY, SAY_PROGRESS, SAY_ORDER, SAY_MAKE_WAY } kind;
    uint64_t group;
    bool has_outcome;
    struct mu_trial_outcome *outcome; /* of has_outcome: into the sender's */
    int64_t first, step;
    double tokens_per_s;
};

struct rank {
    bool lives;
    uint32_t host, crew; /* NONE */
    uint64_t ended;      /* the last group whose end it knows; 0: none */
    bool has_outcome;
    struct mu_trial_outcome outcome; /* of that, if it led */
    double up, down;                 /* when its last messages arrive: none overtakes another */
};

enum event_kind {
    EVENT_UP,
    EVENT_DOWN,
    EVENT_STEP,
    EVENT_LEAVE,
    EVENT_REMIND,
    EVENT_DEATH,
    EVENT_REPAIR,
    EVENT_SERVE
};
struct event {
    double at;
    uint64_t order;
    enum event_kind kind;
    uint32_t who, mark; /* rank or crew; epoch, tick, or crew */
    struct message message;
};

#define PLANT_TABLE(X)                                                           \
    X(nothing)                                                                   \
    X(deaf)        /* a repair's words of ranks without a group are not heard */ \
    X(no_ends)     /* the journal does not have them */                          \
    X(early)       /* a group's ranks are taken as free when its leader is */    \
    X(two_hosts)   /* a rank of another host gets the order */                   \
    X(no_state)    /* where the state of a trial is in memory is forgotten */    \
    X(no_branches) /* orders do not have them */                                 \
    X(patient)     /* crashes are not counted */                                 \
    X(mixed_up)    /* losses are heard of the wrong trial */
enum plant {
#define PLANT_ENUM(name) PLANT_##name,
    PLANT_TABLE(PLANT_ENUM)
#undef PLANT_ENUM
        PLANTS
};

struct setup {
    uint64_t seed;
    uint32_t hosts, host_ranks;
    uint32_t sizes, points, budgets, seeds; /* of the sweep */
    bool tunes, shares;
    uint32_t deaths; /* at random times, until `until` */
    double until;
    double killers;  /* share of trials that kill */
    double remind_s; /* who waits says so again */
    enum plant plant;
    bool trace;
};

enum timed {
    TIMED_DECIDE,
    TIMED_ADVANCE,
    TIMED_READY,
    TIMED_OUTCOME,
    TIMED_PROGRESS,
    TIMED_WORDS,
    TIMED
};
extern const char *const timed_name[TIMED];

struct times { /* CPU seconds */
    double *item;
    uint32_t count, capacity;
};

struct result { /* of a trial, to compare */
    char name[128];
    enum mu_cell_phase phase;
    double loss;
};

struct outcome {
    double seconds;
    uint32_t trials, died, masters, groups, moves, retries, lost_outcomes, lost_orders;
    struct times times[TIMED];
    struct result *result;
    char mistake[MISTAKE_BYTES]; /* empty: none */
};

struct sim {
    struct setup setup;
    uint32_t draws;
    double now;
    struct event *heap;
    uint32_t events, event_capacity;
    uint64_t order;
    struct rank *rank;
    uint32_t ranks, alive, *host_alive, epoch;
    bool repairs;      /* one is under way */
    struct crew *crew; /* by number */
    uint32_t crews, crew_capacity;
    struct fact *fact;
    uint32_t facts;

    /* The master as a process, and its journal. */
    struct mu_sweep_spec *spec;
    struct mu_settings base;
    struct mu_sweep_master master;
    uint32_t leader, generation, *fact_of; /* by trial of this master */
    struct heard {
        uint32_t rank;
        struct message message;
        struct mu_trial_outcome outcome;
    } * inbox;
    uint32_t heard, inbox_capacity, serves;
    struct part {
        uint64_t group;
        uint32_t fact, rank;
        bool is_open;
    } * part;
    uint32_t parts, part_capacity, first_open;
    struct mu_rank_word *word;
    bool is_over;
    struct outcome out;
};

/* ---- shapes.c ---- */
double sim_uniform(struct sim *s); /* in (0, 1) */
void shapes_read(struct sim *s);   /* the sweep file */
uint32_t fact_of(struct sim *s, uint32_t trial);
struct mu_trial_outcome shapes_outcome(const struct fact *f, enum mu_trial_end end);

/* ---- fleet.c ---- */
void fleet_run(const struct setup *setup, struct outcome *out);
void outcome_free(struct outcome *o);
void fleet_after(struct sim *s, double seconds, struct event e);
void fleet_say(struct sim *s, uint32_t rank, struct message message);  /* to the master */
void fleet_tell(struct sim *s, uint32_t rank, struct message message); /* by it */
void fleet_ready(struct sim *s, uint32_t rank);
void fleet_kill(struct sim *s, uint32_t rank);
void *fleet_room(void *items, uint32_t count, uint32_t *capacity, size_t bytes);

/* ---- crew.c ---- */
uint32_t crew_add(struct sim *s, uint64_t number, uint32_t fact, uint32_t expected);
uint32_t crew_find(const struct sim *s, uint64_t number);
void crew_join(struct sim *s, uint32_t rank, uint64_t number);
void crew_step(struct sim *s, uint32_t crew, uint32_t tick);
void crew_leave(struct sim *s, uint32_t rank, uint32_t crew);
void crew_lose(struct sim *s, uint32_t rank);
void crews_repair(struct sim *s);

/* ---- lead.c ---- */
void lead_open(struct sim *s, uint32_t rank, uint32_t words); /* words 0: at the start */
void lead_reset(struct sim *s, uint32_t words);
void lead_serve(struct sim *s);

/* ---- check.c ---- */
void check_failed(struct sim *s, const char *what, const char *who);
void check_join(struct sim *s, uint32_t rank, uint64_t number);
void check_begin(struct sim *s, const struct crew *c, int64_t from);
void check_killer(struct sim *s, const struct fact *f);
void check_fleet(struct sim *s); /* now and then */
void check_end(struct sim *s);
void check_same(const struct outcome *without, struct outcome *with);

/* ---- plant.c ---- */
enum plant plant_named(const char *name); /* PLANTS: there is none */
void plant_words(struct sim *s, uint32_t words);
void plant_heard(struct sim *s, struct heard *h);
void plant_before(struct sim *s); /* a decision */
uint32_t plant_rank(struct sim *s, uint32_t rank);

#endif
