#include "orchestrator/sweep_run/line.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "worker/signals.h"
#include "worker/worker.h"

static const uint64_t progress_interval_ns = 300000000;
/* Who waits says so again and again: for how long, the master knows from nobody else. */
static const uint64_t ready_interval_ns = 1000000000;

enum mu_status mu_sweep_line_open(struct mu_sweep_line *l, struct mu_session *session)
{
    memset(l, 0, sizeof *l);
    l->session = session;
    l->over = MU_SWEEP_NOT_OVER;
    l->in_bytes = malloc(MU_SWEEP_DOWN_BYTES);
    return l->in_bytes ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the master's messages");
}

void mu_sweep_line_close(struct mu_sweep_line *l)
{
    mu_sweep_order_deinit(&l->order);
    free(l->in_bytes);
    memset(l, 0, sizeof *l);
}

void mu_sweep_line_be_ready(struct mu_sweep_line *l, const struct mu_trial_outcome *outcome)
{
    const struct mu_ledger_sum idle = l->ready.idle;

    l->ready = (struct mu_sweep_up){.kind = MU_SWEEP_SAY_READY,
                                    .group = l->group,
                                    .has_outcome = outcome && outcome->leads,
                                    .idle = idle,
                                    .over = l->over};
    if (l->ready.has_outcome)
        l->ready.outcome = *outcome;
    l->group = 0;
    l->says_ready = true;
    l->says_progress = false;
}

/* What was spent outside of trials is this rank's; what comes now is the trial's. */
static void count_idle(struct mu_sweep_line *l)
{
    struct mu_ledger *ledger = &l->session->poller.ledger;
    const uint64_t now = mu_clock_ns();
    const struct mu_ledger_sum told = mu_ledger_told(ledger, now);

    mu_ledger_add(&l->ready.idle, &told);
    mu_ledger_forget(ledger, &told, now);
}

/* For struct mu_trial_order. */
static void tell_progress(void *line, int64_t step, double loss, double tokens_per_s)
{
    struct mu_sweep_line *l = line;
    const uint64_t now = mu_clock_ns();

    if (l->stops)
        l->session->requests |= MU_REQUEST_STOP;
    if (l->makes_way == l->group)
        l->session->requests |= MU_REQUEST_MAKE_WAY;
    /* The first steps at once: that there were any tells a crash from one that comes every time. */
    if (l->told >= 2 && now - l->said_ns < progress_interval_ns)
        return;
    if (l->told++ == 0)
        l->first_step = step;
    l->said_ns = now;
    l->progress = (struct mu_sweep_up){.kind = MU_SWEEP_SAY_PROGRESS,
                                       .group = l->group,
                                       .first = l->first_step,
                                       .step = step,
                                       .loss = loss,
                                       .tokens_per_s = tokens_per_s};
    l->says_progress = true;
}

void mu_sweep_line_begin(struct mu_sweep_line *l)
{
    struct mu_trial_order *o = &l->order.order;

    MU_ASSERT(l->has_order);
    l->has_order = false;
    l->says_ready = false;
    l->group = o->group;
    l->told = 0;
    o->epoch = l->session->epoch;
    o->sweep_path = l->order.sweep_path;
    o->run_path = l->order.run_path;
    o->progress = tell_progress;
    o->progress_context = l;
    count_idle(l);
}

void mu_sweep_line_reset(struct mu_sweep_line *l)
{
    l->in.handle = l->out.handle = NULL;
    l->is_posted = l->is_sending = l->is_broken = false;
    if (l->has_order)
        mu_sweep_order_deinit(&l->order);
    l->has_order = false;
    l->says_ready = l->group == 0;
    l->ready.over = l->over;
}

bool mu_sweep_line_take(struct mu_sweep_line *l, struct mu_sweep_up *up)
{
    const bool wants_stop = mu_signals_requests() & MU_REQUEST_STOP;
    const uint64_t now = mu_clock_ns();

    if (l->group == 0 && !l->has_order && l->ready.kind &&
        ((wants_stop && !l->ready.wants_stop) || now - l->ready_ns >= ready_interval_ns))
        l->says_ready = true;
    if (l->says_ready) {
        l->says_ready = false;
        l->ready_ns = now;
        l->ready.wants_stop = wants_stop;
        count_idle(l);
        *up = l->ready;
    } else if (l->says_progress) {
        l->says_progress = false;
        *up = l->progress;
    } else {
        return false;
    }
    return true;
}

static void take_order(struct mu_sweep_line *l, struct mu_sweep_down *down)
{
    /* Given before it heard that this rank is to do something else: it cannot be. */
    MU_ASSERT(l->group == 0 && !l->has_order);
    l->order = down->order;
    l->has_order = true;
}

void mu_sweep_line_hear(struct mu_sweep_line *l, const uint8_t *bytes, size_t size)
{
    struct mu_sweep_down down;

    if (!mu_sweep_down_read(bytes, size, &down)) {
        l->is_lost = MU_FAIL(MU_INTERNAL, "the sweep's master sent what cannot be read") != MU_OK;
        return;
    }
    switch (down.kind) {
    case MU_SWEEP_SAY_ORDER:
        take_order(l, &down);
        break;
    case MU_SWEEP_SAY_MAKE_WAY:
        l->makes_way = down.group;
        if (l->group == down.group)
            l->session->requests |= MU_REQUEST_MAKE_WAY;
        break;
    case MU_SWEEP_SAY_STOP:
        l->stops = true;
        if (l->group != 0)
            l->session->requests |= MU_REQUEST_STOP;
        break;
    default:
        l->over = down.over;
    }
}

/* Whatever fails here is the communicator's: a poll finds it out soon, and repairs it. */
static bool test(struct mu_sweep_line *l, struct mu_request *request, size_t *size)
{
    bool done = false;

    l->is_broken = mu_comm_test(l->session->comm, request, &done, size) != MU_OK;
    return !l->is_broken && done;
}

static void send_next(struct mu_sweep_line *l)
{
    struct mu_sweep_up up;

    if (!mu_sweep_line_take(l, &up))
        return;
    l->out_size = mu_sweep_up_pack(&up, l->out_bytes);
    l->is_sending = mu_comm_send(l->session->comm, l->out_bytes, l->out_size, 0, MU_TAG_SWEEP,
                                 &l->out) == MU_OK;
}

void mu_sweep_line_serve(struct mu_sweep_line *l)
{
    size_t size = 0;

    if (!l->is_broken && l->is_posted && test(l, &l->in, &size)) {
        l->is_posted = false;
        mu_sweep_line_hear(l, l->in_bytes, size);
    }
    if (l->is_broken)
        return;
    if (!l->is_posted)
        l->is_posted = mu_comm_receive(l->session->comm, l->in_bytes, MU_SWEEP_DOWN_BYTES, 0,
                                       MU_TAG_SWEEP, &l->in) == MU_OK;
    if (l->is_sending && test(l, &l->out, NULL))
        l->is_sending = false;
    if (!l->is_sending && !l->is_broken)
        send_next(l);
}
