/* muster-sim: a fleet in one thread, driven by one seed. The decisions are the real ones, of
 * orchestrator/core; clock, MPI, memory of the hosts, disk and deaths are pretended.
 *
 *   model.c      what is trained: integers, so that whatever is lost, doubled, torn or stale shows
 *   world.c      clock, queue of events, hosts, who runs next
 *   mpi.c        messages, revoke, shrink, agree, gather; deaths that ranks learn of one by one
 *   faults.c     who dies, stops, is cut off, and when
 *   repair.c     what a rank does about a death, inside its poll
 *   step.c       the step protocol, word by word as in worker/step.c and worker/reduce.c
 *   job.c        a rank from its start to its end; start.c, duties.c: what lies between steps
 *   launcher.c   generations, leases
 *   check_*.c    what must hold, each in a file of its own
 *
 * A rank is a fiber that stops before every action that another could see: a word, half of a sum,
 * half of a chunk, a message. */
#ifndef MUSTER_SIM_SIM_H
#define MUSTER_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/duty.h"
#include "orchestrator/core/ladder.h"
#include "orchestrator/core/lifecycle.h"
#include "orchestrator/core/recovery.h"
#include "orchestrator/core/watch.h"
#include "tests/sim/fiber.h"

enum { CHUNK = 2, MAX_CHUNKS = 8, MAX_STEPS = 64, MAX_ELEMENTS = CHUNK * MAX_CHUNKS };
#define NO_STATE UINT64_MAX

/* X(name, what the shell then does wrong) */
#define PLANTS(X)                                                                               \
    X(none, "nothing")                                                                          \
    X(skip_agreement, "a rank whose own exchange of reports went well does not agree")          \
    X(count_torn, "the sum of a rank that died while adding counts")                            \
    X(no_lease, "the launcher does not wait for the lease of ranks that it cannot reach")       \
    X(no_fence, "a rank that is taken for dead, and lives, is not killed")                      \
    X(deal_claims, "reports leave out the shard that a rank is busy with")                      \
    X(no_entered_wait, "chunks are reduced before every rank of the host has entered the turn") \
    X(early_flip, "the state flips before all chunks are written")                              \
    X(no_watch, "nobody fences a rank that is stopped")                                         \
    X(publish_unsynced, "a checkpoint is published before its parts are synced")                \
    X(keep_chunk, "a chunk in hand is carried over a repair")                                   \
    X(blind_record, "a new master records without looking at what stands there")                \
    X(loud_leave,                                                                               \
      "a rank that is finished revokes the communicator, and others miss the last word")        \
    X(own_duties, "a rank reports only the duties that it was told of itself")                  \
    X(wait_exactly, "a rank waits for sums that have gone on to the next turn already")

enum plant {
#define PLANT_ENUM(name, what) PLANT_##name,
    PLANTS(PLANT_ENUM)
#undef PLANT_ENUM
        PLANT_COUNT
};

struct options {
    uint64_t seed;
    int ranks, hosts, deaths; /* -1: by the seed */
    bool trace;
    enum plant plant;
};

/* ---- memory of a host ---- */
struct slot {
    uint64_t entered, adding, claim;
    struct mu_shard_set shards;
    uint32_t sum[MAX_ELEMENTS];
    uint32_t samples; /* what the scalars are to the worker: of the shards in the sum */
};
struct chunk {
    uint64_t reduced, written;
    uint32_t norm, largest, overflow;
    struct mu_shard_set from; /* which shards are in the total: for check_shards.c */
};
struct segment {
    uint64_t token; /* of the start that it is laid for */
    uint64_t state; /* NO_STATE: nothing in it */
    struct chunk chunk[MAX_CHUNKS];
    uint32_t half[2][MAX_ELEMENTS], total[MAX_ELEMENTS];
    uint32_t samples;
    struct slot *slot;
    uint32_t slots;
};
struct host {
    struct segment segment;
    bool cut;       /* off from the launcher and the other hosts */
    uint32_t *rank; /* of this generation */
    uint32_t ranks;
};

/* ---- MPI ---- */
struct message {
    uint64_t comm, ready;
    uint32_t from, tag;
    uint32_t value[CHUNK], samples, norm, largest, overflow;
    uint64_t turn;
    struct mu_shard_set shards;
};
struct gather {
    uint32_t count, max_place;
    uint64_t min, max;
};
struct comm {
    uint32_t id, size, live; /* live: members that are not dead; ids grow: they are the epochs */
    uint32_t *member;        /* place -> rank */
    int32_t *place_of;       /* rank -> place; -1 */
    uint32_t first_dead;     /* the first of sim->death that is a member; UINT32_MAX */
    bool revoked;
    uint8_t *in_shrink, *in_agree;
    uint32_t shrinking, agreeing; /* living members in it */
    bool agree_flag, agreed, agree_ok;
    struct comm *shrunk;
    struct gather *gather;
    uint32_t gathers;
    /* What its members tell each other in a repair, and what follows from it. */
    struct mu_rank_report *report;
    struct mu_host_report *host_report; /* by host of the fleet */
    struct mu_roll roll;
    struct mu_recovery_plan plan;
    bool planned;
    struct comm *base;     /* the one that the state was laid for */
    struct mu_fleet fleet; /* of a base */
    uint32_t *fleet_host;  /* of a base: host of the fleet -> host */
};

/* ---- ranks ---- */
struct rank {
    struct sim *sim;
    uint32_t id, host;
    struct fiber fiber;
    void *stack;
    bool alive, declared_dead, sleeping, exited;
    bool died_unheard; /* while a link was cut */
    uint64_t ticket, frozen_since, frozen_until, slow, lease_until;
    struct mu_watch *watch; /* its watchdog's; NULL: not needed yet */
    uint64_t repair_since;
    uint32_t repair;              /* the newest that it has entered */
    uint32_t known, revoked_seen; /* deaths known of; the newest comm known to be revoked */
    struct message *mail;
    uint32_t mails, mail_room;
    struct comm *comm;
    uint32_t first_comm;             /* of its generation */
    uint32_t place, number, gathers; /* number: in the base */
    bool in_repair, recovered;
    enum mu_recovery_phase phase;
    struct mu_life life;
    int64_t duties, passed; /* known to be done by the master; this rank's part in them done */
    bool settle;            /* after a repair: duties end with a round of all */
    uint32_t raised;
    uint64_t raised_turn, actions;
};

/* ---- disk ---- */
struct part {
    int64_t step;
    uint32_t value[CHUNK];
    bool whole, synced;
    uint32_t host; /* whose cache holds it until it is synced */
};
struct checkpoint {
    int64_t step;
    struct part part[MAX_CHUNKS];
    bool published;
};
struct record {
    int64_t step;
    uint32_t hash;
    bool whole;
};
struct disk {
    struct checkpoint checkpoint[MAX_STEPS];
    struct record record[4 * MAX_STEPS];
    uint32_t records;
};

enum event_kind {
    EVENT_RUN,
    EVENT_DEATH_KNOWN,
    EVENT_REVOKED,
    EVENT_MAIL,
    EVENT_FAULT,
    EVENT_LOOK,
    EVENT_LAUNCHER
};
struct event {
    uint64_t time, order;
    enum event_kind kind;
    uint32_t rank;
    uint64_t what;
};

enum fault_kind {
    FAULT_KILL,
    FAULT_DECLARE,
    FAULT_FREEZE,
    FAULT_STILL_FROZEN,
    FAULT_SLOW,
    FAULT_MPIRUN,
    FAULT_CUT,
    FAULT_HOST
};
struct fault {
    enum fault_kind kind;
    uint32_t target;
    uint64_t length;
};

struct sim {
    struct options options;
    uint64_t rng, now, orders, actions, last_fault, start_order;
    uint32_t ranks, hosts, shards, chunks, steps, spares;
    bool dedicated; /* run.master */
    uint64_t redo_salt;
    struct mu_duty_plan duty;
    uint32_t reference[MAX_STEPS + 1][MAX_ELEMENTS], norm[MAX_STEPS + 1];
    struct host *host;
    struct rank *rank;
    uint32_t room; /* entries of rank: those of this generation, and of earlier ones */
    struct comm **comm;
    uint32_t comms, first_comm; /* first_comm: of this generation */
    uint32_t *death, deaths, alive;
    struct disk disk;
    struct event *queue;
    uint32_t queued, queue_room;
    struct fault *fault;
    uint32_t faults, dice_deaths; /* dice_deaths: still to be had at any action */
    uint64_t dice;                /* one in so many actions */
    uint32_t generation, newest_epoch;
    uint64_t lease_until;
    struct mu_ladder ladder;
    uint64_t launch_at; /* when nobody is left: the next generation */
    bool ended, finished, gave_up, mpirun_died;
    uint64_t repairs, unfinished; /* unfinished: of this generation, that did not end it */
    char violation[256];
};

/* ---- model.c ---- */
uint32_t model_mix(uint32_t x);
uint32_t model_initial(uint32_t element);
bool model_overflows(const struct sim *sim, uint64_t step);
uint32_t model_gradient(uint32_t weight, uint32_t element, uint64_t step, uint32_t shard,
                        uint32_t raised);
uint32_t model_sample(uint64_t step, uint32_t shard);
uint32_t model_update(uint32_t weight, uint32_t total, uint32_t norm);
uint32_t model_fold(const uint32_t *total, uint32_t chunk);
uint32_t model_hash(const struct sim *sim, const uint32_t *weights);
void model_reference(struct sim *sim);

/* ---- world.c ---- */
uint64_t sim_draw(struct sim *sim);
uint64_t sim_below(struct sim *sim, uint64_t n);
void sim_push(struct sim *sim, uint64_t time, enum event_kind kind, uint32_t rank, uint64_t what);
struct sim *sim_new(const struct options *options);
void sim_free(struct sim *sim);
void sim_run(struct sim *sim);
/* The first one is kept, and ends the run. */
void sim_violation(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(const struct sim *sim, int rank, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline bool planted(const struct sim *sim, enum plant plant)
{
    return sim->options.plant == plant;
}
/* By a rank's fiber: the action named follows the return. A rank may have died in between: then
 * there is no return. */
void act(struct rank *rank, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Until something that this rank may wait for has changed. */
void rank_sleep(struct rank *rank);
void rank_wake(struct rank *rank);
void host_wake(struct sim *sim, uint32_t host);
void rank_die(struct rank *rank, const char *why);
void rank_leave(struct rank *rank);
void rank_start(struct sim *sim, uint32_t id, uint32_t host);
static inline struct segment *segment_of(const struct rank *r)
{
    return &r->sim->host[r->host].segment;
}

/* ---- mpi.c ---- */
struct comm *mpi_comm_new(struct sim *sim, const uint32_t *member, uint32_t size);
void mpi_free_all(struct sim *sim);
void mpi_death(struct sim *sim, uint32_t rank);
bool mpi_broken(const struct rank *rank, const struct comm *comm);
void mpi_revoke(struct rank *rank, struct comm *comm);
struct comm *mpi_shrink(struct rank *rank, struct comm *comm);
bool mpi_agree(struct rank *rank, struct comm *comm, bool flag);
void mpi_contribute(struct rank *rank, struct comm *comm, uint32_t index, uint64_t value);
bool mpi_gathered(const struct comm *comm, uint32_t index);
void mpi_send(struct rank *rank, uint32_t to, struct message message);
bool mpi_receive(struct rank *rank, uint32_t from, uint32_t tag, struct message *message);
void mpi_forget_mail(struct rank *rank);

/* ---- faults.c ---- */
void faults_plan(struct sim *sim);
void faults_happen(struct sim *sim, uint32_t index);
bool faults_strike(struct rank *rank);

/* ---- repair.c ---- */
/* True: the roll is another one now, and what the caller held by the old plan is not its own. */
bool poll(struct rank *rank);
void repair(struct rank *rank, bool quietly);
bool gather(struct rank *rank, uint64_t value, struct gather *out);
static inline const struct mu_recovery_plan *plan_of(const struct rank *r)
{
    return r->comm->planned && !r->comm->plan.restart ? &r->comm->plan : NULL;
}
static inline struct comm *base_of(const struct rank *r)
{
    return r->comm->base;
}
uint32_t home_of(const struct rank *rank);
void comm_roll(struct sim *sim, struct comm *comm);
uint32_t slot_of(const struct rank *rank, uint32_t place);
struct mu_crew crew_of(const struct rank *rank);

/* ---- step.c, reduce.c ---- */
bool step(struct rank *rank, int64_t step);
bool reduce_chunk(struct rank *rank, uint32_t chunk, uint64_t turn);
struct mu_shard_set deal_of(const struct rank *rank, uint64_t turn, uint32_t place);
struct mu_shard_set whole_in(const struct slot *slot, uint64_t turn);
void serve(struct rank *rank);

/* ---- job.c, start.c, duties.c, launcher.c ---- */
void job_run(void *rank);
bool start(struct rank *rank);
bool duties(struct rank *rank, int64_t step);
int64_t last_record(const struct sim *sim);
void launcher_start(struct sim *sim);
void launcher_look(struct sim *sim);
void launcher_lost(struct sim *sim, uint32_t host);
int64_t newest_checkpoint(struct sim *sim);

/* ---- watchers.c ---- */
void watchers_begin(struct sim *sim, uint32_t host);
void watcher_look(struct rank *rank);
void watchers_check(struct sim *sim, struct rank *stopped);

/* ---- check_*.c ---- */
void check_epoch(struct rank *rank);
void check_state(struct sim *sim, uint32_t host, uint64_t before);
void check_result(struct sim *sim, uint32_t host, int64_t step, uint32_t norm);
void check_load(struct sim *sim, uint32_t host);
void check_steps(struct sim *sim, int64_t step);
void check_shards(struct sim *sim, const struct mu_shard_set *into,
                  const struct mu_shard_set *more);
void check_all_shards(struct sim *sim, const struct mu_shard_set *all, uint64_t turn);
void check_record(struct sim *sim);
void check_records(struct sim *sim);
void check_checkpoints(struct sim *sim);
void check_end(struct sim *sim);
void check_work(struct sim *sim);
void check_repair(struct sim *sim);

#endif
