/* The record is text, a line a field, so that a person can read who holds a run:
 *
 *   muster-lease 1 CHECKSUM
 *   count 17
 *   pid 4711 start 123456
 *   ...
 *
 * padded with spaces to one size: a write never changes the length of the file, and needs no
 * room on a full disk. */
#include "worker/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"

enum { HEAD_BYTES = 32, LOOK_MS = 500 };

#define HEAD "muster-lease 1 "

static uint64_t checksum(const char *text)
{
    return mu_hash_bytes(text + HEAD_BYTES, MU_LEASE_BYTES - HEAD_BYTES, 0).low;
}

int mu_lease_write(int fd, const struct mu_lease_record *r)
{
    char text[MU_LEASE_BYTES + 1], head[HEAD_BYTES + 1];
    int n;

    n = snprintf(text + HEAD_BYTES, sizeof text - HEAD_BYTES,
                 "count %" PRIu64 "\npid %" PRId64 " start %" PRIu64
                 "\nhost %s\nlauncher %s\njob %s\nmpirun %" PRId64 " start %" PRIu64
                 "\nmpi-files %s\nfolder %s\n",
                 r->count, r->pid, r->start_time, r->host, r->launcher, r->job, r->mpirun,
                 r->mpirun_start, r->mpi_files, r->folder);
    memset(text + HEAD_BYTES + n, ' ', (size_t)(MU_LEASE_BYTES - HEAD_BYTES - n));
    text[MU_LEASE_BYTES - 1] = '\n';
    snprintf(head, sizeof head, HEAD "%016" PRIx64 "\n", checksum(text));
    memcpy(text, head, HEAD_BYTES);
    if (pwrite(fd, text, MU_LEASE_BYTES, 0) == MU_LEASE_BYTES)
        return 0;
    return errno ? errno : ENOSPC;
}

/* The rest of the line that begins with `name`, which may be empty. */
static void get_text(const char *text, const char *name, char *out, size_t capacity)
{
    const char *at = strstr(text, name);
    size_t length;

    out[0] = 0;
    if (!at)
        return;
    at += strlen(name);
    length = strcspn(at, "\n");
    length = length < capacity ? length : capacity - 1;
    memcpy(out, at, length);
    out[length] = 0;
}

static bool parse(const char *text, struct mu_lease_record *r)
{
    uint64_t sum = 0;
    char line[128];

    memset(r, 0, sizeof *r);
    if (sscanf(text, HEAD "%16" SCNx64, &sum) != 1 || sum != checksum(text))
        return false;
    get_text(text, "\ncount ", line, sizeof line);
    r->count = strtoull(line, NULL, 10);
    get_text(text, "\npid ", line, sizeof line);
    if (sscanf(line, "%" SCNd64 " start %" SCNu64, &r->pid, &r->start_time) != 2)
        return false;
    get_text(text, "\nmpirun ", line, sizeof line);
    if (sscanf(line, "%" SCNd64 " start %" SCNu64, &r->mpirun, &r->mpirun_start) != 2)
        return false;
    get_text(text, "\nhost ", r->host, sizeof r->host);
    get_text(text, "\nlauncher ", r->launcher, sizeof r->launcher);
    get_text(text, "\njob ", r->job, sizeof r->job);
    get_text(text, "\nmpi-files ", r->mpi_files, sizeof r->mpi_files);
    get_text(text, "\nfolder ", r->folder, sizeof r->folder);
    return true;
}

enum mu_status mu_lease_read(const char *path, struct mu_lease_record *out)
{
    char text[MU_LEASE_BYTES + 1];
    /* anew each time: on NFS that brings what is new */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n;

    memset(out, 0, sizeof *out);
    if (fd < 0)
        return MU_NOT_FOUND;
    n = pread(fd, text, MU_LEASE_BYTES, 0);
    close(fd);
    if (n != MU_LEASE_BYTES)
        return MU_NOT_FOUND;
    text[MU_LEASE_BYTES] = 0;
    return parse(text, out) ? MU_OK : MU_NOT_FOUND;
}

uint64_t mu_lease_still_ms(struct mu_lease_watch *w, const struct mu_lease_record *r,
                           uint64_t now_ns)
{
    if (!w->begun || (r && (r->count != w->count || strcmp(r->launcher, w->launcher) != 0))) {
        w->begun = true;
        w->moved_ns = now_ns;
        w->count = r ? r->count : 0;
        memcpy(w->launcher, r ? r->launcher : "", r ? sizeof w->launcher : 1);
    }
    return (now_ns - w->moved_ns) / 1000000u;
}

/* ---- in a rank ---- */
static struct {
    const char *path, *job;
} bound;

static void *watch(void *context)
{
    struct mu_lease_watch w = {.begun = false};

    (void)context;
    for (;;) {
        struct mu_lease_record r;
        bool is_read = mu_lease_read(bound.path, &r) == MU_OK;
        uint64_t still_ms = mu_lease_still_ms(&w, is_read ? &r : NULL, mu_clock_ns());

        if (is_read && strcmp(r.job, bound.job) != 0) {
            mu_log(MU_LOG_ERROR, "the generation that this rank belongs to is over: it ends");
            raise(SIGKILL);
        }
        if (still_ms >= MU_LEASE_END_MS) {
            mu_log(MU_LOG_ERROR,
                   "nothing was heard of the launcher for %d s (%s): this rank ends, since another "
                   "one may take the run over soon",
                   MU_LEASE_END_MS / 1000, bound.path);
            raise(SIGKILL);
        }
        mu_clock_sleep_us(1000 * LOOK_MS);
    }
    return NULL;
}

enum mu_status mu_lease_bind_process(void)
{
    sigset_t all, before;
    pthread_t thread;
    int error;

    bound.path = getenv("MUSTER_LEASE");
    bound.job = mu_started_by_launch();
    if (!bound.path || !*bound.path || !bound.job || !getenv("PMIX_RANK"))
        return MU_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the first thread */
    error = pthread_create(&thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot start a thread (error %d)", error);
    pthread_detach(thread);
    return MU_OK;
}
