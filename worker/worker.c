/* A worker from its making to its end, and how it waits. A wait cannot be bounded by what a step
 * should take, as slow ranks are lawful: it goes on while any other rank of the host still polls,
 * by the board. */
#include "worker/worker.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

enum {
    STANDSTILL_MS = 60000, /* nobody on this host has polled for so long: a wait is given up */
    LONGEST_MS = 3600000,  /* whatever the others do: a step on one rank may take minutes */
    LOOK_MS = 500,         /* between two looks at the board while waiting */
};

void mu_worker_adopt(struct mu_worker *w, const struct mu_recovery_plan *plan)
{
    w->plan = plan;
    w->place = (uint32_t)mu_comm_rank(w->comm);
    w->host = w->roll->host_of[w->place];
    w->local_index = mu_roll_local_index(w->roll, w->place);
    w->local_count = w->roll->host[w->host].count;
    /* Spares have taken the places as long as there were any. */
    w->crew = mu_recovery_crew(w->roll->size, 0, w->crew.count, mu_worker_is_dedicated(w));
}

static enum mu_status name_fleet(struct mu_worker *w)
{
    uint32_t size = w->roll->size, *name = calloc(size, sizeof *name);
    enum mu_status st;

    if (!name)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a fleet of %u ranks", size);
    for (uint32_t i = 0; i < size; i++)
        name[i] = (uint32_t)mu_comm_name(w->comm, (int)i);
    st = mu_fleet_init(&w->fleet, w->roll, name, name[size - 1] + 1);
    free(name);
    return st;
}

/* Making gigabytes known to a device may take as long as reading a file. */
static enum mu_status lend_segment(struct mu_worker *w)
{
    void *memory = w->segment->header;
    enum mu_status st = mu_device_lend(w->device, memory, w->segment->header->bytes);

    if (st == MU_OK)
        w->lent = memory;
    if (!mu_device_has_host_memory(w->device))
        mu_poller_forgive_gap(w->poller);
    return st;
}

void mu_worker_take_back(struct mu_worker *w)
{
    if (w->lent)
        mu_device_take_back(w->device, w->lent);
    w->lent = NULL;
}

enum mu_status mu_worker_init(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    enum mu_status st;

    w->crew = mu_recovery_crew(w->roll->size, (uint32_t)w->settings->run_spares,
                               (uint32_t)w->workload->facts.shards, mu_worker_is_dedicated(w));
    mu_worker_adopt(w, NULL);
    w->home = w->host;
    w->slot = w->local_index;
    MU_TRY(lend_segment(w), st, failed);
    MU_TRY(name_fleet(w), st, failed);
    MU_TRY(mu_exact_sum_init(&w->exact, l, w->device, (uint32_t)w->workload->facts.shards), st,
           failed);
    MU_TRY(mu_resident_init(w), st, failed);
    if (!w->resident.state)
        MU_TRY(mu_device_weights_init(&w->weights, w->device, l->elements), st, failed);
    MU_TRY(mu_reduction_init(w), st, failed);
    MU_TRY(mu_fetch_init(w), st, failed);
    MU_TRY(mu_audit_init(w), st, failed);
    w->raised = mu_device_alloc_lent(w->device, l->blocks * sizeof *w->raised);
    w->tensor_max = calloc(l->tensor_count, sizeof *w->tensor_max);
    w->summed = calloc(w->local_count, sizeof *w->summed);
    if (!w->raised || !w->tensor_max || !w->summed)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the predictions of %llu blocks",
                     (unsigned long long)l->blocks);
failed:
    return st;
}

void mu_worker_deinit(struct mu_worker *w)
{
    mu_resident_deinit(w);
    mu_exact_sum_deinit(&w->exact);
    mu_reduction_deinit(w);
    mu_fetch_deinit(w);
    mu_audit_deinit(w);
    mu_device_weights_deinit(&w->weights);
    mu_fleet_deinit(&w->fleet);
    mu_device_free_lent(w->device, w->raised);
    free(w->tensor_max);
    free(w->summed);
    w->raised = w->tensor_max = NULL;
    w->summed = NULL;
    mu_worker_take_back(w);
}

/* Grows as long as any other rank of this host moves, by the board. */
static uint64_t polls_of_others(const struct mu_worker *w)
{
    uint64_t polls = 0;

    for (uint32_t i = 0; i < w->local_count; i++) {
        uint32_t place = mu_roll_local(w->roll, w->host, i);
        const struct mu_board_entry *e =
            place == w->place ? NULL : mu_board_entry(w->board, mu_comm_name(w->comm, (int)place));

        if (e)
            polls += atomic_load_explicit(&e->polls, memory_order_relaxed);
    }
    return polls;
}

static enum mu_status wait(struct mu_worker *w, bool (*ready)(struct mu_worker *, uint64_t),
                           uint64_t mark, const char *what)
{
    struct mu_backoff pause = {0};
    struct mu_deadline standstill = mu_deadline_in_ms(STANDSTILL_MS);
    struct mu_deadline longest = mu_deadline_in_ms(LONGEST_MS);
    struct mu_deadline next_look = mu_deadline_in_ms(LOOK_MS);
    uint64_t polls = 0, now;

    while (!ready(w, mark)) {
        enum mu_status st = mu_poll(w->poller);

        if (st != MU_OK)
            return st;
        mu_backoff_pause(&pause);
        if (!mu_deadline_passed(next_look))
            continue;
        now = polls_of_others(w);
        if (now != polls)
            standstill = mu_deadline_in_ms(STANDSTILL_MS);
        if (mu_deadline_passed(standstill))
            return MU_FAIL(MU_TIMEOUT, "waited for %s, and no rank of this host has moved for %d s",
                           what, STANDSTILL_MS / 1000);
        if (mu_deadline_passed(longest))
            return MU_FAIL(MU_TIMEOUT, "waited %d s for %s", LONGEST_MS / 1000, what);
        polls = now;
        next_look = mu_deadline_in_ms(LOOK_MS);
    }
    return MU_OK;
}

enum mu_status mu_worker_wait(struct mu_worker *w, bool (*ready)(struct mu_worker *, uint64_t),
                              uint64_t mark, const char *what)
{
    enum mu_ledger_kind before =
        mu_poller_enter_at_work(w->poller, w->is_idle ? MU_LEDGER_IDLE : MU_LEDGER_WAIT);
    enum mu_status st;

    mu_timed_enter(mu_worker_timed(w), w->is_idle ? MU_TIMED_PART_IDLE : MU_TIMED_PART_WAIT);
    st = wait(w, ready, mark, what);
    mu_timed_leave(mu_worker_timed(w));
    mu_poller_enter(w->poller, before);
    return st;
}
