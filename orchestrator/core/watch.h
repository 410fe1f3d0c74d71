/* Who of a host's ranks stands still and is to be ended, and who is slow and only told of: a pure
 * function of what was seen at each look; and when a host gives up a repair. Every rank looks; who
 * acts is decided by all alike:
 *
 *   the lowest rank of the host whose watchdog runs, other than the one that is to be ended
 *
 * so that a fencer which is stopped, dead or hung is ended by the next one. A rank that is alone on
 * its host is watched by nobody: the launcher's deadlines and the leases between hosts are for it.
 *
 * A rank is ended when its *own* count of polls stands still past the deadline of its phase, never
 * because a step is late: then everybody's is. Three things shorten or stop that clock:
 *
 *   stopped by a signal   2 s in any phase, as the others may sit in a shrink that waits for it
 *   held by a debugger    never
 *   inside a repair       whoever waits in shrink for another rank does not move either, and is
 *                         blameless: its clock runs only when others have come out of the repair
 *
 * A repair that does not end although all living ranks of the host are in it is nobody's fault whom
 * ending could mend: the host gives it up, and the job ends, for a launcher to start it again. What
 * may still be missing are ranks of other hosts, which are ended there when they do not come: where
 * a host does not see all ranks it gives those as long as the phase allows that its own came from,
 * since ranks are in like phases (one that polls, and nobody is at the files: only a master's
 * records are not waited for, nor a rank that a debugger holds on another host).
 *
 * Time counts only as far as it was looked at: a look that comes late counts for two at most, and
 * one that comes very late (this process was stopped, the machine suspended or overloaded) begins
 * all observations afresh. Whoever was slow to look ends nobody for it. */
#ifndef MUSTER_CORE_WATCH_H
#define MUSTER_CORE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/core/lifecycle.h"

enum {
    MU_WATCH_RANKS = 4096,
    MU_WATCH_LOOK_MS = 100,     /* between two looks */
    MU_WATCH_STOPPED_MS = 2000, /* a rank that a signal has stopped: R1's own deadline */
    /* For the repair itself, once nobody is missing; news of a death goes through mpirun, which was
     * seen to take more than half a second. And more for each rank: they may share few cores. */
    MU_WATCH_REPAIR_MS = 4000,
    MU_WATCH_REPAIR_RANK_MS = 100,
    MU_WATCH_LATE_MS = 1000,  /* between two looks: this one was not running */
    MU_WATCH_QUIET_MS = 1000, /* a watchdog whose count stands still so long does not run */
    MU_WATCH_SLOW_MS = 10000, /* over which rates are compared */
    MU_WATCH_SLOW_AGAIN_MS = 60000,
    MU_WATCH_SLOW_FACTOR = 2,
    MU_WATCH_ACTIONS = 16, /* of a kind in one look; the others come with the next */
};

/* Deadlines of phases, beside milliseconds. Files: a disk may be slow, and whoever waits in fsync
 * cannot even be killed. */
#define MU_PHASE_CONFIGURED 0u /* run.hang_timeout */
#define MU_PHASE_FILES_MS   600000u
#define MU_PHASE_NEVER      UINT32_MAX /* others have a deadline for it, or nobody waits for it */

/* What a rank is doing, coarsely. X(identifier, name, deadline in ms; run.hang_timeout when that is
 * longer). */
#define MU_PHASE_TABLE(X)                               \
    X(STARTING, "starting", MU_PHASE_NEVER)             \
    X(MEETING, "meeting", MU_PHASE_FILES_MS)            \
    X(PREPARING, "preparing", MU_PHASE_FILES_MS)        \
    X(LOADING, "loading", MU_PHASE_FILES_MS)            \
    X(RUNNING, "running", MU_PHASE_CONFIGURED)          \
    X(EVALUATING, "evaluating", MU_PHASE_CONFIGURED)    \
    X(SAVING, "saving", MU_PHASE_FILES_MS)              \
    X(RECORDING, "writing records", MU_PHASE_FILES_MS)  \
    X(REPAIRING, "repairing", MU_PHASE_CONFIGURED)      \
    X(SPARE, "waiting as a spare", MU_PHASE_CONFIGURED) \
    X(LEAVING, "leaving", MU_PHASE_NEVER)

enum mu_phase {
#define MU_PHASE_ENUM(id, name, deadline_ms) MU_PHASE_##id,
    MU_PHASE_TABLE(MU_PHASE_ENUM)
#undef MU_PHASE_ENUM
        MU_PHASE_COUNT
};
const char *mu_phase_name(enum mu_phase phase);
enum mu_phase mu_phase_of_life(enum mu_life_state state);

enum mu_process_state {
    MU_PROCESS_NOT_ASKED,
    MU_PROCESS_RUNS, /* or waits, or sleeps */
    MU_PROCESS_STOPPED,
    MU_PROCESS_TRACED, /* stopped by its debugger */
    MU_PROCESS_GONE,   /* or another one has its pid, or a zombie */
};

/* A rank as its entry on the board shows it now. */
struct mu_watch_view {
    int rank;
    uint32_t pid;
    uint64_t start_time; /* with pid: which process */
    uint64_t polls;      /* of its main thread: the heartbeat */
    uint64_t beats;      /* looks of its watchdog */
    enum mu_phase phase;
    uint32_t repair;    /* the newest epoch whose repair it has entered */
    enum mu_phase from; /* the phase it came from to that one */
    enum mu_fault_point point;
    uint64_t shards_done, compute_ns;
    uint64_t group;                /* ranks of one group train the same */
    enum mu_process_state process; /* asked for only where mu_watch_asks says so */
};

enum mu_fence_why {
    MU_FENCE_NOT,
    MU_FENCE_STILL,     /* its count stood still */
    MU_FENCE_STOPPED,   /* a signal had stopped it */
    MU_FENCE_BEHIND,    /* its count stood still while others waited for it in a repair */
    MU_FENCE_IN_REPAIR, /* it did not come out of a repair, and others did */
};
struct mu_watch_fence {
    int rank;
    uint32_t pid;
    uint64_t start_time, polls; /* not to be ended when any of them is another one now */
    enum mu_fence_why why;
    enum mu_phase phase;
    uint64_t still_ms;
};
struct mu_watch_slow {
    int rank;
    double shard_ms, others_ms; /* the others': the median */
    enum mu_fault_point point;  /* where it was met most often */
};
struct mu_watch_actions {
    int fences, slows;
    uint64_t gives_up_ms; /* 0: no; the repair that all of the host are in stands still so long */
    struct mu_watch_fence fence[MU_WATCH_ACTIONS];
    struct mu_watch_slow slow[MU_WATCH_ACTIONS];
};

/* What is known of a rank from the looks so far. */
struct mu_watched {
    uint32_t pid, repair, phase, rule;
    uint64_t start_time, polls, beats;
    uint64_t still_ns, quiet_ns; /* looked at, since polls (or phase, or repair), beats changed */
    uint64_t clock_ns;           /* as still_ns, but only while the deadline runs */
    bool gone, asks, fenced;
    uint64_t base_shards, base_compute_ns; /* when its rate was last known */
    uint64_t group;                        /* then */
    uint64_t told_slow_ns;                 /* 0: never */
    uint32_t seen[MU_FAULT_COUNT];         /* looks since then that met it there */
};
struct mu_watch {
    int own_rank;
    bool sees_all; /* no rank of the job is on another host */
    uint64_t last_ns;
    uint64_t window_ns;
    uint64_t repair_ns;    /* looked at, while nobody was missing in the repair and nothing moved */
    uint64_t repair_signs; /* of it: other ones mean that it moves */
    struct mu_watched of[MU_WATCH_RANKS];
    uint64_t rate[MU_WATCH_RANKS]; /* scratch; ns a shard */
    struct mu_watch_rate {
        uint64_t group, ns;
    } sorted[MU_WATCH_RANKS];
};

void mu_watch_init(struct mu_watch *w, int own_rank, bool sees_all);
/* Whether that rank's process is to be asked for before the next look. */
bool mu_watch_asks(const struct mu_watch *w, int rank);
/* One look at all entries of the host, in order of rank; the own one's beats count it already.
 * hang_timeout_ms 0: not known yet; only who is stopped is ended, and a repair given up. */
void mu_watch_look(struct mu_watch *w, const struct mu_watch_view *views, int count,
                   uint64_t hang_timeout_ms, uint64_t now_ns, struct mu_watch_actions *out);

#endif
