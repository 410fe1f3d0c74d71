/* RUN/ranks.json: which process is which rank, for who wants to look into one (gdb -p, py-spy,
 * kill). Written by the master when the ranks begin and after each change of the roll; who is not
 * in it is dead, or has left. */
#ifndef MUSTER_STEER_RANKS_H
#define MUSTER_STEER_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"

struct mu_rank_row {
    int rank;            /* as mpirun counts them */
    uint32_t pid;        /* 0: unknown */
    uint64_t start_time; /* clock ticks since boot: with the pid, and on its host, which process */
    char host[64];
    bool is_worker, is_master;
};

/* `start`: of the ranks' start; rows of another one are of other processes. */
enum mu_status mu_ranks_write(const char *run, uint64_t start, const struct mu_rank_row *row,
                              uint32_t count) MU_CHECKED;
/* malloc'ed. MU_NOT_FOUND, unreported: there is no such file. start: NULL, or whose it is. */
enum mu_status mu_ranks_read(const char *run, uint64_t *start, struct mu_rank_row **row,
                             uint32_t *count) MU_CHECKED;
/* Of this host, as far as can be seen from here. */
bool mu_rank_is_here(const struct mu_rank_row *row);
bool mu_rank_lives(const struct mu_rank_row *row);

#endif
