/* The board of a host: pages in /dev/shm on which every rank of a job writes who it is and how it
 * gets on, before MPI_Init. Others read there where a rank died, and whether it still moves (its
 * own count of polls), without MPI.
 *
 * /dev/shm/muster-UID-JOB.board, see worker/shm_file.h. Made by whoever comes first; held by every
 * rank of the job. A rank that ends orderly takes its own entry away; the file goes with the last
 * one, or with the first when all of the host are leaving. One whose ranks were all killed is
 * removed by the next start: none of them could. */
#ifndef MUSTER_WORKER_BOARD_H
#define MUSTER_WORKER_BOARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/status.h"
#include "orchestrator/core/watch.h"

enum { MU_BOARD_RANKS = MU_WATCH_RANKS, MU_BOARD_NAME_MAX = 64 };

/* Of its own cache lines: it is written at every poll. All words but `told`, `last_word`,
 * `unseen`, `ended` and `fence` are its rank's alone to write. */
struct mu_board_entry {
    _Alignas(128) _Atomic uint32_t pid; /* 0: nobody */
    _Atomic uint32_t told;              /* its death has been told by somebody */
    _Atomic uint32_t last_word;         /* of the first entry: somebody speaks for all who fail */
    _Atomic uint32_t unseen;            /* it is gone, and MPI does not know: no repair would end */
    _Atomic uint64_t start_time;        /* in clock ticks since boot: pids are used again */
    pthread_mutex_t life;               /* robust; held by the rank's main thread: see board.c */
    _Atomic uint32_t ended; /* 1: it was found without its owner; 2: and somebody is to tell all */
    struct mu_fault_mark mark;    /* the last named point it passed */
    _Atomic uint64_t polls;       /* of the main thread */
    _Atomic uint64_t beats;       /* looks of its watchdog */
    _Atomic uint32_t phase;       /* enum mu_phase */
    _Atomic uint32_t epoch;       /* of the roll it works in */
    _Atomic uint32_t repair;      /* the newest epoch whose repair it has entered */
    _Atomic uint32_t repair_from; /* enum mu_phase: what it was doing before */
    _Atomic uint64_t repair_ns;   /* when that was, CLOCK_MONOTONIC */
    _Atomic uint64_t repaired_ns; /* when it was back at work after it */
    _Atomic uint64_t fence;       /* who ended it, and why; see board.c. 0: nobody */
    _Atomic uint64_t shards_done; /* in all */
    _Atomic uint64_t compute_ns;  /* that they took */
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
/* When all ranks of this host fail at once: true for the first who asks, once. */
bool mu_board_claim_last_word(struct mu_board *board);
/* That rank of this host has left unseen by MPI: nobody may begin a repair any more. */
void mu_board_note_unseen(struct mu_board *board, int rank);
int mu_board_own_rank(const struct mu_board *board);
struct mu_board_entry *mu_board_own(struct mu_board *board);
/* NULL: that rank is not on this host. */
const struct mu_board_entry *mu_board_entry(const struct mu_board *board, int rank);

/* That entry's process is ending or gone, and nothing can stop that: known microseconds after a
 * SIGKILL, long before the process has given back its memory and its parent hears of it. Tries
 * the lock in its entry: the board must be mapped for writing. */
bool mu_board_has_ended(const struct mu_board_entry *entry);
/* Who may tell other hosts of that: true for the first of this host who asks, once. */
bool mu_board_claim_end(struct mu_board *board, int ended_rank);
/* false: that entry's process is gone (or is a zombie). */
bool mu_board_is_alive(const struct mu_board_entry *entry);

/* What the own rank is doing. Both return the phase before; a board of NULL is allowed. */
enum mu_phase mu_board_set_phase(struct mu_board *board, enum mu_phase phase);
/* Before a shrink: the roll of `epoch` is broken, and this rank has come to repair it. It is not
 * taken for hung while it waits there for others. Afterwards: mu_board_set_epoch with the new one,
 * mu_board_set_phase with what this returned, and mu_board_note_repaired when all is done. */
enum mu_phase mu_board_enter_repair(struct mu_board *board, uint32_t epoch);
void mu_board_note_repaired(struct mu_board *board);
void mu_board_set_epoch(struct mu_board *board, uint32_t epoch);
/* After each shard, with what it took this rank, waiting not counted: whoever is much slower than
 * the others is told of. */
void mu_board_note_shard(struct mu_board *board, uint64_t compute_ns);
/* The other ranks may work on something else, with shards of another size: from now on shards are
 * not noted, so that nobody is called slow for them. */
void mu_board_work_apart(struct mu_board *board);
enum mu_phase mu_board_phase(const struct mu_board_entry *entry);

/* What a look at an entry shows, without its process. */
struct mu_watch_view mu_board_view(const struct mu_board_entry *entry, int rank);
/* What /proc says of the entry's process. */
enum mu_process_state mu_board_process_state(const struct mu_board_entry *entry);

/* Before ending a rank: writes down that this one does, and why. false: another one has. */
bool mu_board_claim_fence(struct mu_board *board, const struct mu_watch_fence *fence);
/* It was not done: the process had gone already. */
void mu_board_withdraw_fence(struct mu_board *board, int rank);
/* "rank 3 stood still for 10.0 s in backward of step 812 and was ended by rank 0", into
 * out[capacity]; false: nobody has ended it. */
bool mu_board_tell_fence(const struct mu_board_entry *entry, int rank, char *out, size_t capacity);
/* What stands behind a dead rank's name: " (pid 42, last seen at: backward, step 812)", without the
 * step before there are any; nothing for NULL, a rank of another host. */
struct mu_board_text {
    char text[80];
};
struct mu_board_text mu_board_last_seen(const struct mu_board_entry *entry);

/* The name of a job's board, for shm_open: a file of MU_BOARD_RANKS entries. For the launcher,
 * which makes it before any rank does. */
void mu_board_name(const char *job, char name[MU_BOARD_NAME_MAX]);

/* Start time of a process as in /proc/PID/stat; 0: no such process, or only its zombie. */
uint64_t mu_board_process_start(uint32_t pid);
/* Whether a thread of that process can still write to memory that it shares with others: one that
 * has given up its memory cannot, though taking 3 GB of it apart takes the kernel half a second. */
bool mu_board_process_may_write(uint32_t pid, uint64_t start_time);
/* Kills that process and waits until it cannot write any more. MU_TIMEOUT, unreported. */
enum mu_status mu_board_end_process(uint32_t pid, uint64_t start_time,
                                    uint64_t deadline_ms) MU_CHECKED;

#endif
