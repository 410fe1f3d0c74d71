/* The allocation that this process runs in, as Slurm's environment tells it, and what Slurm is asked
 * about it: the end of its time, and to be started again.
 *
 *   nodelist.h   what Slurm writes compressed
 *   agent.h      how mpirun starts daemons on nodes of it
 *   slurmd.h     whether a node's own daemon is there
 *   guard.h      what happens when the node of the launcher itself is lost
 *   submit.h     `muster submit`; submission.h: its parts */
#ifndef MUSTER_SLURM_ALLOCATION_H
#define MUSTER_SLURM_ALLOCATION_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/core/ladder.h"

struct mu_slurm_allocation {
    bool is_there;
    char job[48];   /* as squeue calls it: "12" */
    char again[48]; /* as scontrol requeue wants it: of an array "12_3" */
    int64_t restarts;
    bool by_gpus; /* slots are GPUs */
    struct mu_ladder_host host[MU_LADDER_HOSTS];
    uint32_t hosts;
    uint64_t read_ns;     /* when, CLOCK_MONOTONIC */
    char slurmd_port[16]; /* slurmd.h */
    bool has_slurmd[MU_LADDER_HOSTS];
    uint64_t end_ns, length_ns; /* of its time, CLOCK_MONOTONIC; 0: unknown, or none */
};

/* Slots of a node are its tasks; where the job was given GPUs, but no number of tasks, its GPUs. The
 * node this runs on comes first. MU_OK with is_there false outside of Slurm. */
enum mu_status mu_slurm_allocation_read(struct mu_slurm_allocation *a) MU_CHECKED;
/* Asks for the time that is left; takes some hundredths of a second, and seconds at most. */
void mu_slurm_allocation_ask(struct mu_slurm_allocation *a);
/* Once more: it may have become less, by scontrol or as the job is being preempted. Where no answer
 * comes in a second, it is as before. */
void mu_slurm_allocation_ask_again(struct mu_slurm_allocation *a);
/* "3 nodes, 6 task slots, 3.9 h left; restart 2" */
void mu_slurm_allocation_tell(const struct mu_slurm_allocation *a);

/* "1-02:03:04", "2:03:04", "3:04", as squeue prints times; -1: it is no time (UNLIMITED). */
int64_t mu_slurm_seconds(const char *text);

/* Whether some of these parts of a sweep, which end with -1, are tasks of this job's array by their
 * numbers, and in the queue: then it is of use to be queued again, after them. Also where none are
 * given. Else it says so. */
bool mu_slurm_brings(const struct mu_slurm_allocation *a, const int64_t *parts);

/* Whether there will be a next start: Slurm is asked to stop this job and to queue it again. Not
 * while it is being cancelled, or queued again already. Where its controller does not answer, it is
 * asked again for ten minutes, or to the end of the job's time. Tells what came of it. */
void mu_slurm_requeue(const struct mu_slurm_allocation *a);

#endif
