/* What is said and left behind when a job cannot go on: one plain sentence from the lowest rank
 * that lives, status.json, and no segment unless a launcher goes on with it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/master/job.h"
#include "worker/parts.h"

enum {
    NEWS_MS = 100,       /* for the news of a death to reach this rank by its own MPI */
    FAREWELL_MS = 3000,  /* for the rank that speaks to have spoken, on this host */
    ELSEWHERE_MS = 1000, /* and on another one, where nobody here sees it leave */
    MAX_NAMED = 8,
};

struct dead {
    int rank[MAX_NAMED];
    int count;
};

static bool is_named(const struct dead *d, int rank)
{
    for (int i = 0; i < d->count; i++)
        if (d->rank[i] == rank)
            return true;
    return false;
}

static void name(struct dead *d, int rank)
{
    if (d->count < MAX_NAMED && !is_named(d, rank))
        d->rank[d->count++] = rank;
}

/* Everybody who is known to be dead, by MPI or by the board. */
static void find_known_dead(struct mu_job *job, struct dead *d)
{
    int places[MAX_NAMED], n = mu_comm_dead(job->comm, places, MAX_NAMED);

    for (int i = 0; i < n && i < MAX_NAMED; i++)
        name(d, mu_comm_name(job->comm, places[i]));
    for (int i = 0; i < mu_comm_size(job->comm); i++) {
        int rank = mu_comm_name(job->comm, i);
        const struct mu_board_entry *e = mu_board_entry(job->board, rank);

        if (e && !mu_board_is_alive(e))
            name(d, rank);
    }
}

/* The same, when there must be somebody. */
static struct dead find_dead(struct mu_job *job)
{
    struct dead d = {.count = 0};
    struct mu_deadline deadline = mu_deadline_in_ms(NEWS_MS);

    while (!mu_deadline_passed(deadline) && d.count == 0) {
        if (mu_comm_poll(job->comm) == MU_OK)
            mu_clock_sleep_us(1000);
        find_known_dead(job, &d);
    }
    return d;
}

/* "rank 3 died (pid 42, last seen at: backward, step 812)" for each. */
static void describe(const struct mu_job *job, const struct dead *d, char *out, size_t capacity)
{
    size_t n = 0;

    out[0] = 0;
    for (int i = 0; i < d->count && n < capacity; i++)
        n += (size_t)snprintf(out + n, capacity - n, "%srank %d died%s", i ? ", " : "", d->rank[i],
                              mu_board_last_seen(mu_board_entry(job->board, d->rank[i])).text);
    if (d->count == 0)
        snprintf(out, capacity, "another rank cannot go on");
}

/* Whether this rank is the lowest that lives, and so the one that speaks. The others stay until it
 * has spoken and left: when one rank was killed, mpirun may end, and all with it, as soon as some
 * other one leaves. */
static bool is_speaker(struct mu_job *job, struct dead *dead)
{
    struct mu_deadline deadline = mu_deadline_in_ms(FAREWELL_MS);
    bool was_here = false;

    for (;;) {
        const struct mu_board_entry *e;
        int place = 0, speaker;

        while (place < mu_comm_rank(job->comm) && is_named(dead, mu_comm_name(job->comm, place)))
            place++;
        if (place == mu_comm_rank(job->comm))
            return true;
        speaker = mu_comm_name(job->comm, place);
        e = mu_board_entry(job->board, speaker);
        if (!e && !was_here)
            mu_clock_sleep_us(1000 * ELSEWHERE_MS);
        if (!e || mu_deadline_passed(deadline))
            return false;
        was_here = true;
        if (!mu_board_is_alive(e))
            name(dead, speaker);
        mu_clock_sleep_us(1000);
    }
}

/* status.json, by whoever holds the run directory's lock, or gets it now that the master is
 * dead. */
static void put_outcome(struct mu_job *job, const char *message, const struct dead *dead)
{
    struct mu_run_losses losses;

    if (!job->run && (!job->run_path[0] || mu_run_dir_lock(job->run_path, &job->run) != MU_OK))
        return;
    losses = mu_run_dir_losses(job->run);
    if (mu_ledger_total_us(&job->status.goodput) == 0)
        job->status.goodput = mu_run_dir_kept(job->run).goodput;
    job->status.goodput.events[MU_LEDGER_DEATHS] += (uint64_t)dead->count;
    job->status.state = MU_RUN_ENDED;
    job->status.outcome = MU_OUTCOME_FAILED;
    job->status.has_died = dead->count > 0;
    job->status.dead_rank = dead->rank[0];
    job->status.step = job->life.step;
    job->status.steps = job->settings.run_steps;
    job->status.ranks = (int)job->roll.size;
    job->status.hosts = mu_job_hosts(job);
    job->status.workers = (int)job->worker.crew.count;
    job->status.saved_step = job->saved_step;
    job->status.loss = losses.last_train;
    job->status.valid_loss = losses.last_valid;
    snprintf(job->status.message, sizeof job->status.message, "%.255s", message);
    mu_run_dir_put_status(job->run, &job->status);
}

static void end_progress(struct mu_job *job)
{
    mu_log_set_where(NULL);
    mu_job_move(job, MU_LIFE_ON_FAIL);
    mu_progress_close(job->progress);
    job->progress = NULL;
}

bool mu_job_is_agreed(const struct mu_job *job, enum mu_status st)
{
    return st != MU_OK && st == job->control.verdict && job->poller->status == MU_OK;
}

static void write_failure(struct mu_job *job, enum mu_status st)
{
    char message[256];

    if (!job->is_master || !job->run)
        return;
    if (!job->journal && st == MU_CONFIG)
        return; /* this start was refused; the run is what it was */
    if (!job->journal)
        snprintf(message, sizeof message, "%s before the first step", mu_status_meaning(st));
    else if (job->saved_step > 0)
        snprintf(message, sizeof message,
                 "%s at step %" PRId64 "; the newest checkpoint is of step %" PRId64,
                 mu_status_meaning(st), job->life.step, job->saved_step);
    else
        snprintf(message, sizeof message, "%s at step %" PRId64 "; there is no checkpoint",
                 mu_status_meaning(st), job->life.step);
    job->status.agreed = !mu_parts_are_lost(job->worker.resident.parts); /* a launcher goes on */
    put_outcome(job, message, &(struct dead){.count = 0});
}

/* All part before any of them leaves: else one that dies now would leave some ranks in a round, or
 * a repair, that the others never come to. */
enum mu_status mu_job_fail_together(struct mu_job *job, enum mu_status failure)
{
    enum mu_phase before = mu_board_set_phase(job->board, MU_PHASE_RECORDING);
    enum mu_status st;

    mu_log_set_where(NULL);
    write_failure(job, failure);
    MU_TRY(mu_job_take_leave(job), st, failed);
    job->control.verdict = st = failure;
failed:
    mu_board_set_phase(job->board, before);
    return st;
}

/* Until ranks on other hosts have noticed too: one that noticed later would take the speaker, who
 * has left, for another dead rank, and speak again. */
static void linger(struct mu_job *job)
{
    struct mu_deadline deadline = mu_deadline_in_ms(ELSEWHERE_MS);

    while (!mu_deadline_passed(deadline)) {
        if (mu_comm_poll(job->comm) != MU_OK) /* carries the revocation on; what it says is known */
            mu_clock_sleep_us(1000);
    }
}

/* Whether some other rank lives that is not about to leave. */
static bool others_go_on(struct mu_job *job)
{
    struct dead dead = {.count = 0};

    find_known_dead(job, &dead);
    for (int i = 0; i < mu_comm_size(job->comm); i++) {
        int rank = mu_comm_name(job->comm, i);
        const struct mu_board_entry *e = mu_board_entry(job->board, rank);

        if (i != mu_comm_rank(job->comm) && !is_named(&dead, rank) &&
            (!e || mu_board_phase(e) != MU_PHASE_LEAVING))
            return true;
    }
    return false;
}

/* Until the others of this host are gone: one of them may hold the run directory's lock. */
static void outlive_others(struct mu_job *job)
{
    struct mu_deadline deadline = mu_deadline_in_ms(FAREWELL_MS);

    for (int i = 0; i < mu_comm_size(job->comm); i++) {
        const struct mu_board_entry *e = mu_board_entry(job->board, mu_comm_name(job->comm, i));

        while (e && i != mu_comm_rank(job->comm) && mu_board_is_alive(e) &&
               !mu_deadline_passed(deadline))
            mu_clock_sleep_us(1000);
    }
}

void mu_job_die_alone(struct mu_job *job, enum mu_status st)
{
    bool others;

    if (mu_status_is_death(st) || !mu_comm_is_fault_tolerant(job->comm))
        return;
    mu_board_set_phase(job->board,
                       MU_PHASE_LEAVING); /* first: of two that fail at once, both see */
    others = others_go_on(job);
    job->has_last_word = job->has_last_word || (!others && mu_board_claim_last_word(job->board));
    if (!others && job->has_last_word) {
        outlive_others(job);
        return;
    }
    end_progress(job);
    mu_log(MU_LOG_ERROR, "rank %d failed: %s; it leaves%s", mu_board_own_rank(job->board),
           mu_status_meaning(st), others ? ", and the others go on without it" : "");
    mu_comm_die();
}

bool mu_job_has_lost_gpu(const struct mu_job *job)
{
    return job->settings.device_kind == MU_DEVICE_CUDA && job->device &&
           mu_device_verify(job->device) != MU_OK;
}

void mu_job_leave_broken(struct mu_job *job, enum mu_status own)
{
    bool is_broken =
        job->device ? job->device->broken && job->device->status == MU_FAILED : own == MU_FAILED;

    if (own != MU_OK && is_broken && job->settings.device_kind == MU_DEVICE_CUDA &&
        mu_comm_size(job->comm) > 1)
        mu_job_die_alone(job, MU_FAILED);
}

enum mu_status mu_job_agree(struct mu_job *job, enum mu_status own)
{
    mu_job_leave_broken(job, own);
    return mu_control_agree(&job->control, own);
}

void mu_job_report_failure(struct mu_job *job, enum mu_status st)
{
    bool knows_run = job->life.state >= MU_LIFE_PREPARING;
    char what[160], message[256];
    struct dead dead = {.count = 0};
    bool speaks = true;

    end_progress(job);
    if (mu_status_is_death(st)) {
        dead = find_dead(job);
        mu_comm_revoke(job->comm);
        speaks = is_speaker(job, &dead) &&
                 mu_board_claim_news(job->board, dead.count > 0 ? dead.rank[0] : -1);
        describe(job, &dead, what, sizeof what);
    } else { /* reported at its origin, which is here */
        mu_comm_revoke(job->comm);
        snprintf(what, sizeof what, "rank %d failed: %s", mu_board_own_rank(job->board),
                 mu_status_meaning(st));
    }
    if (speaks) {
        if (job->saved_step > 0)
            snprintf(message, sizeof message,
                     "%s in step %" PRId64 ". The newest checkpoint is of step %" PRId64
                     ": the same command goes on from there",
                     what, job->life.step + 1, job->saved_step);
        else
            snprintf(message, sizeof message,
                     "%s in step %" PRId64
                     ". There is no checkpoint yet: the same command begins again",
                     what, job->life.step + 1);
        mu_log(MU_LOG_ERROR, "%s", message);
        if (knows_run)
            put_outcome(job, message, &dead);
    }
    if (speaks && job->roll.hosts > 1)
        linger(job);
    mu_worker_take_back(&job->worker);
    /* A launcher keeps the state for the next generation. */
    mu_snapshots_close(&job->snapshots, !mu_started_by_launch());
    mu_segment_close(&job->segment, !mu_started_by_launch());
}
