#include "orchestrator/base/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

enum action { ACTION_KILL, ACTION_STOP, ACTION_SEGV, ACTION_EXIT, ACTION_FAIL, ACTION_SLEEP };
enum { MAX_FAULTS = 16 };

static const char *const point_names[MU_FAULT_COUNT] = {
#define MU_FAULT_NAME(id, name, where) name,
    MU_FAULT_TABLE(MU_FAULT_NAME)
#undef MU_FAULT_NAME
};

static struct fault {
    enum mu_fault_point point;
    enum action action;
    int rank;     /* -1: any */
    int64_t step; /* -1: any */
    long let_through;
    unsigned sleep_ms;
} faults[MAX_FAULTS];
static int fault_count, own_rank;
static struct mu_fault_mark *own_mark;

static bool parse_action(const char *text, struct fault *f)
{
    static const char *const names[] = {"kill", "stop", "segv", "exit", "fail"};

    for (int i = 0; i < 5; i++)
        if (strcmp(text, names[i]) == 0) {
            f->action = (enum action)i;
            return true;
        }
    f->action = ACTION_SLEEP;
    return sscanf(text, "sleep-%u", &f->sleep_ms) == 1;
}

static bool parse_field(char *field, struct fault *f)
{
    char *value = strchr(field, ':');

    if (!value)
        return false;
    *value++ = 0;
    if (strcmp(field, "rank") == 0) {
        f->rank = strcmp(value, "*") == 0 ? -1 : atoi(value);
        return true;
    }
    if (strcmp(field, "step") == 0) {
        f->step = strcmp(value, "*") == 0 ? -1 : atoll(value);
        return true;
    }
    if (strcmp(field, "count") == 0)
        return (f->let_through = atol(value)) >= 0;
    if (strcmp(field, "do") == 0)
        return parse_action(value, f);
    if (strcmp(field, "at") != 0)
        return false;
    for (int i = 0; i < MU_FAULT_COUNT; i++)
        if (strcmp(value, point_names[i]) == 0) {
            f->point = (enum mu_fault_point)i;
            return true;
        }
    return false;
}

enum mu_status mu_fault_init(void)
{
    const char *given = getenv("MUSTER_FAULT");
    char text[1024], *outer = NULL;

    fault_count = 0;
    if (!given || !*given)
        return MU_OK;
    if (strlen(given) >= sizeof text)
        return MU_FAIL(MU_USAGE, "MUSTER_FAULT is longer than %zu characters", sizeof text - 1);
    strcpy(text, given);
    for (char *one = strtok_r(text, ";", &outer); one; one = strtok_r(NULL, ";", &outer)) {
        struct fault f = {.point = MU_FAULT_COUNT, .rank = -1, .step = -1};
        char *inner = NULL;

        for (char *field = strtok_r(one, ",", &inner); field; field = strtok_r(NULL, ",", &inner))
            if (!parse_field(field, &f))
                return MU_FAIL(MU_USAGE,
                               "MUSTER_FAULT: cannot read '%s' in '%s'; expected "
                               "rank:2,at:backward,step:30,do:kill",
                               field, given);
        if (f.point == MU_FAULT_COUNT || fault_count == MAX_FAULTS)
            return MU_FAIL(
                MU_USAGE, "MUSTER_FAULT: every fault needs at:POINT, and there may be %d; got '%s'",
                MAX_FAULTS, given);
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
        mu_clock_sleep_us(f->sleep_ms * 1000u);
        break;
    case ACTION_FAIL:
        return true;
    }
    return false;
}

bool mu_fault(enum mu_fault_point point, int64_t step)
{
    bool fail = false;

    if (own_mark) {
        atomic_store_explicit(&own_mark->step, step, memory_order_relaxed);
        atomic_store_explicit(&own_mark->point, (uint32_t)point, memory_order_relaxed);
    }
    for (int i = 0; i < fault_count; i++) {
        struct fault *f = &faults[i];

        if (f->point != point || (f->rank >= 0 && f->rank != own_rank) ||
            (f->step >= 0 && f->step != step))
            continue;
        if (f->let_through > 0)
            f->let_through--;
        else
            fail |= act(f);
    }
    return fail;
}
