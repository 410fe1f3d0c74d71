/* The lease of a run: RUN/launch.lock, a short record in which the launcher that holds the run
 * says who it is, and a count that it moves on every second. Whoever sees the count stand still,
 * by its own CLOCK_MONOTONIC, knows that this launcher is dead, stopped or cut off:
 *
 *    5 s  the ranks of its generation end themselves, and so does the launcher's own work
 *   10 s  another launcher may take the run over
 *
 * Nobody compares clocks of two machines. The record is overwritten in place, since a lock
 * (flock) is held on the same file where the file system has locks; a reader that meets half of
 * a write sees a wrong checksum, and looks again. */
#ifndef MUSTER_WORKER_LEASE_H
#define MUSTER_WORKER_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

enum {
    MU_LEASE_BYTES = 1024,
    MU_LEASE_RENEW_MS = 1000,
    MU_LEASE_END_MS = 5000,
    MU_LEASE_TAKE_MS = 10000,
    MU_JOB_TOKEN_MAX = 40,
};
#define MU_LEASE_FILE "launch.lock"

struct mu_lease_record {
    uint64_t count;
    int64_t pid;         /* of the launcher; 0: nobody holds the run */
    uint64_t start_time; /* mu_board_process_start */
    char host[256];
    char launcher[MU_JOB_TOKEN_MAX]; /* unguessable: which launcher, whatever its pid */
    char job[MU_JOB_TOKEN_MAX];      /* MUSTER_JOB of the generation under way; "": none */
    int64_t mpirun;                  /* its pid; 0: none */
    uint64_t mpirun_start;
    char mpi_files[128]; /* how the files begin that MPI made in /dev/shm; "": not known */
    char folder[64];     /* the generation's TMPDIR; "": none */
};

/* MU_NOT_FOUND (not reported): there is no such file, or nothing whole in it. */
enum mu_status mu_lease_read(const char *path, struct mu_lease_record *out) MU_CHECKED;
/* Into an open file, at its begin. An error number. */
int mu_lease_write(int fd, const struct mu_lease_record *record);

/* How long a count has stood still, as far as the looks at it can tell. Pure. */
struct mu_lease_watch {
    uint64_t count, moved_ns;
    char launcher[MU_JOB_TOKEN_MAX];
    bool begun;
};
/* record NULL: it could not be read, which is no sign of life. */
uint64_t mu_lease_still_ms(struct mu_lease_watch *watch, const struct mu_lease_record *record,
                           uint64_t now_ns);

/* A rank that was started by a launcher whose run directory other machines can see
 * (MUSTER_LEASE, the path of the file): a thread that ends this process by SIGKILL when the
 * lease has run out or another generation has begun. Does nothing in any other process. Before
 * MPI_Init. */
enum mu_status mu_lease_bind_process(void) MU_CHECKED;

#endif
