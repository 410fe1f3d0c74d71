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

/* The segments of the run in that directory on this machine; of a sweep, of all of its trials. */
enum { MU_REMAINS_SEGMENTS = 512 };
struct mu_segments {
    char beginning[64]; /* of their names */
    bool is_sweep;
    int count;
    int fd[MU_REMAINS_SEGMENTS]; /* held: no other start takes them for lost */
    char name[MU_REMAINS_SEGMENTS][96];
};
/* run: its plain path, or the sweep's. */
void mu_segments_begin(struct mu_segments *s, const char *run, bool is_sweep);
/* Holds those that are there now; gives back the newest committed step in them, -1 without any. */
int64_t mu_segments_hold(struct mu_segments *s);
/* The committed step of one that is held, -1 without any; and whose it is: the low half of the
 * trial's key (mu_segment_trial_key), 0 of a run. */
int64_t mu_segments_step(const struct mu_segments *s, int index, uint32_t *trial);
/* remove: the run has ended, or is given up. */
void mu_segments_end(struct mu_segments *s, bool remove);

#endif
