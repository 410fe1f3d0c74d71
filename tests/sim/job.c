/* A rank from its start to its end. All that is due follows from two words: what its host has
 * committed, and which step's duties it has done its part in. */
#include "tests/sim/sim.h"

enum { TAG_LEAVE = 0 };

/* The master's last word, to one after the other. False: a repair came between. */
static bool hear_the_end(struct rank *r)
{
    struct message m = {.tag = TAG_LEAVE};

    if (r->place > 0) {
        while (!mpi_receive(r, 0, TAG_LEAVE, &m)) {
            if (poll(r))
                return false;
            rank_sleep(r);
        }
        return true;
    }
    for (uint32_t i = 1; i < r->comm->size; i++) {
        act(r, "tells place %u that all is done", i);
        mpi_send(r, i, m);
        if (poll(r))
            return false;
    }
    return true;
}

/* Everything is done and written, and this rank knows. Leaving is a repair that finds everybody so
 * far; it is not announced by a revoke, which would take the master's last words away from others:
 * they would be told again, and the same would happen again. */
static void leave(struct rank *r)
{
    if (!hear_the_end(r))
        return;
    r->phase = MU_RECOVERY_FINISHED;
    act(r, "is finished");
    repair(r, !planted(r->sim, PLANT_loud_leave));
    if (r->comm->plan.finished)
        rank_leave(r);
    r->phase = MU_RECOVERY_RUNNING; /* somebody died before it knew: all hear it again */
}

void job_run(void *argument)
{
    struct rank *r = argument;

    r->comm = r->sim->comm[r->first_comm - 1];
    r->place = (uint32_t)r->comm->place_of[r->id];
    r->gathers = 1;
    for (;;) {
        int64_t k;

        r->recovered = false;
        if (r->phase == MU_RECOVERY_STARTING) {
            if (!start(r))
                continue;
            r->phase = MU_RECOVERY_RUNNING;
        }
        k = (int64_t)(segment_of(r)->state >> 1);
        if (poll(r))
            continue;
        if (k > r->passed) {
            if (k != r->passed + 1)
                sim_violation(r->sim, "rank %u: step %lld, but duties of %lld are the last done",
                              r->id, (long long)k, (long long)r->passed);
            if (duties(r, k))
                r->passed = k;
        } else if (k == r->sim->steps) {
            leave(r);
        } else {
            (void)step(r, k); /* a repair ends it early: everything is looked at again */
        }
    }
}
