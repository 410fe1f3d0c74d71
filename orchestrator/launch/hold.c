/* Two ways to know that the last holder is gone:
 *
 *   - it lived on this machine and its lock (flock) is free: at once
 *   - its count stood still for MU_LEASE_TAKE_MS
 *
 * Where other machines see the file and locks may not reach, two may come to this at the same time.
 * So whoever claims the run there waits CLAIM_MS and looks again: the last one that wrote has it
 * (Fischer's algorithm; a look and the write after it lie closer together than CLAIM_MS).
 *
 * A thread moves the count on, so that nothing the launcher waits for can hold it up; and once the
 * run is held, only that thread writes, so that a file server which is stuck does not hold up the
 * launcher: it waits for a word to be written until the run would not be its own any more. On a
 * shared file system the thread reads before it writes: a launcher that was stopped for long finds
 * another one's record and does not write over it. */
#include "orchestrator/launch/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/token.h"
#include "worker/board.h"

enum {
    LOOK_MS = 100,
    CLAIM_MS = 2000,
    LOCK_WAIT_MS = 500, /* a dead launcher's child holds the lock too, until it is mpirun */
};

struct mu_hold {
    char path[MU_PATH_MAX];
    int fd;
    bool is_locked, is_shared;
    pthread_t thread;
    pthread_mutex_t lock; /* of the following; not held while anything is read or written */
    pthread_cond_t changed;
    struct mu_lease_record record;
    uint64_t described, written; /* changes of the record, and how many of them the thread knows */
    bool is_over, has_ended;     /* the thread is to end, with a last write; it has */
    bool is_abandoned;           /* nobody waits for that any more: the thread frees all this */
    _Atomic uint64_t renewed_ns;
    _Atomic bool is_lost;
};

static void init_lock(struct mu_hold *h)
{
    pthread_condattr_t clock;

    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &clock);
    pthread_condattr_destroy(&clock);
}

static void discard(struct mu_hold *h)
{
    if (h->fd >= 0)
        close(h->fd);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Called with the lock. */
static void wait_for_change(struct mu_hold *h, struct mu_deadline until)
{
    struct timespec at = {.tv_sec = (time_t)(until.at_ns / 1000000000u),
                          .tv_nsec = (long)(until.at_ns % 1000000000u)};

    pthread_cond_timedwait(&h->changed, &h->lock, &at);
}

void mu_hold_machine(char out[256])
{
    char name[200] = "", boot[16] = "";
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

    gethostname(name, sizeof name - 1);
    if (f && !fgets(boot, 9, f))
        boot[0] = 0;
    if (f)
        fclose(f);
    snprintf(out, 256, "%s/%s", name, boot);
}

/* Known to be this machine's alone; anything else may be seen by others. */
static bool is_local(int fd)
{
    static const unsigned long types[] = {
        0xEF53 /* ext */,       0x58465342 /* xfs */,   0x9123683E /* btrfs */,
        0x01021994 /* tmpfs */, 0x858458F6 /* ramfs */, 0x794C7630 /* overlay */,
        0xF2F52010 /* f2fs */,  0x2FC12FC1 /* zfs */,
    };
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((unsigned long)fs.f_type == types[i])
            return true;
    return false;
}

static bool try_lock(struct mu_hold *h)
{
    if (!h->is_locked && !mu_fault(MU_FAULT_LOCK, 0))
        h->is_locked = flock(h->fd, LOCK_EX | LOCK_NB) == 0;
    return h->is_locked;
}

static enum mu_status refuse(const struct mu_hold *h, const struct mu_lease_record *r)
{
    char holder[320] = "it has only just begun";

    if (r->pid != 0)
        snprintf(holder, sizeof holder, "pid %" PRId64 " on %.*s", r->pid,
                 (int)strcspn(r->host, "/"), r->host);
    return MU_FAIL(MU_FAILED,
                   "another launcher has this run: %s (%s). Stop it (kill -TERM), or give this run "
                   "another name (run.name)",
                   holder, h->path);
}

/* Until nobody holds the run, as far as this process can know; then *previous is what stands in the
 * file. */
static enum mu_status wait_for_nobody(struct mu_hold *h, bool (*give_up)(void *), void *context,
                                      struct mu_lease_record *previous)
{
    struct mu_deadline lock_wait = mu_deadline_in_ms(LOCK_WAIT_MS);
    struct mu_lease_watch watch = {.begun = false};

    for (;; mu_clock_sleep_us(1000 * LOOK_MS)) {
        bool is_read = mu_lease_read(h->path, previous) == MU_OK, is_here, has_moved;
        bool is_first = !watch.begun;
        uint64_t count = watch.count;

        try_lock(h);
        is_here = strcmp(previous->host, h->record.host) == 0;
        if ((!is_read || previous->pid == 0) && (h->is_locked || h->is_shared))
            return MU_OK;
        if (h->is_locked && is_here)
            return MU_OK;
        has_moved = !is_first && is_read && previous->count != count;
        if (mu_lease_still_ms(&watch, is_read ? previous : NULL, mu_clock_ns()) >=
                MU_LEASE_TAKE_MS &&
            (h->is_locked || h->is_shared))
            return MU_OK;
        if (has_moved || (!h->is_shared && !h->is_locked && mu_deadline_passed(lock_wait)))
            return refuse(h, previous);
        if (give_up(context))
            return MU_REQUEUE;
        if (is_first && is_read && (h->is_locked || h->is_shared))
            mu_log(MU_LOG_INFO,
                   "the launcher of this run was pid %" PRId64
                   " on %.*s: taking over when it has been "
                   "silent for %d s",
                   previous->pid, (int)strcspn(previous->host, "/"), previous->host,
                   MU_LEASE_TAKE_MS / 1000);
    }
}

static int write_record(struct mu_hold *h)
{
    uint64_t now_ns = mu_clock_ns(); /* of before: the write may take long */
    struct mu_lease_record record;
    int error;

    pthread_mutex_lock(&h->lock);
    h->record.count++;
    record = h->record;
    pthread_mutex_unlock(&h->lock);
    error = mu_lease_write(h->fd, &record);
    if (error == 0 && h->is_shared && fdatasync(h->fd) != 0)
        error = errno;
    if (error == 0)
        atomic_store(&h->renewed_ns, now_ns);
    return error;
}

static bool is_mine(const struct mu_hold *h)
{
    struct mu_lease_record r;

    return mu_lease_read(h->path, &r) == MU_OK && strcmp(r.launcher, h->record.launcher) == 0;
}

/* The record is this launcher's from now on, or MU_FAILED: another one was quicker. */
static enum mu_status claim(struct mu_hold *h)
{
    int error = write_record(h);

    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", h->path, strerror(error));
    if (!h->is_shared)
        return MU_OK;
    mu_clock_sleep_us(1000 * CLAIM_MS);
    if (is_mine(h))
        return MU_OK;
    return MU_FAIL(MU_FAILED, "another launcher took this run in the same moment (%s)", h->path);
}

/* Not over another launcher's record; the last word is not even written over one that cannot be
 * read. */
static bool may_write(struct mu_hold *h, bool is_last)
{
    struct mu_lease_record r;
    bool is_read, is_own;

    if (!h->is_shared)
        return true;
    is_read = mu_lease_read(h->path, &r) == MU_OK;
    is_own = is_read && strcmp(r.launcher, h->record.launcher) == 0;
    if (is_read && !is_own)
        atomic_store(&h->is_lost, true);
    return !atomic_load(&h->is_lost) && (is_own || !is_last);
}

static void *renew(void *context)
{
    struct mu_hold *h = context;
    bool told = false, is_last = false, is_abandoned = false;

    while (!is_last) {
        struct mu_deadline next = mu_deadline_in_ms(MU_LEASE_RENEW_MS);
        uint64_t described;
        int error;

        pthread_mutex_lock(&h->lock);
        described = h->described;
        is_last = h->is_over;
        pthread_mutex_unlock(&h->lock);
        error = may_write(h, is_last) ? write_record(h) : 0;
        if (error != 0 && !told)
            mu_log(MU_LOG_WARN, "cannot write %s: %s", h->path, strerror(error));
        told = told || error != 0;
        pthread_mutex_lock(&h->lock);
        h->written = described;
        h->has_ended = is_last;
        is_abandoned = h->is_abandoned;
        pthread_cond_broadcast(&h->changed);
        while (!h->is_over && h->written == h->described && !mu_deadline_passed(next))
            wait_for_change(h, next);
        pthread_mutex_unlock(&h->lock);
    }
    if (is_abandoned)
        discard(h);
    return NULL;
}

static enum mu_status begin_renewal(struct mu_hold *h)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the first thread */
    error = pthread_create(&h->thread, NULL, renew, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? MU_OK : MU_FAIL(MU_FAILED, "cannot start a thread (error %d)", error);
}

enum mu_status mu_hold_take(const char *run, bool (*give_up)(void *context), void *context,
                            struct mu_lease_record *previous, struct mu_hold **out)
{
    struct mu_hold *h = calloc(1, sizeof *h);
    enum mu_status st;

    *out = NULL;
    if (!h)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the lock of a run");
    h->fd = -1;
    init_lock(h);
    MU_TRY(mu_path_format(h->path, "%s/%s", run, MU_LEASE_FILE), st, failed);
    MU_TRY(mu_token_make(h->record.launcher), st, failed);
    h->fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (h->fd < 0) {
        st = MU_FAIL(MU_FAILED, "cannot open %s: %s", h->path, strerror(errno));
        goto failed;
    }
    h->is_shared = mu_fault(MU_FAULT_LOCK, 0) || !is_local(h->fd);
    mu_hold_machine(h->record.host);
    h->record.pid = getpid();
    h->record.start_time = mu_board_process_start((uint32_t)getpid());
    MU_TRY(wait_for_nobody(h, give_up, context, previous), st, failed);
    h->record.count = previous->count;
    MU_TRY(claim(h), st, failed);
    MU_TRY(begin_renewal(h), st, failed);
    *out = h;
    return MU_OK;
failed:
    discard(h);
    return st;
}

void mu_hold_release(struct mu_hold *h)
{
    struct mu_deadline end = mu_deadline_in_ms(MU_LEASE_END_MS);
    char path[MU_PATH_MAX];
    bool has_ended;

    if (!h)
        return;
    memcpy(path, h->path, sizeof path);
    pthread_mutex_lock(&h->lock);
    h->record.pid = h->record.mpirun = 0;
    h->record.job[0] = h->record.mpi_files[0] = h->record.folder[0] = 0;
    h->is_over = true;
    pthread_cond_broadcast(&h->changed);
    while (!h->has_ended && !mu_deadline_passed(end))
        wait_for_change(h, end);
    has_ended = h->has_ended;
    h->is_abandoned = !has_ended;
    if (!has_ended)
        pthread_detach(h->thread);
    pthread_mutex_unlock(&h->lock);
    if (!has_ended) {
        mu_log(MU_LOG_WARN,
               "%s could not be written for %d s: is its file server stuck? The next launcher of "
               "this run has to wait until this one is known to be gone",
               path, MU_LEASE_END_MS / 1000);
        return;
    }
    pthread_join(h->thread, NULL);
    discard(h);
}

void mu_hold_describe(struct mu_hold *h, const struct mu_lease_record *generation)
{
    struct mu_deadline end = mu_deadline_in_ms(MU_LEASE_END_MS);
    uint64_t change;

    pthread_mutex_lock(&h->lock);
    memcpy(h->record.job, generation->job, sizeof h->record.job);
    memcpy(h->record.mpi_files, generation->mpi_files, sizeof h->record.mpi_files);
    memcpy(h->record.folder, generation->folder, sizeof h->record.folder);
    h->record.mpirun = generation->mpirun;
    h->record.mpirun_start = generation->mpirun_start;
    change = ++h->described;
    pthread_cond_broadcast(&h->changed);
    while (h->written < change && !mu_deadline_passed(end))
        wait_for_change(h, end);
    pthread_mutex_unlock(&h->lock);
}

/* Where nobody else can take the run, a full disk is no reason to end it. */
bool mu_hold_is_good(const struct mu_hold *h)
{
    return !h->is_shared ||
           (!atomic_load(&h->is_lost) &&
            mu_clock_ns() - atomic_load(&h->renewed_ns) < (uint64_t)MU_LEASE_END_MS * 1000000u);
}

bool mu_hold_is_shared(const struct mu_hold *h)
{
    return h->is_shared;
}

const char *mu_hold_path(const struct mu_hold *h)
{
    return h->path;
}

bool mu_hold_is_taken(const char *run)
{
    struct mu_deadline end = mu_deadline_in_ms(2 * MU_LEASE_RENEW_MS + 500);
    struct mu_lease_record first, now;
    char path[MU_PATH_MAX], machine[256];
    bool is_free = false;
    int fd;

    if (mu_path_format(path, "%s/%s", run, MU_LEASE_FILE) != MU_OK ||
        mu_lease_read(path, &first) != MU_OK || first.pid == 0)
        return false;
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        is_free = flock(fd, LOCK_SH | LOCK_NB) == 0;
        close(fd); /* and the lock with it */
    }
    mu_hold_machine(machine);
    if (!is_free)
        return true;
    if (strcmp(first.host, machine) == 0 && mu_board_process_start((uint32_t)first.pid) == 0)
        return false;
    while (!mu_deadline_passed(end)) {
        if (mu_lease_read(path, &now) == MU_OK && now.count != first.count)
            return now.pid != 0;
        mu_clock_sleep_us(1000 * LOOK_MS);
    }
    return false;
}
