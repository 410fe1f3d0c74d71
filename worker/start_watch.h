/* A rank that dies while the others are in MPI_Init leaves them there for ever: MPI cannot tell
 * them yet. So a thread looks at the board meanwhile and ends this process when another one of this
 * host is dead, or when MPI_Init takes longer than any start should (the dead rank may be on
 * another host). One rank says why. Between begin and end the board belongs to the thread. */
#ifndef MUSTER_WORKER_START_WATCH_H
#define MUSTER_WORKER_START_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "worker/board.h"

struct mu_start_watch {
    struct mu_board *board;
    pthread_t thread;
    atomic_bool over;
};

enum mu_status mu_start_watch_begin(struct mu_start_watch *w, struct mu_board *board) MU_CHECKED;
void mu_start_watch_end(struct mu_start_watch *w);

#endif
