/* What a worker's device does together with the other ranks' (resident.h): one communicator an
 * epoch, and waits that end with the news of a death. The first one is formed apart, before
 * training: resident_form.c. */
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/resident.h"
#include "worker/worker.h"

enum {
    NEWS_DEADLINE_MS = 5000,   /* a collective has failed: by then a death is known to MPI */
    MOST_RETRIES = 2,          /* of a reduction, when nobody has died */
    ABORT_DEADLINE_MS = 10000, /* below run.hang_timeout's default: this rank says why itself */
};

/* This process cannot go on with a library that does not come back; the others can without it. */
void mu_resident_drop_peers(struct mu_worker *w)
{
    struct mu_worker_resident *r = &w->resident;

    if (r->peers && w->device->ops->collective->abort(r->peers, ABORT_DEADLINE_MS) != MU_OK) {
        mu_log(MU_LOG_ERROR, "this rank ends, the others go on");
        mu_comm_die();
    }
    r->peers = NULL;
    r->buckets.begun = 0;
    r->buckets.failed = MU_OK;
}

/* Polls until it hears of a death or a revocation; MU_OK: nobody has told of one. */
enum mu_status mu_resident_listen(struct mu_worker *w, uint64_t deadline_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);
    struct mu_backoff pause = {0};
    enum mu_status st = MU_OK;

    while (st == MU_OK && !mu_deadline_passed(deadline)) {
        st = mu_poll(w->poller);
        mu_backoff_pause(&pause);
    }
    return st;
}

/* A collective has failed by itself. Most often since a rank died, which MPI will say. Else all are
 * called to a repair in which nobody is missing: its epoch has a communicator of its own. A rank
 * whose collectives go on failing leaves. */
enum mu_status mu_resident_wait_for_news(struct mu_worker *w, enum mu_status failed)
{
    enum mu_status st = mu_device_status(w->device);

    if (st == MU_OK)
        st = mu_resident_listen(w, NEWS_DEADLINE_MS);
    if (st != MU_OK)
        return st;
    if (w->poller->repair && failed != MU_CONFIG && w->resident.retries < MOST_RETRIES) {
        w->resident.retries++;
        mu_log(MU_LOG_WARN, "no rank has died: all form a new communicator of NCCL (%u of %d)",
               w->resident.retries, MOST_RETRIES);
        mu_comm_revoke(w->comm);
        st = mu_resident_listen(w, NEWS_DEADLINE_MS);
    }
    if (st != MU_OK)
        return st;
    return failed == MU_PEER_LOST
               ? MU_FAIL(MU_FAILED,
                         "NCCL has lost a rank that MPI still sees: is the network of NCCL "
                         "(NCCL_SOCKET_IFNAME, NCCL_IB_HCA) broken?")
               : failed;
}

/* Of a communicator that does not form the library's words have not been told. */
static enum mu_status tell(struct mu_worker *w, enum mu_status failed)
{
    const char *words = w->device->ops->collective->words(w->resident.peers);

    if (*words)
        mu_log(MU_LOG_ERROR, "%s", words);
    return mu_resident_wait_for_news(w, failed);
}

/* Until what was begun with the peers is done. */
static enum mu_status look_for_peers(struct mu_worker *w, const char *what)
{
    struct mu_deadline deadline = mu_deadline_in_ms(MU_EXCHANGE_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_status st;
    bool done = false;

    for (;;) {
        st = w->device->ops->collective->poll(w->resident.peers, &done);
        if (st != MU_OK)
            return tell(w, st);
        if (done)
            return MU_OK;
        MU_TRY(mu_poll(w->poller), st, failed);
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "%s did not end within %d s", what,
                           MU_EXCHANGE_DEADLINE_MS / 1000);
        mu_backoff_pause(&pause);
    }
failed:
    return st;
}

static enum mu_status wait_for_peers(struct mu_worker *w, const char *what)
{
    enum mu_status st;

    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_COMMUNICATE);
    st = look_for_peers(w, what);
    mu_timed_leave(mu_worker_timed(w));
    return st;
}

enum mu_status mu_resident_share_id(struct mu_worker *w, struct mu_collective_id *id)
{
    struct mu_deadline deadline = mu_deadline_in_ms(MU_EXCHANGE_DEADLINE_MS);
    struct mu_request request;
    enum mu_status st = MU_OK;

    for (uint32_t to = 1; to < w->roll->size; to++) {
        if (w->place != 0 && w->place != to)
            continue;
        request.handle = NULL;
        st = w->place == 0
                 ? mu_comm_send(w->comm, id, sizeof *id, (int)to, MU_TAG_COLLECTIVE_ID, &request)
                 : mu_comm_receive(w->comm, id, sizeof *id, 0, MU_TAG_COLLECTIVE_ID, &request);
        MU_TRY(mu_poller_take(w->poller, st), st, failed);
        MU_TRY(mu_poller_complete(w->poller, &request, deadline, NULL), st, failed);
    }
failed:
    return st;
}

/* The communicator of this epoch. */
enum mu_status mu_resident_meet_peers(struct mu_worker *w)
{
    struct mu_worker_resident *r = &w->resident;
    struct mu_collective_id id;
    enum mu_status st = MU_OK;

    if (r->peers && r->epoch == w->roll->epoch)
        return MU_OK;
    mu_resident_drop_peers(w);
    MU_TRY(mu_poll(w->poller), st, failed); /* that polled: nothing is sent by a void roll */
    if (w->roll->size == 1)
        return MU_OK;
    if (w->place == 0)
        MU_TRY(w->device->ops->collective->make_id(w->device, &id), st, failed);
    MU_TRY(mu_resident_share_id(w, &id), st, failed);
    r->epoch = w->roll->epoch;
    MU_TRY(w->device->ops->collective->open(w->device, &id, (int)w->place, (int)w->roll->size,
                                            &r->peers),
           st, failed);
    st = wait_for_peers(w, "forming a communicator of the devices");
failed:
    return st;
}

static size_t bytes_of(const struct mu_all_reduce *a)
{
    static const size_t element[] = {[MU_SUM_INT32] = 4, [MU_SUM_INT64] = 8, [MU_MAX_UINT8] = 1};

    return a->count * element[a->kind];
}

enum mu_status mu_resident_all_reduce(struct mu_worker *w, const struct mu_all_reduce *list,
                                      int count)
{
    enum mu_status st = MU_OK;

    for (int i = 0; i < count && w->roll->size == 1; i++)
        if (list[i].to != list[i].from)
            mu_device_copy(w->device, list[i].to, list[i].from, bytes_of(&list[i]));
    if (w->roll->size == 1)
        return mu_poll(w->poller);
    MU_TRY(mu_device_status(w->device), st, failed);
    st = w->device->ops->collective->all_reduce(w->resident.peers, list, count);
    if (st != MU_OK)
        return mu_resident_wait_for_news(w, st);
    mu_fault(MU_FAULT_REDUCE, mu_segment_step(w->segment));
    st = wait_for_peers(w, "the all-reduce of the devices");
failed:
    return st;
}

enum mu_status mu_resident_move(struct mu_worker *w, const struct mu_move *list, int count,
                                enum mu_fault_point at)
{
    enum mu_status st;

    MU_TRY(mu_poll(w->poller), st, failed); /* from here on the roll is the one of the list */
    for (int i = 0; i < count && w->roll->size == 1; i++)
        if (list[i].to != list[i].from)
            mu_device_copy(w->device, list[i].to, list[i].from, list[i].count * sizeof(float));
    if (w->roll->size == 1)
        return mu_device_status(w->device);
    MU_TRY(mu_device_status(w->device), st, failed);
    st = w->device->ops->collective->move(w->resident.peers, list, count);
    if (st != MU_OK)
        return mu_resident_wait_for_news(w, st);
    mu_fault(at, mu_segment_step(w->segment));
    st = wait_for_peers(w, "a move between the devices");
failed:
    return st;
}
