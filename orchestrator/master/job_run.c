/* The steps, and what is due between them. Every rank comes to the same list of duties by itself
 * (core/duty.h); the master also writes down and shows how it goes. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/master/job.h"
#include "worker/parts.h"
#include "worker/signals.h"

/* ---- a record, as the master has it ---- */
/* What is due after a step is not the time of the next ones. Where it is due again, after a death,
 * the next one has begun already. */
static void note_record(struct mu_job *job)
{
    if (job->worker.plan && job->recorded[0].step == job->life.step)
        return;
    if (job->recorded[0].step < job->life.step)
        job->recorded[1] = job->recorded[0];
    job->recorded[0] = (struct mu_record_mark){mu_clock_ns(), job->life.step};
}

/* Speed since the record before; none where this generation has taken no step yet. done_ns: when
 * the step was committed. */
static void measure(const struct mu_job *job, struct mu_metrics *m, uint64_t done_ns)
{
    const struct mu_record_mark *since = &job->recorded[job->recorded[0].step >= m->step];
    const struct mu_workload_facts *facts = &job->workload->facts;
    double seconds = 1e-9 * (double)(done_ns - since->ns), steps = (double)(m->step - since->step);

    m->step_ms = m->tokens_per_s = m->peak_share = NAN;
    if (steps <= 0)
        return;
    m->step_ms = 1e3 * seconds / steps;
    m->tokens_per_s = steps * (double)facts->tokens_per_step / seconds;
    if (job->peak_flops > 0 && facts->flops_per_token > 0)
        m->peak_share =
            m->tokens_per_s * facts->flops_per_token / (job->peak_flops * job->roll.size);
}

static void record(struct mu_job *job, struct mu_metrics *m, const struct mu_step_result *step,
                   uint64_t done_ns)
{
    m->step = step->step;
    m->loss = step->loss;
    m->gradient_norm = step->gradient_norm;
    m->lr = step->lr;
    measure(job, m, done_ns);
    m->tokens = job->tokens;
    m->escapes = (uint32_t)step->escapes;
    m->redone = step->redone;
    m->skipped = step->skipped;
    job->status.loss = step->loss;
    mu_run_dir_put_metrics(job->run, m);
    mu_progress_step(job->progress, m);
    if (!isnan(m->valid_loss)) {
        job->status.valid_loss = m->valid_loss;
        mu_progress_eval(job->progress, m);
        if (!job->trial)
            mu_run_dir_plot(job->run, false);
    }
}

/* ---- evaluation, by all ranks ---- */
static enum mu_status take_evaluation(void *context, int rank, struct mu_wire_reader *r)
{
    struct mu_eval_sum *all = context, one;

    mu_wide_get(r, &one.loss);
    mu_wide_get(r, &one.bytes);
    one.tokens = mu_wire_get_u64(r);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "rank %d sent an evaluation that cannot be read", rank);
    mu_wide_merge(&all->loss, &one.loss);
    mu_wide_merge(&all->bytes, &one.bytes);
    all->tokens += one.tokens;
    return MU_OK;
}

static enum mu_status evaluate(struct mu_job *job, struct mu_metrics *m)
{
    struct mu_eval_sum own, all = {0};
    uint8_t bytes[2 * MU_WIDE_WIRE_BYTES + 8];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    enum mu_status st;

    mu_job_move(job, MU_LIFE_ON_EVALUATE);
    st = mu_worker_evaluate(&job->worker, &own);
    if (mu_device_status(job->device) != MU_OK)
        return mu_device_status(job->device); /* it leaves, and the others go on without it */
    MU_TRY(mu_control_agree(&job->control, st), st, failed);
    mu_wide_put(&w, &own.loss);
    mu_wide_put(&w, &own.bytes);
    mu_wire_put_u64(&w, own.tokens);
    MU_TRY(mu_control_gather(&job->control, MU_MESSAGE_EVALUATED, &w, take_evaluation, &all), st,
           failed);
    if (all.tokens > 0) {
        double nats = mu_wide_value(&all.loss), text = mu_wide_value(&all.bytes);

        m->valid_loss = nats / (double)all.tokens;
        m->valid_bits_per_byte = text > 0 ? nats / M_LN2 / text : NAN;
    }
    mu_job_move(job, MU_LIFE_ON_RUN);
failed:
    return st;
}

/* ---- between two steps ---- */
static enum mu_status save(struct mu_job *job, struct mu_hash hash, bool end)
{
    enum mu_ledger_kind before = mu_poller_enter(job->poller, MU_LEDGER_CHECKPOINT);
    uint64_t began_ns = mu_clock_ns();
    enum mu_status st;

    mu_job_put_status(job, MU_RUN_SAVING, "saving a checkpoint");
    st = mu_job_save(job, hash);
    mu_poller_enter(job->poller, before);
    job->requests.save_s = 1e-9 * (double)(mu_clock_ns() - began_ns);
    mu_time_limit_saved(&job->time_limit, mu_clock_ns() - began_ns);
    if (mu_control_is_broken(st) || end)
        return st;
    job->control.verdict = MU_OK; /* known, and lived with */
    if (mu_device_status(job->device) != MU_OK)
        return mu_device_status(job->device);
    if (st != MU_OK && job->is_master)
        mu_log(MU_LOG_WARN,
               "the checkpoint of step %" PRId64
               " could not be saved: training goes on, the older ones are kept",
               job->life.step);
    return MU_OK;
}

/* Whether this step's duties may have been begun before somebody died, in this generation or the
 * last. All ranks hold the same plan. */
static bool may_be_done(const struct mu_job *job)
{
    return (job->worker.plan && job->life.step == job->worker.plan->step) ||
           (job->from_memory && job->life.step == job->resumed_step);
}

enum { RECORDED = 1, SAVED = 2 };

/* The master looks. */
static uint32_t find_what_is_done(struct mu_job *job, bool save)
{
    enum mu_phase before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    struct mu_checkpoint_info info = {0};
    char folder[MU_PATH_MAX];
    uint32_t done = 0;

    if (mu_run_dir_losses(job->run).last_step >= job->life.step)
        done |= RECORDED;
    if (save && mu_checkpoint_folder(folder, job->checkpoints, job->life.step) == MU_OK &&
        mu_checkpoint_read_info(folder, &info) == MU_OK)
        done |= SAVED;
    mu_checkpoint_info_deinit(&info);
    if (done & SAVED) {
        job->saved_step = job->life.step;
        mu_job_complete_save(job);
    }
    mu_board_set_phase(job->board, before);
    return done;
}

enum mu_status mu_job_hear_done(struct mu_job *job, uint32_t *done)
{
    uint8_t bytes[8];
    size_t size = 4;
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct mu_wire_reader r;
    enum mu_status st;

    mu_wire_put_u32(&w, *done);
    MU_TRY(mu_control_announce(&job->control, MU_MESSAGE_DUTIES, bytes, sizeof bytes, &size), st,
           failed);
    r = mu_wire_read(bytes, size);
    *done = mu_wire_get_u32(&r);
    if (!mu_wire_finished(&r))
        return MU_FAIL(MU_INTERNAL, "the master's word on duties cannot be read");
failed:
    return st;
}

/* Of the committed step's record and checkpoint: the same on all ranks, whatever each of them has
 * heard before somebody died. */
static enum mu_status ask_what_is_done(struct mu_job *job, bool save, uint32_t *done)
{
    enum mu_status st;

    *done = job->is_master ? find_what_is_done(job, save) : 0;
    st = mu_job_hear_done(job, done);
    if (st == MU_OK && *done & SAVED)
        job->saved_step = job->life.step;
    return st;
}

/* What of them was, as the master finds it: it tells all, who would else wait for rounds that
 * others do not have. */
static enum mu_status leave_out_what_is_done(struct mu_job *job, struct mu_duties *due)
{
    enum mu_status st;
    uint32_t done;

    if (!may_be_done(job) || (!due->evaluate && !due->hash && !due->save && !due->log))
        return MU_OK;
    MU_TRY(ask_what_is_done(job, due->save, &done), st, failed);
    if (done & RECORDED)
        due->log = due->evaluate = false;
    if (done & SAVED)
        due->save = false;
failed:
    return st;
}

static enum mu_status do_duties(struct mu_job *job, struct mu_duties due)
{
    struct mu_metrics m = {.valid_loss = NAN, .valid_bits_per_byte = NAN};
    uint64_t done_ns = mu_clock_ns();
    enum mu_status st;

    MU_TRY(leave_out_what_is_done(job, &due), st, failed);
    if (due.evaluate)
        MU_TRY(evaluate(job, &m), st, failed);
    if (due.hash) {
        MU_TRY(mu_job_hash(job, &m.hash), st, failed);
        m.has_hash = job->status.has_hash = true;
        job->status.hash = m.hash;
        job->status.hash_step = job->life.step;
    }
    if (due.log && job->is_master) {
        enum mu_phase before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);

        record(job, &m, &job->last, done_ns);
        mu_board_set_phase(job->board, before);
    }
    if (due.save)
        MU_TRY(save(job, m.hash, due.end), st, failed);
    if (mu_job_has_branches(job))
        MU_TRY(mu_job_save_branches(job, m.hash), st, failed);
    if (due.save || due.evaluate)
        MU_TRY(mu_job_ledger_gather(job), st, failed);
    if (due.log)
        mu_job_put_status(job, MU_RUN_RUNNING, "training");
failed:
    return st;
}

static uint32_t own_requests(struct mu_job *job)
{
    uint32_t requests = mu_signals_requests();
    bool saves;

    if (job->is_master && mu_run_dir_stop_requested(job->run)) {
        requests |= MU_REQUEST_STOP;
        mu_job_requests_note_stop(job);
    }
    requests |= mu_job_requests_take(job);
    saves = requests & MU_REQUEST_CHECKPOINT ||
            mu_duties_at(&job->plan, job->life.step + 1, false, false).save;
    /* All ranks ask, and know why it ends; one tells. */
    job->is_out_of_time =
        mu_time_limit_ask(&job->time_limit, mu_clock_ns(), saves) && !(requests & MU_REQUEST_STOP);
    if (job->is_out_of_time && job->is_master) {
        mu_log(MU_LOG_INFO,
               "run.time_limit: stopping while there is time for two steps and a checkpoint");
        requests |= MU_REQUEST_STOP;
    }
    if (job->is_master && mu_started_by_launch() && mu_run_dir_relaunch_requested(job->run))
        requests |= MU_REQUEST_MAKE_WAY;
    if (job->is_master && mu_snapshots_is_due(&job->snapshots, &job->worker, job->life.step))
        requests |= MU_REQUEST_SNAPSHOT;
    return requests;
}

static void tell_disputed(const struct mu_job *job)
{
    mu_log(MU_LOG_ERROR,
           "audit of step %" PRId64 ": ranks of one host compute other bits from the same numbers, "
           "and nobody can tell which are right: stopping with the state of step %" PRId64
           ". Test the memory and the CPU of that host, or go on on another one",
           job->life.step + 1, job->life.step);
}

static void tell_not_finite(const struct mu_job *job)
{
    mu_log(MU_LOG_ERROR,
           "the gradient of step %" PRId64
           " is not finite: stopping with the state of step %" PRId64
           ". A lower optim.lr, more warm-up, or run.on_nonfinite = \"skip\" in a new run may help",
           job->life.step + 1, job->life.step);
}

/* Gradients of the next step are not finite, or in doubt. Every rank knows it from the same words,
 * and comes here again when somebody dies meanwhile; the state before that step is whole, and is
 * saved for whoever looks for the reason. */
static enum mu_status stop_for_good(struct mu_job *job, bool disputed)
{
    uint32_t done = SAVED; /* nothing is to be saved before the first step */
    struct mu_hash hash;
    enum mu_status st = MU_OK;

    job->diverged = !disputed;
    if (job->is_master && !job->told && !(job->trial && !disputed)) {
        disputed ? tell_disputed(job) : tell_not_finite(job);
        job->told = true;
    }
    if (job->life.step > 0)
        MU_TRY(ask_what_is_done(job, true, &done), st, failed);
    if (!(done & SAVED)) {
        MU_TRY(mu_job_hash(job, &hash), st, failed);
        MU_TRY(mu_job_save(job, hash), st, failed);
    }
    MU_TRY(mu_poll(job->poller), st, failed);
    st = job->control.verdict = MU_FAILED;
failed:
    return st;
}

static void tell_where(const struct mu_job *job)
{
    static char where[96];

    snprintf(where, sizeof where, "rank %d, epoch %u, step %" PRId64, mu_board_own_rank(job->board),
             job->life.epoch, job->life.step + 1);
    mu_log_set_where(where);
}

static enum mu_status step(struct mu_job *job)
{
    struct mu_step_result r;
    enum mu_status st;

    job->worker.requests = own_requests(job) | job->session->requests;
    tell_where(job);
    st = mu_worker_step(&job->worker, job->life.step, &r);
    mu_log_set_where(NULL);
    if (r.stopped)
        return stop_for_good(job, r.disputed);
    if (st != MU_OK)
        return st;
    job->last = r;
    job->life.step = r.step;
    job->tokens += r.tokens;
    mu_signals_clear(r.requests & MU_REQUEST_CHECKPOINT);
    return MU_OK;
}

static enum mu_status duties(struct mu_job *job)
{
    bool makes_way = mu_job_makes_way(job);
    struct mu_duties due =
        mu_duties_at(&job->plan, job->life.step, job->last.requests & MU_REQUEST_CHECKPOINT,
                     mu_job_is_stopped(job) && !makes_way);
    enum mu_status st;

    due.hash = due.hash || mu_job_has_branches(job);
    due.save = due.save && !(job->trial && job->trial->steps > 0);
    st = do_duties(job, due);
    if (st == MU_OK)
        st = mu_job_snapshot(job);
    if (st == MU_OK && makes_way)
        st = mu_job_ledger_gather(job);
    if (st != MU_OK)
        return st;
    mu_job_requests_saved(job, due.save);
    if (due.log)
        note_record(job);
    job->duties_done = job->life.step;
    if (job->is_master)
        job->recovery->duties = job->life.step;
    if (job->is_master && job->trial)
        mu_trial_tell_progress(job);
    return MU_OK;
}

/* Until the last step's duties are done. A recovery that took place in the last operation of a step
 * is heard of here. */
static enum mu_status steps(struct mu_job *job)
{
    enum mu_status st = MU_OK;

    mu_poller_enter(job->poller, MU_LEDGER_COMPUTE);
    while (st == MU_OK && !job->over) {
        if (job->poller->status == MU_RECOVERED)
            return MU_RECOVERED;
        if (job->duties_done < job->life.step)
            st = duties(job);
        else if (job->life.step >= mu_job_steps(job) || mu_job_is_stopped(job))
            job->over = true;
        else
            st = step(job);
    }
    if (st == MU_FAILED && mu_parts_are_lost(job->worker.resident.parts))
        job->control.verdict = st;
    return st;
}

/* The master's counts; another one learns it by its first save. */
static void begin_time_limit(struct mu_job *job)
{
    enum mu_phase before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    double save_s = 0;

    job->time_limit =
        mu_time_limit_init(job->session->started_ns, (uint64_t)job->settings.run_time_limit,
                           3 * sizeof(float) * job->workload->layout.elements);
    if (job->is_master && job->settings.run_time_limit > 0 && job->resumed_step > 0)
        save_s = mu_job_known_save_s(job);
    if (save_s > 0)
        mu_time_limit_expect(&job->time_limit, (uint64_t)(1e9 * save_s));
    mu_board_set_phase(job->board, before);
}

static enum mu_status begin_training(struct mu_job *job)
{
    enum mu_status st;

    begin_time_limit(job);
    job->recovery->phase = MU_RECOVERY_RUNNING;
    job->recovery->duties = job->duties_done = job->life.step - job->from_memory;
    if (mu_comm_is_fault_tolerant(job->comm)) {
        job->poller->repair = mu_session_recover;
        job->poller->repair_context = job->session;
    }
    job->status.has_hash = job->resumed_step > 0 && !job->from_memory;
    job->status.hash = job->resumed_hash;
    job->status.hash_step = job->resumed_step;
    job->recorded[0] = job->recorded[1] = (struct mu_record_mark){mu_clock_ns(), job->life.step};
    if (job->worker.plan)
        return MU_RECOVERED; /* somebody died as loading ended: the others are not in this round */
    MU_TRY(mu_job_gather_ranks(job), st, failed);
    mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    st = mu_control_agree(&job->control, job->is_master ? mu_job_open_run(job) : MU_OK);
    job->is_begun = st == MU_OK;
    mu_board_set_phase(job->board, MU_PHASE_RUNNING);
failed:
    return st;
}

enum mu_status mu_job_train(struct mu_job *job)
{
    enum mu_status st = begin_training(job);

    if (st == MU_OK)
        mu_job_put_status(job, MU_RUN_RUNNING, "training");
    for (;;) {
        if (st == MU_OK)
            st = steps(job);
        if (st == MU_OK)
            st = mu_job_finish(job);
        else if (mu_job_is_agreed(job, st))
            st = mu_job_fail_together(job, st);
        if (st != MU_RECOVERED || mu_job_is_released(job))
            break;
        st = mu_job_take_roll(job);
    }
    if (st == MU_RECOVERED)
        return MU_OK;
    return st == MU_OK && mu_job_is_stopped(job) ? MU_REQUEUE : st;
}
