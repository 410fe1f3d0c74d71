/* R1 as a job lives it. The repair itself (worker/recover.h, session.c) runs inside mu_poll, in the
 * middle of whatever this rank is doing; it changes the roll, the plan and the rounds' epoch, and
 * says who died. Everything else waits until the rank has come back to its loop with MU_RECOVERED:
 * then it takes up what it has to do now (mu_job_take_roll).
 *
 * The duties of a committed step are done again from the beginning unless the master is known to
 * have finished them: evaluation, hash, record and checkpoint are the same whoever does them, and
 * what is there already is left out. So a new master needs nothing from the old one. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"

/* Appends to a text that may be cut off. */
__attribute__((format(printf, 3, 4))) static void add(char *text, size_t capacity,
                                                      const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, capacity - used, format, arguments);
    va_end(arguments);
}

static void add_deaths(const struct mu_job *job, char *text, size_t capacity)
{
    const struct mu_recovery *r = job->recovery;

    for (int i = 0; i < r->lost_count; i++) {
        const struct mu_board_entry *e = mu_board_entry(job->board, r->lost[i]);
        char why[256];

        add(text, capacity, "%s", i > 0 ? ", " : "");
        if (r->lost[i] == job->session->gpu.leaver) {
            add(text, capacity, "rank %d, which has no GPU, left", r->lost[i]);
            continue;
        }
        if (e && mu_board_tell_fence(e, r->lost[i], why, sizeof why)) {
            add(text, capacity, "%s", why);
            continue;
        }
        add(text, capacity, "rank %d died%s", r->lost[i], mu_board_last_seen(e).text);
    }
}

/* "; 2 shards are computed again" */
static void add_shards(const struct mu_job *job, char *text, size_t capacity)
{
    uint32_t lost = mu_shard_set_count(&job->recovery->plan.again);

    if (lost > 0)
        add(text, capacity, "; %u shard%s computed again", lost, lost == 1 ? " is" : "s are");
}

/* Who leaves for want of a GPU has not died. */
static uint64_t deaths(const struct mu_job *job)
{
    uint64_t n = 0;

    for (int i = 0; i < job->recovery->lost_count; i++)
        n += job->recovery->lost[i] != job->session->gpu.leaver;
    return n;
}

static void tell(struct mu_job *job)
{
    char text[512] = "";
    int size = mu_comm_size(job->comm);

    /* Who is missing when all is done has left: a rank may hear the last word late. */
    if (job->recovery->lost_count == 0 || mu_comm_rank(job->comm) != 0 ||
        job->recovery->plan.finished)
        return;
    add_deaths(job, text, sizeof text);
    if (job->recovery->plan.restart)
        add(text, sizeof text, " before the ranks held a state");
    else
        add_shards(job, text, sizeof text);
    if (!job->is_master)
        add(text, sizeof text, "; rank %d is the master now", mu_comm_name(job->comm, 0));
    add(text, sizeof text, "; %d rank%s after %.3f s", size, size == 1 ? " goes on" : "s go on",
        1e-9 * (double)job->recovery->took_ns);
    mu_log(MU_LOG_WARN, "%s", text);
    mu_ledger_count(&job->poller->ledger, MU_LEDGER_DEATHS, deaths(job));
    mu_ledger_count(&job->poller->ledger, MU_LEDGER_RECOVERIES, 1);
    add(job->news, sizeof job->news, "%s%.200s", job->news[0] ? ". " : "", text);
}

static void count_crashes(struct mu_job *job)
{
    const struct mu_recovery *r = job->recovery;

    if (r->lost_count == 0 || r->plan.finished)
        return;
    if (job->crashes.step != r->plan.step)
        job->crashes = (struct mu_trial_crashes){.step = r->plan.step};
    job->crashes.count++;
}

bool mu_job_crashes(const struct mu_job *job)
{
    return job->trial && job->crashes.count > job->trial->retries + 1;
}

void mu_job_recovered(void *context)
{
    struct mu_job *job = context;

    job->life.epoch = job->session->epoch;
    job->control =
        mu_control_init(job->comm, job->poller, job->life.epoch, job->control.deadline_ms);
    tell(job);
    count_crashes(job);
}

/* What the newest plan says of the boundary between two steps. */
static void take_duties(struct mu_job *job)
{
    const struct mu_recovery_plan *p = &job->recovery->plan;

    if (p->duties < p->step)
        job->duties_done = p->step - 1;
    else
        job->duties_done = p->step;
    job->recovery->duties = job->duties_done; /* now this rank knows it too */
    job->over = false;
}

static void write_news(struct mu_job *job)
{
    char record[512];

    if (!job->news[0])
        return;
    snprintf(record, sizeof record, "{\"date\":\"%s\",\"event\":\"%s\"}", mu_clock_date().text,
             job->news);
    job->news[0] = 0;
    if (mu_journal_append(job->journal, MU_JOURNAL_EVENT, record) != MU_OK)
        mu_log(MU_LOG_WARN, "a death could not be written to the journal");
}

/* Somebody died in the parting: what was to be the end was not. */
static void take_back_end(struct mu_job *job)
{
    job->status.outcome = MU_OUTCOME_NONE;
    job->status.agreed = false;
}

/* Somebody may die meanwhile, again and again: what holds is the newest roll. */
static enum mu_status accept_roll(struct mu_job *job)
{
    enum mu_status st;

    do {
        mu_poller_accept(job->poller);
        st = job->worker.resident.state ? mu_poller_take(job->poller, mu_fetch_serve(&job->worker))
                                        : MU_OK;
    } while (st == MU_RECOVERED);
    return st;
}

enum mu_status mu_job_take_roll(struct mu_job *job)
{
    enum mu_status st;

    mu_job_move(job, MU_LIFE_ON_RECOVER);
    MU_TRY(accept_roll(job), st, failed);
    mu_log_set_where(NULL);
    job->is_master = mu_comm_rank(job->comm) == 0;
    if (mu_job_crashes(job))
        return job->control.verdict = MU_FAILED; /* all have heard of the same deaths */
    take_duties(job);
    take_back_end(job);
    if (job->is_master && !job->journal)
        MU_TRY(mu_job_open_records(job), st, failed);
    mu_job_settle(job); /* who was to do so may be dead */
    if (job->is_master) {
        job->status.ranks = (int)job->roll.size;
        job->status.hosts = mu_job_hosts(job);
        write_news(job);
        mu_job_put_ranks(job);
        mu_job_put_status(job, MU_RUN_RUNNING, "training"); /* deaths are counted there */
    }
    mu_job_move(job, MU_LIFE_ON_RUN);
failed:
    return st;
}

static bool has_settled(const struct mu_job *job)
{
    const struct mu_segment_header *own = job->segment.header,
                                   *copy = job->snapshots.segment.header;

    return (own && atomic_load(&own->settled)) || (copy && atomic_load(&copy->settled));
}

void mu_job_begin_again(struct mu_job *job, bool *again)
{
    job->poller->status = MU_OK;
    job->poller->missed_ns = 0;
    take_back_end(job);
    job->is_master = mu_comm_rank(job->comm) == 0;
    *again = job->recovery->plan.restart;
    if (*again && has_settled(job)) { /* what was taken up is taken up again */
        mu_worker_take_back(&job->worker);
        mu_snapshots_close(&job->snapshots, false);
        mu_segment_close(&job->segment, false);
    }
    if (*again) {
        mu_resident_drop_peers(&job->worker); /* some of whom are dead */
        mu_job_close_parts(job);
    } else {
        mu_job_name_fingerprint(job);
    }
}

enum mu_status mu_job_recover_start(struct mu_job *job, bool *again)
{
    enum mu_status st;

    mu_job_move(job, MU_LIFE_ON_RECOVER);
    MU_TRY(mu_session_recover(job->session), st, failed);
    mu_job_begin_again(job, again);
failed:
    return st;
}

/* The round lets all come here at about the same time: in the parting itself nobody polls. */
enum mu_status mu_job_take_leave(struct mu_job *job)
{
    const enum mu_recovery_phase phase = job->recovery->phase;
    enum mu_status st;

    MU_TRY(mu_control_agree(&job->control, MU_OK), st, failed);
    if (job->trial || !job->recovery->dead || mu_comm_size(job->comm) == 1)
        return MU_OK; /* who leaves a trial stays in the session, and can be asked */
    job->recovery->phase =
        phase == MU_RECOVERY_STARTING ? MU_RECOVERY_REFUSED : MU_RECOVERY_FINISHED;
    st = mu_session_recover(job->session);
    job->recovery->phase = phase;
    if (st == MU_OK && !job->recovery->plan.finished)
        return MU_RECOVERED;                       /* somebody else died before it knew */
    job->is_master = mu_comm_rank(job->comm) == 0; /* its exit code is mpirun's */
failed:
    return st;
}
