/* What may take the system long and cannot be interrupted is done by a helper thread: fsync, and
 * giving back the room of a large file, which happens in the last close. Who leaves first, the
 * caller or the thread, says so in `state`; the other one closes and frees. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"

enum { SYNC_DEADLINE_MS = 600000 };
enum { WORKING, DONE, ABANDONED };

struct slow {
    int fd;
    bool syncs;
    int error; /* errno of fsync; 0: none */
    _Atomic int state;
};

static void release(struct slow *s)
{
    close(s->fd);
    free(s);
}

static void *work(void *argument)
{
    struct slow *s = argument;

    if (s->syncs && fsync(s->fd) != 0)
        s->error = errno;
    if (atomic_exchange(&s->state, DONE) == ABANDONED)
        release(s);
    return NULL;
}

/* Signals are for the other threads. Without a thread to be had it is done here and now. */
static void start(struct slow *s)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, work, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        work(s);
}

enum mu_status mu_file_sync_polling(const char *path, enum mu_status (*poll)(void *context),
                                    void *context)
{
    struct mu_deadline deadline = mu_deadline_in_ms(SYNC_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_status st = MU_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct slow *s = fd < 0 ? NULL : calloc(1, sizeof *s);

    if (!s) {
        st = MU_FAIL(MU_FAILED, "cannot open %s to sync it: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return st;
    }
    *s = (struct slow){.fd = fd, .syncs = true, .state = WORKING};
    start(s);
    while (st == MU_OK && atomic_load(&s->state) == WORKING) {
        st = poll(context);
        mu_backoff_pause(&pause);
        if (st == MU_OK && mu_deadline_passed(deadline))
            st = MU_FAIL(MU_FAILED, "the disk has not answered for %d s: cannot sync %s",
                         SYNC_DEADLINE_MS / 1000, path);
    }
    if (st != MU_OK && atomic_exchange(&s->state, ABANDONED) == WORKING)
        return st;
    if (st == MU_OK && s->error != 0)
        st = MU_FAIL(MU_FAILED, "cannot sync %s: %s", path, strerror(s->error));
    release(s);
    return st;
}

enum mu_status mu_file_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct slow *s = NULL;
    enum mu_status st = MU_OK;

    if (unlink(path) != 0 && errno != ENOENT)
        st = MU_FAIL(MU_FAILED, "cannot remove %s: %s", path, strerror(errno));
    else if (fd >= 0)
        s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct slow){.fd = fd, .state = ABANDONED};
        start(s);
    } else if (fd >= 0)
        close(fd);
    return st;
}
