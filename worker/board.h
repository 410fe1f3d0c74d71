/* The board of a host: a page in /dev/shm on which every rank of a job writes who it is and how it
 * gets on, before MPI_Init. Others read there where a rank died, and whether it still moves (its
 * own count of polls), without MPI.
 *
 * /dev/shm/muster-UID-JOB.board, see worker/shm_file.h. Made by whoever comes first; held by every
 * rank of the job. A rank that ends orderly takes its own entry away; the last one removes the
 * file. Boards whose ranks are all dead are removed by the next start. */
#ifndef MUSTER_WORKER_BOARD_H
#define MUSTER_WORKER_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/status.h"

enum { MU_BOARD_RANKS = 4096, MU_BOARD_NAME_MAX = 64 };

struct mu_board_entry {
    _Atomic uint32_t pid;        /* 0: nobody */
    _Atomic uint32_t told;       /* its death has been told by somebody */
    _Atomic uint64_t start_time; /* in clock ticks since boot: pids are used again */
    struct mu_fault_mark mark;   /* the last named point it passed */
    _Atomic uint64_t polls;
};

struct mu_board;

/* Job and rank come from the environment that mpirun sets (the job from MUSTER_JOB, when a launcher
 * gave it a name); without one, a job of one rank. */
enum mu_status mu_board_open(struct mu_board **out) MU_CHECKED;
void mu_board_close(struct mu_board *board); /* NULL is allowed */
/* After a failure: the own entry stays, so that the others find this rank dead; the file goes with
 * the last one that holds it, also when all leave at once. NULL is allowed. */
void mu_board_abandon(struct mu_board *board);
/* Who may tell of that rank's death: true for the first of this host who asks, once. */
bool mu_board_claim_news(struct mu_board *board, int dead_rank);
int mu_board_own_rank(const struct mu_board *board);
struct mu_board_entry *mu_board_own(struct mu_board *board);
/* NULL: that rank is not on this host. */
const struct mu_board_entry *mu_board_entry(const struct mu_board *board, int rank);

/* false: that entry's process is gone (or is a zombie). */
bool mu_board_is_alive(const struct mu_board_entry *entry);

/* The name of a job's board, for shm_open: a file of MU_BOARD_RANKS entries. For the launcher, which
 * makes it before any rank does. */
void mu_board_name(const char *job, char name[MU_BOARD_NAME_MAX]);

/* Start time of a process as in /proc/PID/stat; 0: no such process, or only its zombie. */
uint64_t mu_board_process_start(uint32_t pid);

#endif
