/* What the parts of a launch share. Private to orchestrator/launch/. */
#ifndef MUSTER_LAUNCH_PARTS_H
#define MUSTER_LAUNCH_PARTS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "orchestrator/base/file.h"
#include "orchestrator/core/ladder.h"
#include "orchestrator/launch/generation.h"
#include "orchestrator/launch/heartbeats.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/launch/launch.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/launch/trials.h"
#include "orchestrator/slurm/guard.h"

enum { MU_STORY_MAX = 512 };

struct mu_launch {
    const struct mu_launch_request *request;
    char run[MU_PATH_MAX]; /* the plain path */
    bool is_sweep;
    struct mu_hold *hold;
    struct mu_ladder ladder;
    struct mu_segments segments;
    struct mu_trials trials; /* of a sweep */
    struct mu_generation now;
    struct mu_ladder_plan plan; /* that it was started by */
    struct mu_heartbeats beats; /* of its ranks, when some are on other machines */
    struct mu_slurm_guard guard;
    int signals; /* signalfd */
    bool with_bar;

    enum mu_ladder_wish wish;
    int fatal;          /* the signal that came a second time; 0: none did */
    uint64_t wish_ns;   /* when the ranks were asked */
    uint32_t resize_to; /* asked for and not yet obeyed; 0: nothing */
    bool start_hung, stalled, host_silent, lease_lost;
    bool has_stopped;         /* the last generation, orderly */
    uint64_t signs, moved_ns; /* what was seen last, and when it changed last */
    int64_t step, steps;      /* committed, as far as is known; of the run; -1: unknown */
    double left_s;            /* of a sweep, estimated; NAN */
    int64_t memory_step;      /* of what the last generation left in memory; -1: nothing */
    int memory_trials;        /* of a sweep: whose states it left there */
    uint32_t shards, spares;  /* of the run; 0 shards: unknown */
    bool dedicated;           /* its master */
    bool was_told_to_stop;    /* by muster stop, or control/stop */
    int64_t waits_for[MU_OUTCOME_PARTS + 1]; /* other parts of the sweep, as in outcome.h */
    bool has_forecast;                       /* that the allocation ends before the run does */
    struct timespec hosts_changed;           /* mtime of the host file */
    uint64_t pace_ns; /* when step pace_step was seen first, in this generation */
    int64_t pace_step;
    uint32_t pace_dead;         /* the pace was measured since that many were dead */
    bool was_asked_to_make_way; /* this generation */
    bool is_unsaved;            /* it did: the newest state is in memory only */
    double step_s, relaunch_s;  /* measured; 0: not yet */

    int generations;
    int64_t count[MU_CAUSE_COUNT];
    uint64_t lost_ns;  /* between generations: from an end to training again */
    uint64_t ended_ns; /* of the last generation */
    uint64_t over_ns;  /* since when the lease says so */
    char story[MU_LADDER_STILL][MU_STORY_MAX]; /* how the last generations ended */
};

/* watch.c: until mpirun has ended or was ended. */
void mu_launch_watch(struct mu_launch *l);
/* Signals that have come; true: a stop is wished for. */
bool mu_launch_take_signals(struct mu_launch *l);
/* Sleeps up to that long, or until a signal comes. */
void mu_launch_pause(struct mu_launch *l, uint64_t ms);
/* The newest committed step, in memory, which is held, or as status.json told (-1: nothing); of a
 * sweep what stands for it (trials.h). -1: none. */
int64_t mu_launch_look_for_steps(struct mu_launch *l, int64_t told);
/* "run", or "sweep". */
const char *mu_launch_word(const struct mu_launch *l);
/* Whether ranks of that plan are on other machines. */
bool mu_launch_is_abroad(const struct mu_launch *l, const struct mu_ladder_plan *plan);
enum mu_status mu_launch_read_hosts(struct mu_launch *l) MU_CHECKED;

/* judge.c: of a generation's hosts, which are of use still. */
/* Whether the ranks of some host are silent; told. */
bool mu_launch_has_silent_host(const struct mu_launch *l);
/* After a failure with ranks abroad: hosts that are gone are left out. Gives back how long to wait
 * until none of the ranks lives. */
uint64_t mu_launch_judge_hosts(struct mu_launch *l, enum mu_ladder_cause cause);

/* Who takes part in the next one: as the ladder plans, but that hosts which were left out must answer
 * before they are taken back; asking takes some seconds at most. */
struct mu_ladder_plan mu_launch_plan(struct mu_launch *l);

/* allotted.c: of an allocation's time. What the ranks may use of it, for run.time_limit; 0: it is
 * not to be set. */
int64_t mu_launch_time_limit(const struct mu_launch *l);
/* In seconds: of work, of what is left of an allocation, of a whole one; from the start of one to
 * training, and from the end of training to its end. */
struct mu_allotted {
    double work, left, length, start, end;
};
/* How many more allocations it takes; 0: none, INFINITY: one leaves no time to train. */
double mu_allotted_more(const struct mu_allotted *a);
/* Tells once that it is not enough. */
void mu_launch_forecast(struct mu_launch *l);
/* A sweep knows no run.time_limit: whether it is time to stop it. */
bool mu_launch_is_out_of_time(const struct mu_launch *l);

/* tell.c */
void mu_launch_note_story(struct mu_launch *l, const struct mu_ladder_next *next,
                          const struct mu_ladder_end *end);
void mu_launch_tell_relaunch(const struct mu_launch *l, const struct mu_ladder_plan *plan,
                             uint64_t pause_ms);
void mu_launch_tell_training(const struct mu_launch *l);
void mu_launch_tell_diagnosis(const struct mu_launch *l, const struct mu_ladder_next *next);
void mu_launch_tell_end(const struct mu_launch *l, enum mu_status st);

#endif
