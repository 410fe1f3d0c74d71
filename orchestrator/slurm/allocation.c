#include "orchestrator/slurm/allocation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/apart.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/slurm/nodelist.h"
#include "worker/board.h"

enum {
    ANSWER_MS = 10000,
    REQUEUE_MS = 5000,
    AGAIN_MS = 1000,
    TRY_AGAIN_MS = 1000,
    PATIENCE_MS = 600000
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int64_t number(const char *name)
{
    const char *value = variable(name);

    return value ? strtoll(value, NULL, 10) : 0;
}

static void read_names(struct mu_slurm_allocation *a, const char *job)
{
    const char *array = variable("SLURM_ARRAY_JOB_ID"), *task = variable("SLURM_ARRAY_TASK_ID");

    snprintf(a->job, sizeof a->job, "%s", job);
    if (array && task)
        snprintf(a->again, sizeof a->again, "%.23s_%.23s", array, task);
    else
        snprintf(a->again, sizeof a->again, "%s", job);
}

static enum mu_status read_slots(struct mu_slurm_allocation *a)
{
    const char *tasks = variable("SLURM_TASKS_PER_NODE");
    const int64_t gpus = number("SLURM_GPUS_ON_NODE");
    uint32_t slots[MU_LADDER_HOSTS];
    enum mu_status st;

    a->by_gpus = gpus > 0 && !variable("SLURM_NTASKS");
    for (uint32_t i = 0; i < a->hosts; i++)
        slots[i] = a->by_gpus ? (uint32_t)gpus : 1;
    if (!a->by_gpus && tasks)
        MU_TRY(mu_slurm_counts(tasks, slots, a->hosts), st, failed);
    for (uint32_t i = 0; i < a->hosts; i++) {
        if (slots[i] < 1 || slots[i] > MU_BOARD_RANKS)
            return MU_FAIL(MU_FAILED, "Slurm gives node %.100s %u tasks; expected from 1 to %d",
                           a->host[i].name, slots[i], MU_BOARD_RANKS);
        a->host[i].slots = slots[i];
    }
    return MU_OK;
failed:
    return st;
}

static void put_this_first(struct mu_slurm_allocation *a)
{
    for (uint32_t i = 1; i < a->hosts; i++)
        if (mu_host_is_here(a->host[i].name)) {
            const struct mu_ladder_host here = a->host[i];

            memmove(a->host + 1, a->host, i * sizeof *a->host);
            a->host[0] = here;
            return;
        }
}

enum mu_status mu_slurm_allocation_read(struct mu_slurm_allocation *a)
{
    const char *job = variable("SLURM_JOB_ID"), *nodes = variable("SLURM_JOB_NODELIST");
    enum mu_status st;

    memset(a, 0, sizeof *a);
    a->read_ns = mu_clock_ns();
    if (!job || !nodes)
        return MU_OK;
    read_names(a, job);
    a->restarts = number("SLURM_RESTART_COUNT");
    MU_TRY(mu_slurm_nodes(nodes, a->host, &a->hosts), st, failed);
    MU_TRY(read_slots(a), st, failed);
    put_this_first(a);
    a->is_there = true;
    return MU_OK;
failed:
    return st;
}

int64_t mu_slurm_seconds(const char *text)
{
    int64_t days = 0, part[3] = {0};
    const char *dash = strchr(text, '-');
    int n = 0;
    char *end;

    if (dash) {
        days = strtoll(text, &end, 10);
        if (end != dash)
            return -1;
        text = dash + 1;
    }
    for (;;) {
        if (n == 3 || *text < '0' || *text > '9')
            return -1;
        part[n++] = strtoll(text, &end, 10);
        if (*end != ':')
            break;
        text = end + 1;
    }
    if ((*end && *end != '\n') || n < 2)
        return -1;
    return n == 3 ? days * 86400 + part[0] * 3600 + part[1] * 60 + part[2]
                  : days * 86400 + part[0] * 60 + part[1];
}

/* The answer's text is malloc'ed; NULL: there is none, which is told at that level. */
static char *ask(const char *const *words, unsigned deadline_ms, enum mu_log_level level)
{
    struct mu_apart *a = calloc(1, sizeof *a);
    char why[300], *text = NULL;

    if (!a)
        return NULL;
    mu_apart_start(a, words, deadline_ms);
    mu_apart_wait(&a, 1, NULL);
    if (mu_apart_succeeded(a)) {
        text = strdup(a->text);
    } else {
        mu_apart_explain(a, why, sizeof why);
        mu_log(level, "%s %s: %s", words[0], words[1], why);
    }
    free(a);
    return text;
}

/* "2026-11-24T01:28:58", local time; -1: it is none. Of a job that is being preempted it is when its
 * grace ends, while the time that is left goes by its limit. */
static int64_t until(const char *text)
{
    struct tm when = {.tm_isdst = -1};
    time_t end;

    if (!strptime(text, "%Y-%m-%dT%H:%M:%S", &when))
        return -1;
    end = mktime(&when);
    return end > time(NULL) ? (int64_t)(end - time(NULL)) : 0;
}

/* What squeue says, in seconds; -1: nothing, or that there is no end. */
static void ask_squeue(const struct mu_slurm_allocation *a, unsigned deadline_ms, int64_t *left,
                       int64_t *length)
{
    char *text = ask((const char *const[]){"squeue", "-h", "-j", a->job, "-o", "%L %l %e", NULL},
                     deadline_ms, MU_LOG_WARN);
    char word[3][40];

    *left = *length = -1;
    if (text && sscanf(text, "%39s %39s %39s", word[0], word[1], word[2]) == 3) {
        const int64_t end = until(word[2]);

        *left = mu_slurm_seconds(word[0]);
        *length = mu_slurm_seconds(word[1]);
        if (*left > end && end >= 0)
            *left = end;
    }
    free(text);
}

static uint64_t in_seconds(int64_t seconds)
{
    return mu_clock_ns() + (uint64_t)seconds * 1000000000u;
}

void mu_slurm_allocation_ask(struct mu_slurm_allocation *a)
{
    const int64_t end = number("SLURM_JOB_END_TIME"), start = number("SLURM_JOB_START_TIME");
    int64_t left = end - (int64_t)time(NULL), length = end - start;

    if (!end || !start) /* older Slurms do not set them */
        ask_squeue(a, ANSWER_MS, &left, &length);
    if (left <= 0)
        return;
    a->end_ns = in_seconds(left);
    a->length_ns = (uint64_t)(length > left ? length : left) * 1000000000u;
}

void mu_slurm_allocation_ask_again(struct mu_slurm_allocation *a)
{
    int64_t left, length;

    ask_squeue(a, AGAIN_MS, &left, &length);
    if (left >= 0 && (a->end_ns == 0 || in_seconds(left) < a->end_ns))
        a->end_ns = in_seconds(left);
}

void mu_slurm_allocation_tell(const struct mu_slurm_allocation *a)
{
    const uint32_t slots = mu_hosts_slots(a->host, a->hosts);
    const uint64_t now_ns = mu_clock_ns();
    char left[64] = "no end of its time known", restart[40] = "";

    if (a->end_ns > now_ns)
        snprintf(left, sizeof left, "%s left",
                 mu_amount_duration(1e-9 * (double)(a->end_ns - now_ns)).text);
    if (a->restarts > 0)
        snprintf(restart, sizeof restart, "; restart %" PRId64, a->restarts);
    mu_log(MU_LOG_INFO, "Slurm job %s: %u node%s, %u %s%s, %s%s", a->again, a->hosts,
           a->hosts == 1 ? "" : "s", slots, a->by_gpus ? "GPU" : "task slot", slots == 1 ? "" : "s",
           left, restart);
}

/* "JobState=RUNNING ": what it is in; "": no answer. */
static void ask_state(const struct mu_slurm_allocation *a, enum mu_log_level level, char word[40])
{
    char *text =
        ask((const char *const[]){"scontrol", "show", "job", a->job, NULL}, REQUEUE_MS, level);
    const char *state = text ? strstr(text, "JobState=") : NULL;

    snprintf(word, 40, "%.*s", state ? (int)strcspn(state + 9, " \n") : 0, state ? state + 9 : "");
    free(text);
}

enum answer { DONE, REFUSED, NO_ANSWER };

/* CANCELLED, PREEMPTED, and PENDING of one that was queued again are not ours to change. */
static enum answer requeue(const struct mu_slurm_allocation *a, enum mu_log_level level)
{
    char word[40], *text;

    ask_state(a, level, word);
    if (!word[0])
        return NO_ANSWER;
    if (strcmp(word, "RUNNING") != 0 && strcmp(word, "TIMEOUT") != 0) {
        mu_log(MU_LOG_INFO, "Slurm job %s is not queued again from here: it is %s", a->again, word);
        return DONE;
    }
    text = ask((const char *const[]){"scontrol", "requeue", a->again, NULL}, REQUEUE_MS, level);
    if (!text)
        return REFUSED;
    free(text);
    mu_log(MU_LOG_INFO, "Slurm job %s is queued again, and goes on when it starts", a->again);
    return DONE;
}

/* How long it is worth trying: the time of the job may end before. */
static uint64_t patience_ms(const struct mu_slurm_allocation *a)
{
    const uint64_t now_ns = mu_clock_ns(), most_ms = PATIENCE_MS;
    uint64_t left_ms;

    if (a->end_ns == 0)
        return most_ms;
    left_ms = a->end_ns > now_ns ? (a->end_ns - now_ns) / 1000000u : 0;
    return left_ms < most_ms ? left_ms : most_ms;
}

void mu_slurm_requeue(const struct mu_slurm_allocation *a)
{
    const uint64_t patience = patience_ms(a);
    const struct mu_deadline end = mu_deadline_in_ms(patience);
    enum answer answer;
    int refusals = 0;

    for (bool told = false;; told = true) {
        answer = requeue(a, told ? MU_LOG_DEBUG : MU_LOG_WARN);
        refusals += answer == REFUSED; /* once: the controller may have gone in between */
        if (answer == DONE || refusals > 1 || mu_deadline_passed(end))
            break;
        if (!told && answer == NO_ANSWER)
            mu_log(MU_LOG_WARN,
                   "Slurm's controller does not answer: job %s waits for it, to be queued again, "
                   "for up to %s",
                   a->again, mu_amount_duration(1e-3 * (double)patience).text);
        mu_clock_sleep_us(1000 * TRY_AGAIN_MS);
    }
    if (answer != DONE)
        mu_log(MU_LOG_WARN,
               "Slurm did not queue job %s again%s; to go on, submit the same script again",
               a->again, answer == REFUSED ? " (was it submitted with --requeue?)" : "");
}
