/* A rank that died before it had written itself on the board (worker/board.h): nobody sees it dead
 * there, and MPI_Init waits for it. */
#ifndef MUSTER_WORKER_MISSING_RANK_H
#define MUSTER_WORKER_MISSING_RANK_H

#include <stdbool.h>

#include "worker/board.h"

/* Whether this host has fewer ranks than mpirun said: those on the board, dead ones too, and the
 * processes of mpirun's that may still come to it. mpirun may also be about to start one: ask again
 * half a second later. False where it cannot be told (ranks that a shell has started). Reads all of
 * /proc while the board has too few ranks. */
bool mu_rank_is_missing(const struct mu_board *board);

#endif
