/* A sweep as its master sees it: what the table, the status file, the CSV files and the report are
 * made from. Data only; sweep_run/master.c keeps it. Times are seconds since `began`, a date in
 * seconds since 1970, of the sweep's first start: earlier starts' included. */
#ifndef MUSTER_SWEEP_RUN_STATE_H
#define MUSTER_SWEEP_RUN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/core/ledger.h"
#include "orchestrator/sweep/stages.h"

/* X(name, word, meaning) */
#define MU_CELL_TABLE(X)                                       \
    X(WAITS, "waits", "for its trunk")                         \
    X(READY, "ready", "waits for workers")                     \
    X(TRAINS, "trains", "")                                    \
    X(MOVES, "moves", "makes way for a group of another size") \
    X(COMPLETE, "complete", "")                                \
    X(DIVERGED, "diverged", "NaN or Inf: a result")            \
    X(OUT_OF_MEMORY, "out of memory", "a result")              \
    X(FAILED, "failed", "tried as often as `retries` allows, or refused; a later start tries again")
enum mu_cell_phase {
#define MU_CELL_ENUM(name, word, meaning) MU_CELL_##name,
    MU_CELL_TABLE(MU_CELL_ENUM)
#undef MU_CELL_ENUM
        MU_CELL_PHASES
};
const char *mu_cell_word(enum mu_cell_phase phase);
/* READY for NULL, and for what is none of these words. */
enum mu_cell_phase mu_cell_phase_of(const char *word);
static inline bool mu_cell_has_ended(enum mu_cell_phase phase)
{
    return phase >= MU_CELL_COMPLETE;
}
static inline bool mu_cell_is_live(enum mu_cell_phase phase)
{
    return phase == MU_CELL_TRAINS || phase == MU_CELL_MOVES;
}

/* A trial's progress and end; beside stages.trials.item[i]. */
struct mu_cell {
    enum mu_cell_phase phase;
    uint64_t group;                                     /* assignment under way; 0: none */
    uint32_t workers;                                   /* in it */
    uint32_t host;                                      /* of these; UINT32_MAX: none */
    int64_t step;                                       /* committed, as last heard */
    double train_loss, valid_loss, valid_bits_per_byte; /* newest; NAN */
    double tokens_per_s;                                /* of its group; NAN */
    double wanted;                   /* seconds until it ends with this group, estimated; NAN */
    uint32_t crashes;                /* in a row, without a step between them */
    uint32_t retries, deaths, moves; /* in all: tries after a crash, ranks that died in it, moves */
    double rank_seconds;             /* that ranks spent in it */
    uint64_t tokens;
    bool has_hash;
    struct mu_hash hash;
    char message[256]; /* of its end, if it is not `complete` */
};

/* Of a trial that nobody has trained. */
struct mu_cell mu_cell_new(enum mu_cell_phase phase);

/* A stretch of time in which a rank trained a trial: the timeline. Open: `to` is NAN. */
struct mu_sweep_span {
    int rank;       /* name; of this start of the sweep */
    uint32_t start; /* number of the sweep's start, 1 .. */
    uint32_t trial;
    double from, to;
    bool died; /* the rank ended with it */
    bool moved;
};

struct mu_sweep_state {
    const char *path; /* of the sweep's folder */
    const struct mu_sweep_spec *spec;
    const struct mu_settings *base;
    const struct mu_sweep_stages *stages;
    struct mu_cell *cell; /* stages->trials.count of them */
    uint32_t capacity;
    struct mu_sweep_span *span;
    uint32_t spans, span_capacity;
    uint32_t start;               /* number of this start */
    double began, now;            /* date; seconds since */
    uint32_t ranks, busy, dead;   /* alive; in a trial; died in this start */
    struct mu_ledger_sum goodput; /* of all ranks and starts */
    double eta;                   /* seconds until all that is known now has ended; NAN */
    const char *ended;            /* one plain sentence; NULL: it runs */
    const char *stopped_by;       /* as of run_dir.h; NULL: nobody */
    const char *outcome;          /* "complete", "requeue", "failed", once all is done; else NULL */
};

/* Cells of a budget, by its index, all seeds; of them, those that have ended. */
void mu_sweep_count_cells(const struct mu_sweep_state *s, uint32_t budget, uint32_t *cells,
                          uint32_t *ended);
/* Of all groups that train. */
double mu_sweep_tokens_per_s(const struct mu_sweep_state *s);
/* When each trial ended: when the last rank left it; 0: it has, but nobody trained it; -1: it has
 * not. malloc'ed; NULL: no memory. */
double *mu_sweep_ends(const struct mu_sweep_state *s);

#endif
