/* To the state that training goes on from, the same on every rank: what an earlier generation left
 * in memory (HELD), else the newest checkpoint whose contents are whole (RESUME, as often as one
 * turns out damaged), or initial weights. The probe of all ranks must agree (READY); it is spared
 * when everything that it depends on is as it was for the state in memory. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/master/job_order.h"
#include "orchestrator/master/resume.h"
#include "worker/fingerprint.h"
#include "worker/hand_over.h"

static const double peak_seconds = 0.3;

/* Half 0, whole on every rank, becomes the committed state. */
static enum mu_status commit(struct mu_job *job, int64_t step)
{
    mu_worker_commit(&job->worker, step);
    return mu_control_agree(&job->control, MU_OK);
}

/* Loads what was ordered and checks that it is the state that was saved. */
static enum mu_status load_checkpoint(struct mu_job *job, const struct mu_job_order *order)
{
    struct mu_hash hash;
    enum mu_status st;

    mu_fault(MU_FAULT_LOAD, order->step);
    st = mu_worker_load(&job->worker, order->folder, order->weights_only);
    MU_TRY(mu_job_agree(job, st), st, failed);
    MU_TRY(commit(job, order->step), st, failed);
    if (order->weights_only)
        return MU_OK; /* its blocks' checksums were right; the rest is not the state that was saved */
    MU_TRY(mu_worker_hash(&job->worker, &hash), st, failed);
    if (!mu_hash_equal(hash, order->state_hash))
        st = job->is_master ? MU_FAIL(MU_CORRUPT,
                                      "%s: the state that was loaded has hash %s, the one that was "
                                      "saved had %s",
                                      order->folder, mu_hash_print(hash).text,
                                      mu_hash_print(order->state_hash).text)
                            : MU_CORRUPT;
    st = mu_control_agree(&job->control, st);
failed:
    return st;
}

/* What the ranks hold, as the master hears it. */
struct held {
    int64_t *step; /* by place; -1: nothing that can be used */
    int64_t newest;
    uint32_t source;                 /* the lowest place that holds the newest */
    struct mu_segment_origin origin; /* of that */
    uint64_t setting;                /* of all ranks today */
    bool one_setting;
};

static enum mu_status take_held(void *context, int rank, struct mu_wire_reader *r)
{
    struct held *all = context;
    int64_t step = (int64_t)mu_wire_get_u64(r);
    struct mu_segment_origin origin = {.setting = mu_wire_get_u64(r)};
    uint64_t todays;

    origin.probe.high = mu_wire_get_u64(r);
    origin.probe.low = mu_wire_get_u64(r);
    origin.peak_flops = mu_wire_get_f64(r);
    todays = mu_wire_get_u64(r);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a word on its memory that cannot be read", rank);
    if (rank == 0)
        all->setting = todays;
    all->one_setting = all->one_setting && todays == all->setting;
    all->step[rank] = origin.setting == todays ? step : -1;
    if (all->step[rank] > all->newest) {
        all->newest = all->step[rank];
        all->source = (uint32_t)rank;
        all->origin = origin;
    }
    return MU_OK;
}

/* What an earlier generation left on each host: only what these ranks would compute too. */
static enum mu_status gather_held(struct mu_job *job, struct held *all)
{
    const struct mu_segment_header *h = job->keeper->segment->header;
    uint8_t bytes[64];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);

    *all = (struct held){.newest = -1, .one_setting = true};
    all->step = calloc(job->roll.size, sizeof *all->step);
    if (!all->step)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the words of %u ranks", job->roll.size);
    mu_wire_put_u64(&w, h->taken_up ? (uint64_t)mu_segment_step(job->keeper->segment) : UINT64_MAX);
    mu_wire_put_u64(&w, h->origin.setting);
    mu_wire_put_u64(&w, h->origin.probe.high);
    mu_wire_put_u64(&w, h->origin.probe.low);
    mu_wire_put_f64(&w, h->origin.peak_flops);
    mu_wire_put_u64(&w, job->setting);
    return mu_control_gather(&job->control, MU_MESSAGE_HELD, &w, take_held, all);
}

/* How far the run has come before, as far as its records tell. */
static int64_t reached(const struct mu_job *job)
{
    int64_t told = mu_run_dir_kept(job->run).step, recorded = mu_run_dir_losses(job->run).last_step;

    return told > recorded ? told : recorded;
}

/* Before it is obeyed: a rank that loses the master meanwhile may go on with the state by then. */
static void take_order(struct mu_job *job, const struct mu_job_order *order)
{
    job->resumed_step = job->life.step = order->step;
    job->resumed_hash = order->state_hash;
    job->saved_step = order->saved;
    job->tokens = order->tokens;
    job->peak_flops = order->peak_flops;
    job->data_identity = order->data_identity;
    job->from_memory = order->from_memory;
    job->reached = job->worker.reached = order->reached;
}

/* Every step before that was due to be recorded is: another generation, that went on from an older
 * state, has not dropped it. What was recorded since somebody asked for a checkpoint is in no
 * plan. */
static bool is_recorded(const struct mu_job *job, int64_t step)
{
    const int64_t first = mu_origin_begins_at(&job->origin);
    int64_t due = step - 1;

    while (due > first && !mu_duties_at(&job->plan, due, false, false).log)
        due--;
    return due <= first || mu_run_dir_losses(job->run).last_step >= due;
}

static uint64_t tokens_of(const struct mu_job *job, int64_t step)
{
    const struct mu_origin *origin = &job->origin;

    return (origin->weights_only ? 0 : origin->tokens) +
           (uint64_t)(step - mu_origin_begins_at(origin)) * job->workload->facts.tokens_per_step;
}

/* The master's choice: what is in memory, unless a checkpoint is newer. A fork's first state, which no
 * step of its own has made, is loaded again: it has no record. */
static enum mu_status choose_held(struct mu_job *job, const struct held *held,
                                  struct mu_job_order *order,
                                  struct mu_resume_candidates *candidates)
{
    int64_t newest = candidates->count > 0 ? candidates->steps[candidates->count - 1] : 0;
    enum mu_status st = mu_resume_identify_data(job);

    order->from_memory = st == MU_OK && held->newest > mu_origin_begins_at(&job->origin) &&
                         held->one_setting && held->newest >= newest &&
                         held->newest <= job->common_steps && is_recorded(job, held->newest);
    if (!order->from_memory)
        return st;
    order->step = held->newest;
    order->source = job->keeper->roll->host_of[held->source];
    for (uint32_t i = 0; i < job->roll.size; i++)
        if (held->step[i] != held->newest)
            order->lacks[job->keeper->roll->host_of[i]] = true;
    order->probe = held->origin.probe;
    order->tokens = tokens_of(job, held->newest);
    order->peak_flops = held->origin.peak_flops;
    order->saved = newest > 0 ? newest : -1;
    order->data_identity = job->data_identity;
    return MU_OK;
}

static bool lacks_any(const struct mu_job *job, const struct mu_job_order *order)
{
    for (uint32_t h = 0; h < job->keeper->roll->hosts; h++)
        if (order->lacks[h])
            return true;
    return false;
}

/* The state of a host that has it, to those that have not. */
static enum mu_status hand_over(struct mu_job *job, const struct mu_job_order *order)
{
    struct mu_worker *keeper = job->keeper;
    bool lacks = order->lacks[keeper->host];
    enum mu_status st;

    if (job->is_master)
        mu_log(MU_LOG_INFO,
               "step %" PRId64 " is handed over to hosts that do not have it in memory",
               order->step);
    if (lacks && keeper->local_index == 0)
        mu_segment_reset(keeper->segment);
    MU_TRY(mu_control_agree(&job->control, MU_OK), st, failed);
    MU_TRY(mu_job_agree(job, mu_hand_over(keeper, order->source, order->lacks)), st, failed);
    if (lacks)
        mu_worker_commit(keeper, order->step);
    if (lacks && keeper != &job->worker && keeper->local_index == 0)
        mu_snapshots_adopt_result(&job->snapshots);
    MU_TRY(mu_control_agree(&job->control, MU_OK), st, failed);
    st = mu_job_agree(job, lacks ? mu_worker_seal(keeper) : MU_OK);
failed:
    return st;
}

/* Every rank looks through its part of what is in memory. Damaged anywhere, it is used nowhere. */
static enum mu_status verify_memory(struct mu_job *job, const struct mu_job_order *order)
{
    bool lacks = order->lacks[job->keeper->host];
    enum mu_status st = mu_job_agree(job, lacks ? MU_OK : mu_worker_verify(job->keeper));

    if (st != MU_CORRUPT)
        return st;
    job->from_memory = false;
    return MU_OK;
}

/* Goes on with what is in memory, or finds out that nothing is to be used there. */
static enum mu_status use_memory(struct mu_job *job)
{
    struct mu_job_order *order = calloc(1, sizeof *order);
    struct mu_resume_candidates candidates = {0};
    struct held held;
    enum mu_status st;

    if (!order)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the master's order");
    order->saved = -1;
    st = gather_held(job, &held);
    if (mu_control_is_broken(st))
        goto failed;
    if (job->is_master) {
        if (st == MU_OK)
            st = mu_resume_candidates_find(&candidates, job->checkpoints);
        if (st == MU_OK)
            st = choose_held(job, &held, order, &candidates);
        order->reached = reached(job);
        mu_resume_candidates_free(&candidates);
    }
    MU_TRY(mu_job_exchange_order(job, order, st), st, failed);
    take_order(job, order);
    if (job->from_memory)
        MU_TRY(verify_memory(job, order), st, failed);
    if (job->from_memory && lacks_any(job, order))
        MU_TRY(hand_over(job, order), st, failed);
    if (job->from_memory) {
        job->probe = order->probe;
        job->last = *mu_segment_result(job->keeper->segment);
        job->last.requests &= MU_REQUEST_CHECKPOINT; /* the others were obeyed by that generation */
    } else if (job->keeper->local_index == 0) {
        mu_segment_reset(job->keeper->segment);
    }
    MU_TRY(mu_control_agree(&job->control, MU_OK), st, failed);
    if (job->from_memory && job->keeper != &job->worker)
        st = mu_job_upload(job, order->lacks[job->keeper->host]);
failed:
    free(held.step);
    free(order);
    return st;
}

/* Of a fork that has no checkpoint of its own yet. */
static enum mu_status order_origin(const struct mu_job *job, struct mu_job_order *order)
{
    const struct mu_origin *origin = &job->origin;

    /* Its data may be others, and then its probe is, too. */
    if (!mu_fingerprint_same_but_probe(origin->fingerprint, job->fingerprint))
        mu_log(MU_LOG_INFO, "%s was computed by %s; this is %s", origin->checkpoint,
               origin->fingerprint, job->fingerprint);
    order->step = mu_origin_begins_at(origin);
    order->weights_only = origin->weights_only;
    order->state_hash = origin->state_hash;
    order->tokens = tokens_of(job, order->step);
    return mu_origin_locate(job->run_path, origin, order->folder);
}

/* The next candidate to be tried, or where the run begins: in order->folder, "" for initial
 * weights. */
static enum mu_status choose_checkpoint(struct mu_job *job, struct mu_resume_candidates *candidates,
                                        struct mu_job_order *order)
{
    enum mu_status st =
        mu_resume_candidates_next(candidates, job, &order->step, order->folder, &order->state_hash);

    order->saved = st == MU_OK ? order->step : -1;
    order->weights_only = false;
    order->tokens = candidates->tokens;
    if (st == MU_NOT_FOUND) {
        order->step = 0;
        order->folder[0] = 0;
        st = job->origin.checkpoint[0] ? order_origin(job, order) : MU_OK;
    }
    order->peak_flops = job->peak_flops;
    order->data_identity = job->data_identity;
    return st;
}

/* Tries checkpoints from the newest down until one is whole on every rank. A damaged one is named
 * and passed over. *loaded: one was; else the run begins with initial weights. */
static enum mu_status load_newest(struct mu_job *job, bool *loaded)
{
    struct mu_job_order order = {.saved = -1};
    struct mu_resume_candidates candidates = {0};
    enum mu_status st = MU_OK;

    *loaded = false;
    if (job->is_master) {
        if (!job->trial) /* there may be hundreds */
            job->peak_flops = mu_device_measure_peak(job->device, peak_seconds);
        order.reached = job->reached; /* as use_memory ordered */
        st = mu_resume_candidates_find(&candidates, job->checkpoints);
    }
    for (;;) {
        if (job->is_master && st == MU_OK)
            st = choose_checkpoint(job, &candidates, &order);
        MU_TRY(mu_job_exchange_order(job, &order, st), st, done);
        take_order(job, &order);
        if (!order.folder[0])
            break;
        st = load_checkpoint(job, &order);
        *loaded = st == MU_OK;
        if (st != MU_CORRUPT)
            break;
        if (order.saved < 0) {
            if (job->is_master)
                mu_log(MU_LOG_ERROR, "%s is damaged, and this run has nothing else to begin from",
                       job->origin.checkpoint);
            break;
        }
        if (job->is_master)
            mu_log(MU_LOG_WARN, "%s is damaged: it is passed over", order.folder);
        st = MU_OK;
    }
done:
    mu_resume_candidates_free(&candidates);
    return st;
}

static enum mu_status fill_initial(struct mu_job *job, uint32_t half)
{
    return mu_job_agree(job, mu_worker_fill_initial(&job->worker, half));
}

/* A checkpoint that turned out damaged may have been committed before it did. */
static enum mu_status begin_at_first_step(struct mu_job *job)
{
    enum mu_status st;

    MU_TRY(fill_initial(job, 0), st, failed);
    st = commit(job, 0);
failed:
    return st;
}

/* Everything that bits depend on, but for the probe. */
static uint64_t setting_of(const struct mu_job *job)
{
    char text[MU_FINGERPRINT_MAX];

    mu_fingerprint_text(text, sizeof text, job->device, job->session->program,
                        mu_job_choices_hash(job), (struct mu_hash){0});
    return mu_hash_bytes(text, strlen(text), 0).low;
}

void mu_job_settle(struct mu_job *job)
{
    struct mu_segment_origin origin = {job->setting, job->probe, job->peak_flops};

    if (!atomic_load(&job->segment.header->settled))
        mu_worker_settle(&job->worker, &origin);
}

void mu_job_name_fingerprint(struct mu_job *job)
{
    mu_fingerprint_text(job->fingerprint, sizeof job->fingerprint, job->device,
                        job->session->program, mu_job_choices_hash(job), job->probe);
}

static enum mu_status settle(struct mu_job *job)
{
    enum mu_status st = MU_OK;

    if (!job->from_memory)
        MU_TRY(mu_job_agree(job, mu_worker_seal(&job->worker)), st, failed);
    mu_job_settle(job);
failed:
    return st;
}

enum mu_status mu_job_load(struct mu_job *job)
{
    bool loaded;
    enum mu_status st;

    MU_TRY(mu_job_choices_take_up(job), st, failed);
    job->setting = setting_of(job);
    MU_TRY(use_memory(job), st, failed);
    /* Else the initial weights stand in the spare half for the probe; a checkpoint is loaded into
     * the other one. */
    if (!job->from_memory) {
        MU_TRY(fill_initial(job, 1), st, failed);
        MU_TRY(mu_job_choices_make(job, 1), st, failed);
        job->setting = setting_of(job);
        MU_TRY(mu_job_compare_probes(job, 1), st, failed);
    }
    mu_job_name_fingerprint(job);
    if (!job->from_memory) {
        mu_poller_enter(job->poller, MU_LEDGER_CHECKPOINT);
        st = load_newest(job, &loaded);
        mu_poller_enter(job->poller, MU_LEDGER_RECOVER);
        if (st != MU_OK)
            goto failed;
        if (!loaded)
            MU_TRY(begin_at_first_step(job), st, failed);
    }
    st = settle(job);
failed:
    return st;
}
