/* A request is obeyed by what the steps do anyway: a flag rides on the next step, as a signal's
 * does, so that all ranks know of it at the same boundary. Here is what goes before and after: it
 * is found in control/, and answered when what was asked for is so.
 *
 * A new master, and the next generation, begin with nothing in hand and find the files again:
 *
 *   without an answer        it is obeyed; where the checkpoint of the newest step is there already,
 *                            because the last master died right after it, that is the answer
 *   with one in the journal  only the file goes */
#include "orchestrator/master/job_requests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/master/job.h"

static const uint64_t look_ns = 200000000, again_ns = 10000000000;

static bool is_mine(const struct mu_job *job)
{
    return job->is_master && !job->trial && job->run;
}

/* A full or failing disk is tried again later, not at every step. */
static bool must_wait(const struct mu_job_asked *a)
{
    return a->tried_ns != 0 && mu_clock_ns() - a->tried_ns < again_ns;
}

static void forget(struct mu_job_requests *r, struct mu_job_asked *a)
{
    const size_t behind = (size_t)(r->asked + r->count - (a + 1));

    memmove(a, a + 1, behind * sizeof *a);
    r->count--;
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool write_answer(struct mu_job *job, struct mu_job_asked *a)
{
    const bool fails = mu_fault(MU_FAULT_ANSWER, job->life.step);
    char *text = mu_steer_answer_format(&a->request, &a->answer);
    const bool written =
        text && !fails && mu_journal_append(job->journal, MU_JOURNAL_ANSWER, text) == MU_OK;

    free(text);
    return written;
}

/* Its name may be given again by the time it is removed; a plain one goes first, so that what is
 * touched after it is another one. */
static void finish(struct mu_job *job, struct mu_job_asked *a)
{
    const bool again = a->tried_ns != 0;

    if (must_wait(a))
        return;
    a->tried_ns = mu_clock_ns();
    if (a->state == MU_ASKED_OBEYED) {
        if (!write_answer(job, a)) {
            if (!again)
                mu_log(MU_LOG_WARN,
                       "the answer to %s could not be written to the journal: it is tried again",
                       a->request.name);
            return;
        }
        a->state = MU_ASKED_ANSWERED;
        mu_fault(MU_FAULT_ANSWERED, job->life.step);
    }
    if (!mu_steer_remove(job->run_path, a->request.name)) {
        if (!again)
            mu_log(MU_LOG_WARN, "cannot remove %s/control/%s: %s", job->run_path, a->request.name,
                   strerror(errno));
        return;
    }
    forget(&job->requests, a);
}

static void finish_all(struct mu_job *job)
{
    for (uint32_t i = job->requests.count; i-- > 0;)
        if (job->requests.asked[i].state >= MU_ASKED_OBEYED)
            finish(job, &job->requests.asked[i]);
}

static void obeyed(struct mu_job *job, struct mu_job_asked *a, enum mu_steer_result result)
{
    a->state = MU_ASKED_OBEYED;
    a->answer = (struct mu_steer_answer){
        .result = result,
        .step = job->life.step,
        .saved = job->saved_step > 0 ? job->saved_step : 0,
        .seconds = job->requests.save_s,
    };
    if (result == MU_STEER_FAILED)
        mu_log(MU_LOG_WARN, "%s, asked for by %s: it could not be saved",
               mu_steer_word(a->request.kind), a->request.by[0] ? a->request.by : "a file");
}

/* ---- looking --------------------------------------------------------------------------------- */

static struct mu_job_asked *find(struct mu_job_requests *r, const char *name)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (strcmp(r->asked[i].request.name, name) == 0)
            return &r->asked[i];
    return NULL;
}

static void refuse(struct mu_job *job, struct mu_job_asked *a, const char *why)
{
    const bool is_aside = mu_steer_set_aside(job->run_path, a->request.name);

    mu_log(MU_LOG_WARN, "%s/control/%s is no request that can be obeyed: %s; %s", job->run_path,
           a->request.name, why,
           is_aside ? "it is set aside as NAME.refused" : "it is left there, and not looked at");
    a->is_refused = true;
    if (is_aside)
        forget(&job->requests, a);
}

static void greet(struct mu_job *job, const char *name)
{
    struct mu_job_requests *r = &job->requests;
    struct mu_job_asked *a = &r->asked[r->count++];
    char why[MU_STEER_WHY_MAX];

    *a = (struct mu_job_asked){.state = MU_ASKED_SEEN};
    if (!mu_steer_read(job->run_path, name, &a->request, why)) {
        why[0] ? refuse(job, a, why) : forget(r, a);
        return;
    }
    if (mu_steer_answer_find(job->run_path, &a->request, &a->answer)) {
        a->state = MU_ASKED_ANSWERED; /* by a master that died right then */
        return;
    }
    mu_log(MU_LOG_INFO, "%s is asked for by %s", mu_steer_word(a->request.kind),
           a->request.by[0] ? a->request.by : "a file in control");
}

/* Who took his request back, by removing the file, wants it no more. */
static void forget_withdrawn(struct mu_job *job)
{
    struct mu_job_requests *r = &job->requests;

    for (uint32_t i = r->count; i-- > 0;)
        if ((r->asked[i].state < MU_ASKED_OBEYED || r->asked[i].is_refused) &&
            !mu_steer_is_there(job->run_path, r->asked[i].request.name))
            forget(r, &r->asked[i]);
}

static void look(struct mu_job *job)
{
    char names[MU_STEER_MOST][MU_STEER_NAME_MAX];
    struct mu_job_requests *r = &job->requests;
    enum mu_phase before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    const uint32_t count = mu_steer_names(job->run_path, names, MU_STEER_MOST);

    if (r->count > 0)
        forget_withdrawn(job);
    for (uint32_t i = 0; i < count && r->count < MU_STEER_MOST; i++)
        if (!find(r, names[i]))
            greet(job, names[i]);
    finish_all(job);
    r->looked_ns = mu_clock_ns();
    mu_board_set_phase(job->board, before);
}

void mu_job_requests_begin(struct mu_job *job)
{
    const double age_s = 1e-9 * (double)(mu_clock_ns() - job->session->started_ns);
    const int64_t started_s = (int64_t)(mu_clock_date_s() - age_s);
    struct mu_job_requests *r = &job->requests;

    if (!is_mine(job))
        return;
    look(job);
    if (mu_started_by_launch())
        return;
    for (uint32_t i = 0; i < r->count; i++) {
        struct mu_job_asked *a = &r->asked[i];

        if (a->state >= MU_ASKED_OBEYED || a->is_refused || a->request.made_s >= started_s - 1)
            continue;
        obeyed(job, a, MU_STEER_OUTDATED);
        mu_log(MU_LOG_WARN, "%s was asked for by %s before this start of the run: not done",
               mu_steer_word(a->request.kind), a->request.by[0] ? a->request.by : "a file");
    }
    finish_all(job);
}

/* Where the newest step has its checkpoint. */
static void answer_saved(struct mu_job *job)
{
    struct mu_job_requests *r = &job->requests;

    if (job->saved_step != job->life.step || job->life.step == 0)
        return;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->asked[i].state < MU_ASKED_OBEYED && !r->asked[i].is_refused &&
            r->asked[i].request.kind == MU_STEER_CHECKPOINT)
            obeyed(job, &r->asked[i], MU_STEER_DONE);
}

uint32_t mu_job_requests_take(struct mu_job *job)
{
    struct mu_job_requests *r = &job->requests;
    uint32_t flags = 0;

    if (!is_mine(job))
        return 0;
    if (r->looked_ns == 0 || mu_clock_ns() - r->looked_ns >= look_ns) {
        look(job);
        r->save_s = 0;
        answer_saved(job);
        finish_all(job);
    }
    for (uint32_t i = 0; i < r->count; i++) {
        struct mu_job_asked *a = &r->asked[i];

        if (a->state >= MU_ASKED_OBEYED || a->is_refused)
            continue;
        a->state = MU_ASKED_RIDING;
        flags |= a->request.kind == MU_STEER_STOP ? MU_REQUEST_STOP : MU_REQUEST_CHECKPOINT;
        if (a->request.kind == MU_STEER_STOP)
            snprintf(r->stopper, sizeof r->stopper, "muster stop, %s", a->request.by);
    }
    return flags;
}

void mu_job_requests_note_stop(struct mu_job *job)
{
    snprintf(job->requests.stopper, sizeof job->requests.stopper, "control/stop");
}

void mu_job_requests_saved(struct mu_job *job, bool tried)
{
    struct mu_job_requests *r = &job->requests;

    if (!is_mine(job) || r->count == 0 || mu_job_is_stopped(job))
        return; /* else all is answered at the end */
    answer_saved(job);
    for (uint32_t i = 0; tried && i < r->count; i++)
        if (r->asked[i].state == MU_ASKED_RIDING && r->asked[i].request.kind == MU_STEER_CHECKPOINT)
            obeyed(job, &r->asked[i], MU_STEER_FAILED);
    finish_all(job);
}

void mu_job_requests_end(struct mu_job *job, bool stopped)
{
    struct mu_job_requests *r = &job->requests;

    if (!is_mine(job))
        return;
    look(job); /* also for what has come since the last step began */
    for (uint32_t i = 0; i < r->count; i++) {
        struct mu_job_asked *a = &r->asked[i];
        const bool is_for_next = stopped && a->request.kind == MU_STEER_STOP &&
                                 a->state == MU_ASKED_SEEN && mu_started_by_launch();

        if (a->state < MU_ASKED_OBEYED && !a->is_refused && !is_for_next)
            obeyed(job, a, stopped ? MU_STEER_DONE : MU_STEER_LATE);
    }
    finish_all(job);
}
