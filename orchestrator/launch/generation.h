/* A generation: one mpirun and the ranks below it, from its start until nothing of it is left.
 *
 *   start --> STARTING --a rank is beyond MPI_Init--> STARTED --status.json says so--> TRAINING
 *   whatever it is in: mpirun ends, or mu_generation_end; then mu_generation_clear
 *
 * On other hosts nothing is seen but what mpirun and status.json tell. */
#ifndef MUSTER_LAUNCH_GENERATION_H
#define MUSTER_LAUNCH_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/ladder.h"
#include "orchestrator/launch/mpirun.h"
#include "orchestrator/launch/ranks.h"
#include "worker/lease.h"

struct mu_generation {
    int number; /* from 1 */
    uint32_t ranks_wanted, hosts;
    bool is_abroad;
    bool by_srun; /* mpirun is an srun: its ranks do not die with it, but with its step or lease */
    char job[MU_JOB_TOKEN_MAX], folder[64], mpi_files[128];
    pid_t mpirun; /* and its session; -1: none */
    uint64_t mpirun_start;
    int pidfd; /* readable once mpirun has ended */
    struct mu_ranks ranks;

    struct mu_ranks_view view;
    bool has_started, is_training;
    bool has_ended, was_ended_here;                              /* mpirun; by mu_generation_end */
    int exit_code, signal;                                       /* of mpirun */
    uint64_t start_ns, seen_ns, started_ns, training_ns, end_ns; /* 0: not yet */
    uint64_t death_ns;   /* when a death during the start was seen; 0: none was */
    uint64_t thinned_ns; /* since when some ranks of this machine are dead; 0: none is */
    uint64_t nobody_ns;  /* since when nobody of this machine lives; 0: somebody does */
    char dead[400];      /* who was dead when it ended */
};

/* The request is filled in but for job, folder and ranks; *g is zeroed but for number,
 * ranks_wanted, hosts and is_abroad. */
enum mu_status mu_generation_prepare(struct mu_generation *g) MU_CHECKED;
enum mu_status mu_generation_start(struct mu_generation *g,
                                   struct mu_mpirun_request *request) MU_CHECKED;
/* Looks round: at the board, at mpirun and, while it starts, at status.json. */
void mu_generation_look(struct mu_generation *g, const char *run);
/* Ranks of this machine by their pids; with ranks abroad mpirun is asked to hand it on. */
void mu_generation_signal(struct mu_generation *g, int number);
/* Ends what lives of it. in_a_hurry: without asking mpirun first, which then cannot clean up on
 * other hosts. */
void mu_generation_end(struct mu_generation *g, bool in_a_hurry);
/* After mpirun has ended: sees to it that nobody is left, and removes all that is. MU_TIMEOUT: some
 * process could not be ended, and no other generation may begin. */
enum mu_status mu_generation_clear(struct mu_generation *g) MU_CHECKED;
/* For the lease: what somebody else would have to clear. */
struct mu_lease_record mu_generation_describe(const struct mu_generation *g);

#endif
