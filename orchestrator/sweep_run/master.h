/* The decisions of a sweep's master: what it hears, and what it has ranks do. Pure: no messages, no
 * files, no clock; lead.c brings the one, and carries out the other.
 *
 *   cell   WAITS --its trunk has come so far--> READY --assigned--> TRAINS --result--> ended
 *          TRAINS --asked to make way--> MOVES --all have let go--> TRAINS, in another group
 *          TRAINS, MOVES --nobody of the group is left, or the outcome is lost--> READY
 *   rank   idle, not heard of --READY--> free --assigned--> in a group --READY--> free
 *
 * A group is one assignment of ranks to a trial; its number is never used twice. What a rank of a
 * repaired communicator says of its group (struct mu_rank_word) overrules what the master believes:
 * an order that did not arrive is void. An outcome that is lost with its leader is no harm: the
 * trial is assigned again, and its run directory says that it was complete already.
 *
 * With 10,000 ranks nothing that is heard, and no decision, may look at all of them: the ranks of a
 * group are on one host and are found there, and what is asked for often is counted as it changes
 * (mu_sweep_master_recount). Only the words of a repair are as many as the ranks. */
#ifndef MUSTER_SWEEP_RUN_MASTER_H
#define MUSTER_SWEEP_RUN_MASTER_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/master/trial_job.h"
#include "orchestrator/sweep/pack.h"
#include "orchestrator/sweep/stages.h"
#include "orchestrator/sweep_run/state.h"

enum { MU_SWEEP_NO_SPAN = -1 };

struct mu_sweep_member { /* a rank */
    int name;
    bool lives, is_ready; /* said so in this epoch, and was given nothing since */
    uint32_t host;
    uint64_t group; /* 0: none */
    uint32_t kept;  /* for this trial, which moves; MU_TRIAL_ALONE: for none */
    int64_t span;   /* open one, or MU_SWEEP_NO_SPAN */
    bool is_alive_there, waits_there, is_free_there; /* as its host's counts have it */
};

struct mu_sweep_group {
    uint64_t number;
    uint32_t trial;
    uint32_t host, size;       /* of its ranks; how many there are */
    bool is_open;              /* a rank is in it */
    bool is_heard;             /* its outcome is */
    bool has_died, has_failed; /* a rank in it; it as a whole, without a result */
    bool makes_way;            /* was asked to, or did */
    int64_t first_step;  /* that it told of; -1: none. It goes on from there at the earliest */
    bool has_progressed; /* it took a step after that */
    uint32_t joined;     /* ranks that have been in it */
};

struct mu_sweep_host {
    uint32_t first, ranks; /* of on_host[] */
    uint32_t alive, free;  /* without a group, ready, and not kept for one */
};

/* What is kept of a trial beside its cell. */
struct mu_sweep_side {
    uint32_t kind;  /* of speed */
    uint32_t owner; /* the part whose it is */
    /* The highest step heard of; and what it was at the last crash: steps up to there, taken again
     * from a checkpoint, are no progress. */
    int64_t most, crash_step;
    uint32_t kept, kept_host; /* ranks for it, on this host */
    uint32_t moves_to;        /* workers that it is to go on with */
    /* It did not fit in memory on more ranks than this (0: it did), beside other trials: it is
     * tried alone. */
    uint32_t fits_on;
    bool is_alone;
    bool must_save; /* before a stop: its state is in memory alone, on the host of its cell */
};

struct mu_sweep_kind_speed { /* trials of one size and batch take one time a step */
    double n, flops, tokens_per_step;
    int64_t shards;
    struct mu_pack_speed speed;
};

enum mu_sweep_news_kind {
    MU_SWEEP_NEWS_END,     /* a trial has ended */
    MU_SWEEP_NEWS_RELEASE, /* a rank has left a trial: it is dead, or the trial has not ended */
    MU_SWEEP_NEWS_ASSIGN,  /* do: order the group's ranks to begin */
    MU_SWEEP_NEWS_MAKE_WAY /* do: ask the group to */
};
/* In the order in which they are to be written down and done. */
struct mu_sweep_news {
    enum mu_sweep_news_kind kind;
    uint32_t trial;
    uint64_t group; /* 0: a trial that ended without one */
    int rank;       /* RELEASE */
    bool died;
};

struct mu_sweep_master {
    struct mu_sweep_state state; /* .now: kept by the owner */
    struct mu_sweep_stages stages;
    struct mu_sweep_side *side; /* by trial, as state.cell */
    uint32_t known;             /* trials that have a cell */
    struct mu_sweep_member *member;
    struct mu_ledger_sum *idle; /* by member: as last heard, of its whole life */
    uint32_t members, hosts;
    struct mu_sweep_host *host;
    uint32_t *on_host;            /* members, by host and name */
    uint32_t waiting;             /* ranks that are ready and in no group */
    struct mu_sweep_group *group; /* by number, ascending */
    uint32_t groups, group_capacity;
    struct mu_sweep_kind_speed *kind;
    uint32_t kinds;
    double seconds_per_flop;    /* where a speed is measured, on the average; NAN */
    struct mu_sweep_news *news; /* the owner takes them: news_count = 0 */
    uint32_t news_count, news_capacity;
    uint64_t next_group;
    bool stops;            /* nothing is begun any more, but to be saved */
    bool is_changed;       /* since the last decision */
    bool has_results;      /* that the stages do not know */
    double decided;        /* when */
    enum mu_status status; /* the first failure: no memory */
    /* All may be NULL. Whether the state of a branch's trunk after `shared` steps stands in its run
     * directory; what is known of a trial from before, into its cell; what a person may want to
     * know. */
    bool (*is_there)(void *context, uint32_t trial);
    void (*restore)(void *context, uint32_t trial);
    void (*warn)(void *context, const char *line);
    void *context;
};

/* Takes over `stages`, initialised; path: borrowed. host[i]: of the rank name[i]; ascending. The
 * hooks and state.part are to be set before mu_sweep_master_advance is called for the first
 * time. */
enum mu_status mu_sweep_master_init(struct mu_sweep_master *m, const char *path,
                                    struct mu_sweep_stages *stages, const int *name,
                                    const uint32_t *host, uint32_t count,
                                    uint64_t first_group) MU_CHECKED;
void mu_sweep_master_deinit(struct mu_sweep_master *m);

/* Results are fed to the stages, if there are new ones, and what these add gets cells. */
void mu_sweep_master_advance(struct mu_sweep_master *m);

/* ---- what is heard (hear.c) ---- */
/* A rank has nothing to do; ended: its last group, whose outcome came before. */
void mu_sweep_master_hear_ready(struct mu_sweep_master *m, int rank, uint64_t ended);
/* From the leader of a group. */
void mu_sweep_master_hear_outcome(struct mu_sweep_master *m, uint64_t group,
                                  const struct mu_trial_outcome *outcome);
void mu_sweep_master_hear_progress(struct mu_sweep_master *m, uint64_t group, int64_t step,
                                   double loss, double tokens_per_s);
void mu_sweep_master_hear_idle(struct mu_sweep_master *m, int rank,
                               const struct mu_ledger_sum *idle);
/* What a trial of another part has come to: nothing, where it has not ended. Whether that is news. */
bool mu_sweep_master_hear_elsewhere(struct mu_sweep_master *m, uint32_t trial,
                                    const struct mu_cell *cell);
/* After a repair: the words of all that live, ascending by name. Nobody is ready any more until it
 * says so again. */
void mu_sweep_master_hear_words(struct mu_sweep_master *m, const struct mu_rank_word *word,
                                uint32_t count);

/* ---- what is to be done (decide.c) ---- */
void mu_sweep_master_decide(struct mu_sweep_master *m);
/* Nothing is left to do, or what was to be stopped has; and everybody waits. */
bool mu_sweep_master_is_over(const struct mu_sweep_master *m);
/* Nothing is left to do. Of a part: its own trials have ended, and none can be added. */
bool mu_sweep_master_is_done(const struct mu_sweep_master *m);
/* Of a part: it has nothing to do but to wait for results of others. */
bool mu_sweep_master_waits(const struct mu_sweep_master *m);

/* ---- parts ---- */
struct mu_sweep_group *mu_sweep_master_group(const struct mu_sweep_master *m, uint64_t number);
struct mu_sweep_member *mu_sweep_master_member(const struct mu_sweep_master *m, int name);
/* The i-th rank of a host, by name. */
static inline struct mu_sweep_member *mu_sweep_master_rank(const struct mu_sweep_master *m,
                                                           uint32_t host, uint32_t i)
{
    return &m->member[m->on_host[m->host[host].first + i]];
}
/* After every change of lives, is_ready, group or kept. */
void mu_sweep_master_recount(struct mu_sweep_master *m, struct mu_sweep_member *member);
/* The lowest living rank of a group, -1: none; how many there are. */
int mu_sweep_master_leader(const struct mu_sweep_master *m, uint64_t group);
uint32_t mu_sweep_master_size(const struct mu_sweep_master *m, uint64_t group);
/* number: above all others. */
struct mu_sweep_group *mu_sweep_master_add_group(struct mu_sweep_master *m, uint64_t number,
                                                 uint32_t trial);
void mu_sweep_master_join(struct mu_sweep_master *m, struct mu_sweep_member *member,
                          struct mu_sweep_group *group);
void mu_sweep_master_tell(struct mu_sweep_master *m, struct mu_sweep_news news);
/* The trial has ended: told, and branches that waited for it go on, or end with it. */
void mu_sweep_master_end(struct mu_sweep_master *m, uint32_t trial, uint64_t group,
                         enum mu_cell_phase phase, const char *message);
/* Branches that wait for so many steps of it need not wait any more. */
void mu_sweep_master_release(struct mu_sweep_master *m, uint32_t trunk, int64_t step);
/* For a trial that moves, which has the others on the same host; MU_TRIAL_ALONE: for none. */
void mu_sweep_master_keep(struct mu_sweep_master *m, struct mu_sweep_member *member,
                          uint32_t trial);
void mu_sweep_master_unkeep(struct mu_sweep_master *m, uint32_t trial);
/* A speed of kind[] is another one now. */
void mu_sweep_master_learn(struct mu_sweep_master *m);
/* A group whose order is not given: its ranks are as free as before. */
void mu_sweep_master_take_back(struct mu_sweep_master *m, uint64_t group);
/* A step on one worker; NAN: not known. */
double mu_sweep_master_step_seconds(const struct mu_sweep_master *m, uint32_t trial);

#endif
