/* The first communicator of the devices. The library tells every rank at another moment that it
 * cannot be, and some never: so the lowest place hears from each of them, waits for the first
 * failure or for all, and tells everybody the one verdict. Every rank sends exactly one message and
 * gets exactly one, whatever comes first, so that nothing is left open.
 *
 *   place r --formed, or why not--> place 0 --verdict--> place r
 *
 * A death ends it anywhere, as all waits before training: those who live begin again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/disk.h"
#include "orchestrator/base/log.h"
#include "worker/resident.h"
#include "worker/worker.h"

enum {
    HANG_TIMEOUTS = 4,      /* the deadline; run.hang_timeout is for a rank that stands still */
    DEATH_NEWS_MS = 2000,   /* a death often is the reason, and comes by MPI a little later */
    PARTING_MS = 20000,     /* for messages that are on their way */
    LITTLE_SHM = 128 << 20, /* bytes left in /dev/shm: NCCL takes some 10 MiB a pair of ranks */
};

struct mu_forming {
    struct mu_collective_id id;
    struct mu_formed own, verdict;
    struct mu_request sent, told;
    bool is_over; /* own stands */
    bool has_sent;
    uint32_t heard;
    /* Of the lowest place, one for each other one. */
    struct peer {
        struct mu_formed says;
        struct mu_request heard, told;
        bool is_heard;
    } peer[];
};

bool mu_resident_needs_peers(const struct mu_worker *w)
{
    return w->resident.state && w->roll->size > 1;
}

/* What was given up stays MPI's, and is left to it. */
void mu_resident_forget_forming(struct mu_worker *w)
{
    struct mu_forming *f = w->resident.forming;
    bool is_open = f && (f->sent.handle || f->told.handle);

    for (uint32_t r = 1; f && w->place == 0 && r < w->roll->size; r++)
        is_open = is_open || f->peer[r].heard.handle || f->peer[r].told.handle;
    if (!is_open)
        free(f);
    w->resident.forming = NULL;
}

enum mu_status mu_resident_name_peers(struct mu_worker *w)
{
    struct mu_forming *f = calloc(1, sizeof *f + w->roll->size * sizeof *f->peer);

    w->resident.forming = f;
    if (!f)
        return MU_FAIL(MU_NO_MEMORY, "no memory to form a communicator of %u GPUs", w->roll->size);
    return w->place == 0 ? w->device->ops->collective->make_id(w->device, &f->id) : MU_OK;
}

/* ---- what to look at ----------------------------------------------------------------------- */

static double shm_left(void)
{
    struct mu_disk shm;

    return mu_disk_look("/dev/shm", &shm) == 0 ? (double)shm.free_bytes : -1;
}

static bool says(const char *words, const char *what)
{
    for (; *words; words++)
        if (strncasecmp(words, what, strlen(what)) == 0)
            return true;
    return false;
}

static const char *advice(enum mu_status st, const char *words)
{
    if (says(words, "/dev/shm has"))
        return "give its container a larger /dev/shm (docker run --shm-size, or --ipc=host)";
    if (says(words, "out of memory"))
        return "leave NCCL more of the GPU's memory: smaller batches, or device.recompute";
    if (says(words, "version"))
        return "all hosts must have the same NCCL";
    if (st == MU_CONFIG)
        return "one GPU for each rank, or device.collective = \"mpi\"";
    if (says(words, "cuda error"))
        return "look at the GPU (`nvidia-smi`, `dmesg`) and its driver";
    return "look at the network that NCCL takes (NCCL_SOCKET_IFNAME and NCCL_IB_HCA name it; "
           "firewalls between the hosts)";
}

/* One that hangs has no words: it is named where it has not been heard. */
static void put_words(struct mu_formed *own, enum mu_status st, uint32_t rank, const char *words)
{
    const double left = shm_left();

    own->status = (uint32_t)st;
    own->rank = rank;
    if (st == MU_OK)
        return;
    snprintf(own->words, sizeof own->words, "%.400s", words);
    if (left >= 0 && left < LITTLE_SHM)
        snprintf(own->words + strlen(own->words), sizeof own->words - strlen(own->words),
                 "; /dev/shm has %.0f MiB left", left / (1 << 20));
}

static enum mu_status tell(const struct mu_formed *why)
{
    const enum mu_status st = (enum mu_status)why->status == MU_CONFIG ? MU_CONFIG : MU_FAILED;

    return MU_FAIL(
        st, "rank %u: %s. Nothing was trained: %s. NCCL_DEBUG=INFO shows what NCCL was doing",
        why->rank, why->words, advice(st, why->words));
}

/* ---- the messages --------------------------------------------------------------------------- */

static enum mu_status send_formed(struct mu_worker *w, const struct mu_formed *what, uint32_t to,
                                  int tag, struct mu_request *request)
{
    return mu_poller_take(w->poller,
                          mu_comm_send(w->comm, what, sizeof *what, (int)to, tag, request));
}

static enum mu_status receive_formed(struct mu_worker *w, struct mu_formed *what, uint32_t from,
                                     int tag, struct mu_request *request)
{
    return mu_poller_take(w->poller,
                          mu_comm_receive(w->comm, what, sizeof *what, (int)from, tag, request));
}

static void put_own(struct mu_worker *w, enum mu_status st, const char *words)
{
    struct mu_forming *f = w->resident.forming;

    put_words(&f->own, st, (uint32_t)mu_comm_name(w->comm, (int)w->place), words);
    f->is_over = true;
}

/* This rank's own communicator. A rank whose GPU breaks leaves, for the others to go on. */
static enum mu_status look(struct mu_worker *w)
{
    const struct mu_collective_ops *op = w->device->ops->collective;
    bool done = false;
    enum mu_status st = MU_OK;

    if (!w->resident.forming->is_over)
        st = op->poll(w->resident.peers, &done);
    if (st != MU_OK || done)
        put_own(w, st, op->words(w->resident.peers));
    if (w->device->broken && w->device->status == MU_FAILED)
        return MU_FAILED;
    return mu_poll(w->poller);
}

/* ---- the lowest place ------------------------------------------------------------------------ */

static enum mu_status hear(struct mu_worker *w)
{
    struct mu_forming *f = w->resident.forming;
    enum mu_status st = MU_OK;

    for (uint32_t r = 1; r < w->roll->size && st == MU_OK; r++) {
        struct peer *p = &f->peer[r];

        if (p->is_heard)
            continue;
        st = mu_poller_take(w->poller, mu_comm_test(w->comm, &p->heard, &p->is_heard, NULL));
        if (st != MU_OK || !p->is_heard)
            continue;
        f->heard++;
        if (p->says.status != MU_OK && f->verdict.status == MU_OK)
            f->verdict = p->says;
    }
    return st;
}

/* Nobody has failed, and some have not been heard in time. */
static void name_missing(struct mu_worker *w, uint64_t deadline_ms)
{
    struct mu_forming *f = w->resident.forming;
    uint32_t r = 0;
    char words[128];

    while (r + 1 < w->roll->size && (r == 0 ? f->is_over : f->peer[r].is_heard))
        r++;
    snprintf(words, sizeof words, "NCCL has not formed a communicator of %u GPUs within %.0f s",
             w->roll->size, 1e-3 * (double)deadline_ms);
    put_words(&f->verdict, MU_FAILED, (uint32_t)mu_comm_name(w->comm, (int)r), words);
}

static enum mu_status await_all(struct mu_worker *w, uint64_t deadline_ms)
{
    struct mu_forming *f = w->resident.forming;
    const struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);
    struct mu_backoff pause = {0};
    enum mu_status st;

    while (!f->is_over || f->heard + 1 < w->roll->size) {
        MU_TRY(look(w), st, failed);
        MU_TRY(hear(w), st, failed);
        if (f->own.status != MU_OK)
            f->verdict = f->own;
        if (f->verdict.status == MU_OK && mu_deadline_passed(deadline))
            name_missing(w, deadline_ms);
        if (f->verdict.status != MU_OK)
            break;
        mu_backoff_pause(&pause);
    }
    st = f->verdict.status == MU_OK ? MU_OK : mu_resident_listen(w, DEATH_NEWS_MS);
failed:
    return st;
}

static enum mu_status lead(struct mu_worker *w, uint64_t deadline_ms)
{
    struct mu_forming *f = w->resident.forming;
    struct mu_deadline deadline;
    enum mu_status st = MU_OK;

    for (uint32_t r = 1; r < w->roll->size; r++)
        MU_TRY(receive_formed(w, &f->peer[r].says, r, MU_TAG_FORMED, &f->peer[r].heard), st,
               failed);
    MU_TRY(await_all(w, deadline_ms), st, failed);
    for (uint32_t r = 1; r < w->roll->size; r++)
        MU_TRY(send_formed(w, &f->verdict, r, MU_TAG_FORMED_VERDICT, &f->peer[r].told), st, failed);
    deadline = mu_deadline_in_ms(PARTING_MS);
    for (uint32_t r = 1; r < w->roll->size; r++) {
        MU_TRY(mu_poller_complete(w->poller, &f->peer[r].told, deadline, NULL), st, failed);
        MU_TRY(mu_poller_complete(w->poller, &f->peer[r].heard, deadline, NULL), st, failed);
    }
    if (f->verdict.status != MU_OK)
        st = tell(&f->verdict);
failed:
    return st;
}

/* ---- the others ------------------------------------------------------------------------------ */

static enum mu_status follow(struct mu_worker *w, uint64_t deadline_ms)
{
    struct mu_forming *f = w->resident.forming;
    struct mu_deadline deadline =
        mu_deadline_in_ms(deadline_ms + DEATH_NEWS_MS + PARTING_MS); /* the verdict comes before */
    struct mu_backoff pause = {0};
    bool told = false;
    enum mu_status st;

    MU_TRY(receive_formed(w, &f->verdict, 0, MU_TAG_FORMED_VERDICT, &f->told), st, failed);
    while (!told || !f->has_sent) {
        MU_TRY(look(w), st, failed);
        if (!told)
            MU_TRY(mu_poller_take(w->poller, mu_comm_test(w->comm, &f->told, &told, NULL)), st,
                   failed);
        if ((f->is_over || told) && !f->has_sent) {
            MU_TRY(send_formed(w, &f->own, 0, MU_TAG_FORMED, &f->sent), st, failed);
            f->has_sent = true;
        }
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "the lowest rank did not tell whether NCCL can be used");
        mu_backoff_pause(&pause);
    }
    MU_TRY(mu_poller_complete(w->poller, &f->sent, deadline, NULL), st, failed);
    if (f->verdict.status != MU_OK) /* which is told there */
        st = f->verdict.status == MU_CONFIG ? MU_CONFIG : MU_FAILED;
failed:
    return st;
}

enum mu_status mu_resident_form_peers(struct mu_worker *w)
{
    const uint64_t deadline_ms = 1000 * HANG_TIMEOUTS * (uint64_t)w->settings->run_hang_timeout;
    struct mu_worker_resident *r = &w->resident;
    enum mu_status st;

    MU_TRY(mu_resident_share_id(w, &r->forming->id), st, failed);
    st = w->device->ops->collective->open(w->device, &r->forming->id, (int)w->place,
                                          (int)w->roll->size, &r->peers);
    if (st != MU_OK)
        put_own(w, st, "it has no memory for a communicator");
    r->epoch = w->roll->epoch;
    mu_log(MU_LOG_DEBUG, "NCCL forms a communicator of %u GPUs", w->roll->size);
    st = w->place == 0 ? lead(w, deadline_ms) : follow(w, deadline_ms);
failed:
    if (st == MU_OK)
        mu_resident_forget_forming(w);
    return st;
}
