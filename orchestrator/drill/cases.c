#include "orchestrator/drill/cases.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/status.h"

struct list {
    struct mu_drill_case *at;
    int count;
    int64_t ranks, steps;
};

/* So that signals meet a run that is still under way; in the first generation only. mpirun takes
 * half a second to obey SIGTERM, and ranks are killed one after the other. */
#define SLOWLY      "at:flip,do:sleep-40"
#define MORE_SLOWLY "at:flip,do:sleep-150"

static struct mu_drill_case *add(struct list *l, const char *name, const char *what,
                                 int64_t least_ranks)
{
    struct mu_drill_case *c = &l->at[l->count++];

    MU_ASSERT(l->count <= MU_DRILL_CASES);
    *c = (struct mu_drill_case){.ranks = l->ranks > least_ranks ? l->ranks : least_ranks,
                                .at_step = l->steps / 2};
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->what, sizeof c->what, "%s", what);
    return c;
}

/* One more SIGKILL of that rank at a named point; step < 0: at the first passage. */
static void kill_at(struct mu_drill_case *c, int64_t rank, enum mu_fault_point point, int64_t step)
{
    size_t n = strlen(c->fault);

    n += (size_t)snprintf(c->fault + n, sizeof c->fault - n, "%srank:%" PRId64 ",at:%s,do:kill",
                          n > 0 ? ";" : "", rank, mu_fault_point_name(point));
    if (step >= 0)
        n += (size_t)snprintf(c->fault + n, sizeof c->fault - n, ",step:%" PRId64, step);
    MU_ASSERT(n < sizeof c->fault);
    c->points |= 1u << point;
    c->expected++;
}

static void send(struct mu_drill_case *c, enum mu_drill_target target, int rank, int number)
{
    MU_ASSERT(c->signals < MU_DRILL_SIGNALS);
    c->signal[c->signals++] = (struct mu_drill_signal){target, rank, number};
    c->expected++;
    snprintf(c->fault, sizeof c->fault, SLOWLY);
}

/* A stop with a checkpoint, beyond another checkpoint; what is in memory is not to help then. */
static void stop_and_forget(struct mu_drill_case *c)
{
    send(c, MU_DRILL_LAUNCHER, 0, SIGTERM);
    c->forget = true;
    c->expected = 1;
}

/* In the middle of a step, half way; the others are passed where there is something to do there. */
static bool is_in_step(enum mu_fault_point point)
{
    return point >= MU_FAULT_FORWARD && point <= MU_FAULT_FLIP;
}

static bool is_in_recovery(enum mu_fault_point point)
{
    return point == MU_FAULT_SHRINK || point == MU_FAULT_EXCHANGE || point == MU_FAULT_AGREE;
}

/* Points at which a rank may die; the rest are failures of disks, locks and arithmetic, or passed
 * by some GPUs alone, or in sweeps. */
static bool is_for_killing(enum mu_fault_point point)
{
    return point != MU_FAULT_DEAL && point != MU_FAULT_GATHER && point != MU_FAULT_SAVE_DISK &&
           point != MU_FAULT_LOCK && point != MU_FAULT_CORRUPT && point < MU_FAULT_ORDER;
}

static void add_point(struct list *l, enum mu_fault_point point, bool master)
{
    static const char *const places[MU_FAULT_COUNT] = {
#define PLACE(id, name, where) where,
        MU_FAULT_TABLE(PLACE)
#undef PLACE
    };
    char name[sizeof l->at->name], what[sizeof l->at->what];
    struct mu_drill_case *c;
    int64_t middle = l->steps / 2 - 1;
    int victim = master ? 0 : 1;
    bool is_state = point == MU_FAULT_ADDED || point == MU_FAULT_REDUCED ||
                    point == MU_FAULT_PUBLISHED || point == MU_FAULT_HASH; /* not "in" */

    snprintf(name, sizeof name, "kill-%s-%s", master ? "master" : "worker",
             mu_fault_point_name(point));
    snprintf(what, sizeof what, "SIGKILL of %s %s%s", master ? "the master" : "a worker",
             is_state ? "when " : "", point == MU_FAULT_START ? "in MPI_Init" : places[point]);
    c = add(l, name, what, is_in_recovery(point) ? 3 : 2);
    if (is_in_recovery(point)) {
        kill_at(c, 1, MU_FAULT_BACKWARD, middle);
        kill_at(c, master ? 0 : 2, point, -1);
    } else if (point == MU_FAULT_LOAD) {
        stop_and_forget(c);
        snprintf(c->fault_after, sizeof c->fault_after, "rank:%d,at:load,do:kill", victim);
        c->points = 1u << MU_FAULT_LOAD;
    } else {
        kill_at(c, victim, point, is_in_step(point) ? middle : -1);
    }
}

static void add_several(struct list *l)
{
    static const enum mu_fault_point points[] = {MU_FAULT_BACKWARD, MU_FAULT_FLIP, MU_FAULT_FORWARD,
                                                 MU_FAULT_ADDING, MU_FAULT_FLIP};
    struct mu_drill_case *c = add(l, "kill-two", "SIGKILL of two ranks at once", 3);

    kill_at(c, 0, MU_FAULT_BACKWARD, l->steps / 2 - 1);
    kill_at(c, 1, MU_FAULT_BACKWARD, l->steps / 2 - 1);
    c = add(l, "kill-five", "SIGKILL of five ranks, one after the other", 6);
    for (int i = 0; i < 5; i++)
        kill_at(c, i, points[i], 1 + i * (l->steps - 2) / 5);
    c = add(l, "kill-all-but-one", "SIGKILL of all ranks but one", 2);
    send(c, MU_DRILL_ALL_BUT_ONE, 0, SIGKILL);
    c = add(l, "kill-all", "SIGKILL of all ranks", 2);
    send(c, MU_DRILL_EVERY_RANK, 0, SIGKILL);
    snprintf(c->fault, sizeof c->fault, MORE_SLOWLY);
    c = add(l, "kill-spare", "SIGKILL of a spare", 3);
    c->setting = "run.spares=1";
    kill_at(c, c->ranks - 1, MU_FAULT_FLIP, l->steps / 2 - 1);
}

static void add_stops(struct list *l)
{
    struct mu_drill_case *c = add(l, "stop-worker", "SIGSTOP of a worker, and SIGCONT too late", 2);

    send(c, MU_DRILL_RANK, 1, SIGSTOP);
    c->continue_late = true;
    c = add(l, "stop-master", "SIGSTOP of the master, and SIGCONT too late", 2);
    send(c, MU_DRILL_RANK, 0, SIGSTOP);
    c->continue_late = true;
    c = add(l, "stop-and-kill", "SIGSTOP of a worker and SIGKILL of the master", 3);
    send(c, MU_DRILL_RANK, 1, SIGSTOP);
    send(c, MU_DRILL_RANK, 0, SIGKILL);
    c->continue_late = true;
}

static void add_outside(struct list *l)
{
    struct mu_drill_case *c = add(l, "kill-mpirun", "SIGKILL of mpirun", 2);

    send(c, MU_DRILL_MPIRUN, 0, SIGKILL);
    c = add(l, "term-mpirun", "SIGTERM to mpirun", 2);
    send(c, MU_DRILL_MPIRUN, 0, SIGTERM);
    snprintf(c->fault, sizeof c->fault, MORE_SLOWLY);
    c = add(l, "kill-launcher", "SIGKILL of the launcher, started again", 2);
    send(c, MU_DRILL_LAUNCHER, 0, SIGKILL);
    c = add(l, "term-launcher", "SIGTERM to the launcher, started again", 2);
    send(c, MU_DRILL_LAUNCHER, 0, SIGTERM);
    c = add(l, "torn-checkpoint", "the newest checkpoint is cut while nobody runs", 2);
    stop_and_forget(c);
    c->tear = true;
}

int mu_drill_cases(int64_t ranks, int64_t steps, struct mu_drill_case *out)
{
    struct list l = {.at = out, .ranks = ranks, .steps = steps};

    for (enum mu_fault_point p = 0; p < MU_FAULT_COUNT; p++)
        if (is_for_killing(p)) {
            add_point(&l, p, false);
            add_point(&l, p, true);
        }
    add_several(&l);
    add_stops(&l);
    add_outside(&l);
    return l.count;
}

bool mu_drill_is_meant(const struct mu_drill_case *c, const char *only)
{
    while (only && *only) {
        size_t n = strcspn(only, ",");
        char pattern[128];

        snprintf(pattern, sizeof pattern, "*%.*s*", (int)(n < 120 ? n : 120), only);
        if (n > 0 && fnmatch(pattern, c->name, 0) == 0)
            return true;
        only += n + (only[n] == ',');
        if (!*only)
            return false;
    }
    return true;
}
