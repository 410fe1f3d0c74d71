/* fsync may take seconds and cannot be interrupted: a helper thread waits for it. Who leaves first,
 * the caller or the thread, says so in `state`; the other one frees. */
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

struct sync {
    int fd, error; /* error: errno of fsync; 0: none */
    _Atomic int state;
};

static void release(struct sync *s)
{
    close(s->fd);
    free(s);
}

static void *work(void *argument)
{
    struct sync *s = argument;

    if (fsync(s->fd) != 0)
        s->error = errno;
    if (atomic_exchange(&s->state, DONE) == ABANDONED)
        release(s);
    return NULL;
}

/* Signals are for the other threads. 0, or errno. */
static int start(struct sync *s)
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
    return error;
}

enum mu_status mu_file_sync_polling(const char *path, enum mu_status (*poll)(void *context),
                                    void *context)
{
    struct mu_deadline deadline = mu_deadline_in_ms(SYNC_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_status st = MU_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct sync *s = fd < 0 ? NULL : calloc(1, sizeof *s);

    if (!s) {
        st = MU_FAIL(MU_FAILED, "cannot open %s to sync it: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return st;
    }
    s->fd = fd;
    if (start(s) != 0)
        work(s); /* no thread to be had: without polls */
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
