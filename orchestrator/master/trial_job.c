/* A trial's job ends in one of three ways. All of its group know the same end: they leave it, and
 * stay in the session. Or this rank alone cannot go on: it leaves, and tells all by a repair. Or a
 * repair tells that somebody has left already: then there is nothing to do any more. */
#include "orchestrator/master/trial_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/run/metrics.h"

static const double speed_over_s = 0.3;

const char *mu_trial_end_word(enum mu_trial_end end)
{
    static const char *const words[] = {
#define WORD(name, word, meaning) [MU_TRIAL_##name] = word,
        MU_TRIAL_END_TABLE(WORD)
#undef WORD
    };

    return words[end];
}

uint64_t mu_trial_sweep_key(const char *sweep_path)
{
    return mu_hash_bytes(sweep_path, strlen(sweep_path), 0).low;
}

void mu_trial_tell_progress(struct mu_job *job)
{
    const struct mu_trial_order *order = job->trial;
    struct mu_trial_speed *speed = &job->speed;
    const uint64_t now = mu_clock_ns();
    const double seconds = 1e-9 * (double)(now - speed->since.ns);

    if (!order->progress)
        return;
    if (speed->since.ns == 0) {
        speed->since = (struct mu_record_mark){now, job->life.step};
        speed->tokens_per_s = NAN;
    } else if (seconds >= speed_over_s) {
        speed->tokens_per_s = (double)(job->life.step - speed->since.step) *
                              (double)job->workload->facts.tokens_per_step / seconds;
        speed->since = (struct mu_record_mark){now, job->life.step};
    }
    order->progress(order->progress_context, job->life.step, job->last.loss, speed->tokens_per_s);
}

static enum mu_trial_end end_of(const struct mu_job *job, enum mu_status st)
{
    if (st == MU_REQUEUE)
        return job->last.requests & MU_REQUEST_STOP ? MU_TRIAL_STOPPED : MU_TRIAL_MADE_WAY;
    if (job->diverged)
        return MU_TRIAL_DIVERGED;
    if (st == MU_FAILED && mu_job_crashes(job))
        return MU_TRIAL_CRASHES;
    return st == MU_OK          ? MU_TRIAL_COMPLETE
           : st == MU_NO_MEMORY ? MU_TRIAL_OUT_OF_MEMORY
           : st == MU_CONFIG    ? MU_TRIAL_REFUSED
                                : MU_TRIAL_FAILED;
}

/* Losses as they were recorded, so that a trial that was complete already says the same. */
static void take_outcome(const struct mu_job *job, enum mu_status st, struct mu_trial_outcome *out)
{
    *out = (struct mu_trial_outcome){
        .end = end_of(job, st),
        .leads = job->fails_group || (job->is_master && !mu_job_is_released(job)),
        .step = job->life.step,
        .tokens = job->tokens,
        .train_loss = NAN,
        .valid_loss = NAN,
        .valid_bits_per_byte = NAN,
        .has_hash = job->status.has_hash && job->status.hash_step == job->life.step,
        .hash = job->status.hash,
    };
    if (!out->leads)
        return;
    if (out->end == MU_TRIAL_CRASHES)
        snprintf(out->message, sizeof out->message,
                 "ranks died in step %" PRId64 ", %u times in a row", job->crashes.step + 1,
                 job->crashes.count);
    else if (job->status.message[0])
        snprintf(out->message, sizeof out->message, "%s", job->status.message);
    else if (out->end == MU_TRIAL_FAILED || out->end == MU_TRIAL_REFUSED) /* it has no folder */
        snprintf(out->message, sizeof out->message, "%s before the first step",
                 mu_status_meaning(st));
    if (job->run) {
        struct mu_run_losses losses = mu_run_dir_losses(job->run);

        out->train_loss = losses.last_train;
        out->valid_loss = losses.last_valid;
        out->valid_bits_per_byte = losses.last_bits_per_byte;
    }
    mu_ledger_add(&out->goodput, &job->status.goodput);
    mu_ledger_subtract(&out->goodput, &job->kept);
}

enum mu_status mu_trial_deal_gpus(struct mu_session *s, const struct mu_settings *settings)
{
    struct mu_job *job = malloc(sizeof *job);
    enum mu_status st;

    if (!job)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a job");
    mu_job_init(job, s, s->comm);
    job->settings = *settings;
    st = mu_job_deal_gpus(job);
    free(job);
    return st;
}

/* This rank's failure, which its group does not know of. A failure that would be the next one's,
 * too, is told in a repair, after which nobody is in the group any more; who cannot go on at all
 * dies. */
static enum mu_status fail_alone(struct mu_job *job, enum mu_status st)
{
    struct mu_session *s = job->session;
    const bool dies = mu_status_is_death(st) || mu_job_has_lost_gpu(job);

    if (!dies && mu_comm_size(job->comm) == 1) {
        job->control.verdict = st;
        return mu_job_fail_together(job, st);
    }
    if (!mu_comm_is_fault_tolerant(s->comm)) {
        mu_job_report_failure(job, st);
        mu_comm_leave(s->comm, mu_status_exit_code(st));
    }
    mu_log(MU_LOG_ERROR, "rank %d failed in %s: %s; %s", mu_board_own_rank(job->board),
           job->run_path, mu_status_meaning(st),
           dies ? "it leaves, and the others go on without it" : "its group ends this trial");
    if (dies)
        mu_comm_die();
    job->fails_group = true;
    snprintf(job->status.message, sizeof job->status.message, "%s at step %" PRId64,
             mu_status_meaning(st), job->life.step);
    mu_comm_revoke(s->comm); /* the next poll repairs */
    return st;
}

enum mu_status mu_trial_run(struct mu_session *s, const struct mu_trial_order *order,
                            struct mu_trial_outcome *out)
{
    struct mu_job *job = malloc(sizeof *job);
    struct mu_comm *group;
    enum mu_status st;

    if (!job)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a job");
    mu_fault(MU_FAULT_ORDER, 0);
    if (order->epoch != s->epoch) {
        st = MU_RECOVERED;
        goto failed;
    }
    MU_TRY(mu_comm_view(s->comm, order->names, order->count, (uint32_t)order->group, &group), st,
           failed);
    mu_poller_accept(&s->poller);
    mu_job_init(job, s, group);
    job->trial = order;
    mu_session_attach(s, &(struct mu_session_job){.comm = group,
                                                  .group = order->group,
                                                  .trial = order->trial,
                                                  .worker = &job->worker,
                                                  .roll = &job->roll,
                                                  .recovered = mu_job_recovered,
                                                  .context = job});
    st = mu_job_live(job, &(struct mu_job_request){0});
    if (st != MU_OK && st != MU_REQUEUE && !mu_job_is_agreed(job, st))
        st = fail_alone(job, st);
    mu_fault(MU_FAULT_LEAVE, job->life.step);
    take_outcome(job, st, out);
    /* Who tries it again goes on from the last step; who is released does not know. */
    job->keeps_state = mu_job_is_released(job) || out->end == MU_TRIAL_FAILED;
    mu_session_detach(s, true);
    mu_poller_accept(&s->poller);
    mu_log_set_where(NULL);
    mu_job_close_parts(job);
    mu_comm_view_close(group);
    st = MU_OK;
failed:
    free(job);
    return st;
}
