/* The lock is flock's: it belongs to what was opened, and the kernel takes it back with the last
 * descriptor. Between opening a file and locking it, somebody may find it unheld and remove it:
 * whoever has the lock looks whether the file still has its name, and begins again when not. */
#include "worker/shm_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"

enum { TRIES = 1000 };

static int lock_shared(int fd)
{
    int error;

    do
        error = flock(fd, LOCK_SH) == 0 ? 0 : errno; /* who removes it holds it for a moment */
    while (error == EINTR);
    return error;
}

int mu_shm_file_open(const char *name, int flags, int *fd)
{
    for (int i = 0; i < TRIES; i++) {
        struct stat s;
        int error;

        *fd = shm_open(name, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (*fd < 0)
            return errno;
        if (fstat(*fd, &s) != 0)
            error = errno;
        else
            error = s.st_uid == geteuid() ? lock_shared(*fd) : EPERM;
        if (error == 0 && mu_shm_file_is_named(name, *fd))
            return 0;
        close(*fd);
        *fd = -1;
        if (error != 0)
            return error;
    }
    return ESTALE;
}

int mu_shm_file_reserve(int fd, uint64_t bytes)
{
    int error;

    do /* a signal that asks for a checkpoint may come meanwhile */
        error = posix_fallocate(fd, 0, (off_t)bytes);
    while (error == EINTR);
    return error;
}

bool mu_shm_file_is_named(const char *name, int fd)
{
    struct stat here, named;
    char path[128];

    snprintf(path, sizeof path, "/dev/shm%s", name);
    return fstat(fd, &here) == 0 && lstat(path, &named) == 0 && here.st_ino == named.st_ino &&
           here.st_dev == named.st_dev;
}

void mu_shm_file_unlink(const char *name, int fd)
{
    if (mu_shm_file_is_named(name, fd))
        shm_unlink(name);
}

void mu_shm_file_unlink_unheld(const char *name, int fd)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        mu_shm_file_unlink(name, fd);
    flock(fd, LOCK_UN);
}

static void remove_if_stale(const char *name)
{
    struct stat s;
    int fd = shm_open(name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (fstat(fd, &s) == 0 && s.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        mu_shm_file_is_named(name, fd) && shm_unlink(name) == 0)
        mu_log(MU_LOG_DEBUG, "removed /dev/shm%s, left by ranks that are dead", name);
    close(fd);
}

void mu_shm_file_remove_stale(const char *beginning, const char *ending, const char *except)
{
    char prefix[64], name[96];
    struct dirent *file;
    DIR *folder = opendir("/dev/shm");

    snprintf(prefix, sizeof prefix, "muster-%u-%.32s", (unsigned)geteuid(), beginning);
    while (folder && (file = readdir(folder))) {
        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0 ||
            !mu_path_ends_in(file->d_name, ending) ||
            (size_t)snprintf(name, sizeof name, "/%s", file->d_name) >= sizeof name)
            continue;
        if (except == NULL || strncmp(name, except, strlen(except)) != 0)
            remove_if_stale(name);
    }
    if (folder)
        closedir(folder);
}
