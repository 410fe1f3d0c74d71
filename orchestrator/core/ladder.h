/* What the launcher does when an mpirun has ended: whether to start again, when, on which hosts and
 * with how many ranks. Pure: what was seen goes in with the time, a decision comes out; the shell
 * round it is orchestrator/launch/.
 *
 *   what the ranks wrote decides; mpirun's exit code only where it is one of ours (it is 0 when
 *   ranks were killed, and 1 for nearly everything else)
 *   the first relaunch comes at once, later ones after a pause that doubles while nothing is gained
 *   most_still generations (--patience) without a newly committed step: the run stops, with a
 *   diagnosis
 *   a host that failed twice within its window, or does not answer, is left out until it has cooled
 *   off */
#ifndef MUSTER_CORE_LADDER_H
#define MUSTER_CORE_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

enum {
    MU_LADDER_HOSTS = 256,
    MU_LADDER_STILL = 3,
    MU_LADDER_FAILURES = 2,
    MU_LADDER_COOL_OFF_MS = 600000
};

/* What stands in status.json, if this generation wrote it. */
enum mu_ladder_outcome {
    MU_LADDER_NOTHING,
    MU_LADDER_COMPLETE,
    MU_LADDER_REQUEUE,
    MU_LADDER_FAILED
};
/* What the launcher had asked the ranks for. */
enum mu_ladder_wish { MU_WISH_GO_ON, MU_WISH_STOP, MU_WISH_CHANGE };

/* X(name, words: "generation 2: WORDS") */
#define MU_LADDER_CAUSES(X)                                        \
    X(COMPLETE, "complete")                                        \
    X(STOPPED, "stopped on request")                               \
    X(CHANGED, "stopped for a change of ranks")                    \
    X(REFUSED, "refused to start")                                 \
    X(AGREED, "all ranks gave up together")                        \
    X(MPIRUN_KILLED, "mpirun was killed")                          \
    X(START_DIED, "a rank died in MPI_Init")                       \
    X(START_HUNG, "the ranks did not start within their deadline") \
    X(STALLED, "nothing moved any more")                           \
    X(HOST_SILENT, "a host fell silent")                           \
    X(RANKS_DIED, "ranks died")                                    \
    X(MPIRUN_ENDED, "mpirun ended before the run did")             \
    X(LEASE_LOST, "the lock of the run could not be renewed")

enum mu_ladder_cause {
#define MU_LADDER_CAUSE_ENUM(name, words) MU_CAUSE_##name,
    MU_LADDER_CAUSES(MU_LADDER_CAUSE_ENUM)
#undef MU_LADDER_CAUSE_ENUM
        MU_CAUSE_COUNT
};
const char *mu_ladder_cause_words(enum mu_ladder_cause cause);

/* What was seen of a generation that has ended. */
struct mu_ladder_end {
    enum mu_ladder_outcome outcome;
    bool agreed; /* FAILED: the ranks say that all of them gave up together */
    enum mu_ladder_wish wish;
    int mpirun_signal; /* that killed mpirun; 0: it exited by itself */
    int exit_code;     /* of mpirun, when mpirun_signal is 0 */
    uint32_t seen;     /* ranks of this machine that were on the board */
    uint32_t deaths;   /* of them: died there, did not leave orderly */
    bool is_abroad;    /* some ranks were on other machines, whose boards nobody sees */
    bool has_started;  /* MPI_Init was passed */
    bool start_hung, stalled, host_silent, lease_lost; /* the launcher ended it, for this reason */
    int64_t step; /* committed, as far as is known; -1: unknown */
};

struct mu_ladder_host {
    char name[256];
    uint32_t slots;
    uint32_t failures; /* within the window that began with the first */
    uint64_t failed_ns, until_ns;
    bool excluded;
};

struct mu_ladder {
    int64_t most_restarts, restarts;
    int64_t best_step;    /* committed by any generation; -1: none yet */
    int64_t most_still;   /* MU_LADDER_STILL, unless the shell sets another one */
    int still;            /* failed generations in a row that committed nothing new */
    uint32_t wanted;      /* ranks */
    uint32_t replenished; /* times that dead ranks were replaced, each soon after the one before */
    uint64_t replenished_ns;
    uint64_t cool_off_ms; /* MU_LADDER_COOL_OFF_MS, unless the shell sets another one */
    struct mu_ladder_host host[MU_LADDER_HOSTS];
    uint32_t hosts; /* 0: this machine, any number of ranks */
};

struct mu_ladder mu_ladder_begin(uint32_t ranks, int64_t most_restarts, int64_t committed_step);

struct mu_ladder_next {
    enum mu_ladder_cause cause;
    bool relaunch;
    enum mu_status status; /* no relaunch: what the launcher ends with */
    uint64_t pause_ms;     /* before the relaunch */
    bool no_progress,
        no_restart_left; /* why there is none, when it is neither the run's end nor asked for */
};
struct mu_ladder_next mu_ladder_after(struct mu_ladder *ladder, const struct mu_ladder_end *end);

/* Takes over a list of hosts (name and slots count), at most MU_LADDER_HOSTS; what is known of
 * those that were there before is kept. */
void mu_ladder_set_hosts(struct mu_ladder *ladder, const struct mu_ladder_host *host,
                         uint32_t count);
/* Ranks of that host died. true: it is left out from now on. */
bool mu_ladder_host_failed(struct mu_ladder *ladder, uint32_t index, uint64_t now_ns);
/* That host cannot be reached: left out at once. */
void mu_ladder_host_lost(struct mu_ladder *ladder, uint32_t index, uint64_t now_ns);

/* Who takes part in the next generation. Hosts that have cooled off are taken back. */
struct mu_ladder_plan {
    uint32_t ranks, hosts;
    bool use[MU_LADDER_HOSTS];
    uint64_t pause_ms; /* no host is left: until the first one has cooled off */
};
struct mu_ladder_plan mu_ladder_plan(struct mu_ladder *ladder, uint64_t now_ns);

/* Does a planned relaunch with more ranks save more time than it costs? */
struct mu_ladder_gain {
    int64_t steps_left;
    double step_s; /* measured, with ranks_now */
    double relaunch_s;
    uint32_t ranks_now, ranks_then, shards;
};
bool mu_ladder_pays(const struct mu_ladder_gain *gain);

/* For how long ranks are dead before a relaunch replaces them: longer each time that one did within
 * minutes, so that ranks which die again and again do not stop the others as often. */
uint64_t mu_ladder_patience_ms(const struct mu_ladder *ladder, uint64_t now_ns);
/* Such a relaunch begins. */
void mu_ladder_replenish(struct mu_ladder *ladder, uint64_t now_ns);

#endif
