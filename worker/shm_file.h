/* Files of this user's in shared memory, /dev/shm/muster-UID-*: boards and segments. Made 0600,
 * never through a symbolic link, owner checked.
 *
 * Whoever uses one holds a shared lock on it, from before it is of use to anybody until its process
 * ends, however it ends. So a file that nobody holds was left by processes that were all killed,
 * and may be removed by anyone. Names are for shm_open: they begin with '/'. */
#ifndef MUSTER_WORKER_SHM_FILE_H
#define MUSTER_WORKER_SHM_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* Opens it for reading and writing, makes it when flags has O_CREAT (O_EXCL: only then), and
 * takes the lock: the file still has its name then. Functions that return int give 0 or an
 * error number. */
int mu_shm_file_open(const char *name, int flags, int *fd);
/* Takes the memory now: a full tmpfs kills by SIGBUS later. */
int mu_shm_file_reserve(int fd, uint64_t bytes);
/* Is the file of this name the one that is open here? */
bool mu_shm_file_is_named(const char *name, int fd);
/* Removes the name if it is this file's, and not one's that was put in its place. */
void mu_shm_file_unlink(const char *name, int fd);
/* The same if nobody else holds the file. Gives the lock up in any case. */
void mu_shm_file_unlink_unheld(const char *name, int fd);
/* Every file of this user's that nobody holds, whose name begins so after /muster-UID- and ends so
 * ("": any), but for those whose whole name begins as `except` (NULL: none). */
void mu_shm_file_remove_stale(const char *beginning, const char *ending, const char *except);

#endif
