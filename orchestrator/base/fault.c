/* MUSTER_FAULT is read once into a table; a passage walks it, which costs nothing while it is
 * empty. The mark of the last point passed is kept with or without faults: it lies on the
 * board, where others read it after this rank's death. */
#include "orchestrator/base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault_gpu.h"
#include "orchestrator/base/log.h"

enum action {
    ACTION_KILL,
    ACTION_STOP,
    ACTION_SEGV,
    ACTION_EXIT,
    ACTION_FAIL,
    ACTION_SLEEP,
    ACTION_GPU,
    ACTION_NONE
};
enum { MAX_FAULTS = 16, MOST_SLEEP_MS = 3600000, MOST_GPU_ERROR = 9999, ANY = -1 };

static const char *const point_names[MU_FAULT_COUNT] = {
#define MU_FAULT_NAME(id, name, where) name,
    MU_FAULT_TABLE(MU_FAULT_NAME)
#undef MU_FAULT_NAME
};

static struct fault {
    enum mu_fault_point point;
    enum action action;
    int64_t rank, step; /* or ANY */
    int64_t let_through, sleep_ms, gpu_error;
} faults[MAX_FAULTS];
static int fault_count, own_rank;
static _Atomic int gpu_error;
static struct mu_fault_mark *own_mark;

/* Decimal digits and nothing else, at most `most`. */
static bool parse_number(const char *text, int64_t most, int64_t *out)
{
    int64_t value = 0;

    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || value > (most - (*p - '0')) / 10)
            return false;
        value = 10 * value + (*p - '0');
    }
    *out = value;
    return *text != 0;
}

static bool parse_number_or_any(const char *text, int64_t most, int64_t *out)
{
    *out = ANY;
    return strcmp(text, "*") == 0 || parse_number(text, most, out);
}

static bool parse_action(const char *text, struct fault *f)
{
    static const char *const names[] = {"kill", "stop", "segv", "exit", "fail"};

    for (int i = 0; i < 5; i++)
        if (strcmp(text, names[i]) == 0) {
            f->action = (enum action)i;
            return true;
        }
    if (strncmp(text, "gpu-", 4) == 0) {
        f->action = ACTION_GPU;
        return parse_number(text + 4, MOST_GPU_ERROR, &f->gpu_error) && f->gpu_error > 0;
    }
    f->action = ACTION_SLEEP;
    return strncmp(text, "sleep-", 6) == 0 && parse_number(text + 6, MOST_SLEEP_MS, &f->sleep_ms);
}

static bool parse_point(const char *text, struct fault *f)
{
    for (int i = 0; i < MU_FAULT_COUNT; i++)
        if (strcmp(text, point_names[i]) == 0) {
            f->point = (enum mu_fault_point)i;
            return true;
        }
    return false;
}

static bool parse_field(const char *field, struct fault *f)
{
    if (strncmp(field, "rank:", 5) == 0)
        return parse_number_or_any(field + 5, INT32_MAX, &f->rank);
    if (strncmp(field, "step:", 5) == 0)
        return parse_number_or_any(field + 5, INT64_MAX, &f->step);
    if (strncmp(field, "count:", 6) == 0)
        return parse_number(field + 6, INT64_MAX, &f->let_through);
    if (strncmp(field, "do:", 3) == 0)
        return parse_action(field + 3, f);
    return strncmp(field, "at:", 3) == 0 && parse_point(field + 3, f);
}

enum mu_status mu_fault_init(void)
{
    const char *given = getenv("MUSTER_FAULT");
    char text[1024], *outer = NULL;

    fault_count = 0;
    atomic_store(&gpu_error, 0);
    if (!given || !*given)
        return MU_OK;
    if (strlen(given) >= sizeof text)
        return MU_FAIL(MU_USAGE, "MUSTER_FAULT is longer than %zu characters", sizeof text - 1);
    strcpy(text, given);
    for (char *one = strtok_r(text, ";", &outer); one; one = strtok_r(NULL, ";", &outer)) {
        struct fault f = {.point = MU_FAULT_COUNT, .action = ACTION_NONE, .rank = ANY, .step = ANY};
        char *inner = NULL;

        for (char *field = strtok_r(one, ",", &inner); field; field = strtok_r(NULL, ",", &inner))
            if (!parse_field(field, &f))
                return MU_FAIL(MU_USAGE,
                               "MUSTER_FAULT: cannot read '%s' in '%s'; expected "
                               "rank:2,at:backward,step:30,do:kill",
                               field, given);
        if (f.point == MU_FAULT_COUNT || f.action == ACTION_NONE)
            return MU_FAIL(MU_USAGE, "MUSTER_FAULT: a fault needs at:POINT and do:WHAT; got '%s'",
                           given);
        if (fault_count == MAX_FAULTS)
            return MU_FAIL(MU_USAGE, "MUSTER_FAULT: more than %d faults: '%s'", MAX_FAULTS, given);
        faults[fault_count++] = f;
    }
    return MU_OK;
}

void mu_fault_set_rank(int rank)
{
    own_rank = rank;
}

void mu_fault_set_mark(struct mu_fault_mark *mark)
{
    own_mark = mark;
}

const char *mu_fault_point_name(enum mu_fault_point point)
{
    return (unsigned)point < MU_FAULT_COUNT ? point_names[point] : "?";
}

static bool act(const struct fault *f)
{
    mu_log(MU_LOG_DEBUG, "fault at %s", point_names[f->point]);
    switch (f->action) {
    case ACTION_KILL:
        raise(SIGKILL);
        break;
    case ACTION_STOP:
        raise(SIGSTOP);
        break;
    case ACTION_SEGV:
        raise(SIGSEGV);
        break;
    case ACTION_EXIT:
        _exit(3);
    case ACTION_SLEEP:
        mu_clock_sleep_us((unsigned)f->sleep_ms * 1000u);
        break;
    case ACTION_GPU:
        atomic_store(&gpu_error, (int)f->gpu_error);
        break;
    case ACTION_FAIL:
        return true;
    case ACTION_NONE:
        break;
    }
    return false;
}

int mu_fault_take_gpu_error(void)
{
    return atomic_exchange(&gpu_error, 0);
}

bool mu_fault(enum mu_fault_point point, int64_t step)
{
    bool fail = false;

    if (own_mark && point < MU_FAULT_TELL) {
        atomic_store_explicit(&own_mark->step, step, memory_order_relaxed);
        atomic_store_explicit(&own_mark->point, (uint32_t)point, memory_order_relaxed);
    }
    for (int i = 0; i < fault_count; i++) {
        struct fault *f = &faults[i];

        if (f->point != point || (f->rank != ANY && f->rank != own_rank) ||
            (f->step != ANY && f->step != step))
            continue;
        if (f->let_through > 0)
            f->let_through--;
        else
            fail |= act(f);
    }
    return fail;
}
