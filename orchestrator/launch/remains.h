/* What generations leave lying about, and how it goes: the TMPDIR of each, MPI's files in /dev/shm,
 * and the segments of the run, which stay for the next generation until the run has ended. */
#ifndef MUSTER_LAUNCH_REMAINS_H
#define MUSTER_LAUNCH_REMAINS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* A folder for one generation's TMPDIR below the user's; below /tmp when that one's path is too
 * long for the sockets in it. */
enum mu_status mu_remains_make_folder(char out[64]) MU_CHECKED;
void mu_remains_remove_folder(const char *path); /* only one that looks as if made above */
/* Files in /dev/shm of this user's whose paths begin so ("": none), and those that ranks left there
 * which were killed while Open MPI tried whether there is shared memory. */
void mu_remains_remove_mpi_files(const char *prefix);

/* The segments of the run in that directory on this machine. */
enum { MU_REMAINS_SEGMENTS = 64 };
struct mu_segments {
    uint64_t run_key;
    int count;
    int fd[MU_REMAINS_SEGMENTS]; /* held: no other start takes them for lost */
    char name[MU_REMAINS_SEGMENTS][96];
};
void mu_segments_begin(struct mu_segments *s, const char *run); /* the plain path of the run */
/* Holds those that are there now; gives back the newest committed step in them, -1 without any. */
int64_t mu_segments_hold(struct mu_segments *s);
/* remove: the run has ended, or is given up. */
void mu_segments_end(struct mu_segments *s, bool remove);

#endif
