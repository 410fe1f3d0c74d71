/* The ranks of a generation on this machine, as the launcher sees them: by the board that it
 * makes before they do (worker/board.h), and by the session that mpirun and all it starts live
 * in. It holds the board, so that the file stays until the launcher takes it away. */
#ifndef MUSTER_LAUNCH_RANKS_H
#define MUSTER_LAUNCH_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "orchestrator/base/status.h"
#include "worker/board.h"

struct mu_ranks {
    const struct mu_board_entry *entry; /* MU_BOARD_RANKS; NULL: closed */
    int fd;
    char name[MU_BOARD_NAME_MAX];
    uint32_t count; /* ranks of the generation */
    uint32_t *pid;  /* of each, once seen; 0: not seen */
    uint64_t *start_time;
};

enum mu_status mu_ranks_open(struct mu_ranks *ranks, const char *job, uint32_t count) MU_CHECKED;
void mu_ranks_close(struct mu_ranks *ranks); /* removes the board */

/* What the board says now. */
struct mu_ranks_view {
    uint32_t seen; /* came to the board at some time */
    uint32_t living;
    uint32_t dead;    /* their entries stand, their processes are gone */
    uint32_t left;    /* took their entries away: an orderly end */
    uint32_t started; /* seen beyond MPI_Init */
    uint64_t marks;   /* changes when any of them passes a named point */
};
struct mu_ranks_view mu_ranks_look(struct mu_ranks *ranks);
/* "rank 1 (pid 71, last seen at: backward, step 12)" for each dead rank, at most a few. */
void mu_ranks_describe_dead(const struct mu_ranks *ranks, char *out, size_t capacity);
/* A signal to every living rank; gives back how many. */
uint32_t mu_ranks_signal(struct mu_ranks *ranks, int number);
/* How MPI's files of this job in /dev/shm begin ("/dev/shm/sm_segment.host.0.4c6e0001."), read off
 * what a rank has mapped; false: no rank has any yet. */
bool mu_ranks_find_mpi_files(const struct mu_ranks *ranks, char *out, size_t capacity);

/* SIGKILL to every rank ever seen and to every process of that session (0: none), again and again
 * until none of them lives. MU_TIMEOUT: some still do after deadline_ms. */
enum mu_status mu_ranks_end(struct mu_ranks *ranks, pid_t session, uint64_t deadline_ms) MU_CHECKED;

/* Ranks that an earlier launcher of this machine left on the board of that job: the same; and
 * the board goes. */
enum mu_status mu_ranks_fence(const char *job, pid_t session, uint64_t session_start,
                              uint64_t deadline_ms) MU_CHECKED;

#endif
