/* What a run will take, before it runs: made of its configuration, the headers of its data, what
 * this machine has, what stands in its run directory, and a short measurement. Nothing is written.
 *
 *   plan.c       the whole; tokens, FLOPs, epochs, checkpoints
 *   memory.c     of a rank, of a host, of a GPU; of the disk
 *   pace.c       how well numbers of workers suit the shards, and how long they take
 *   standing.c   what stands in the run directory
 *   warnings.c   what looks wrong
 *   print.c, json.c  for people, for scripts
 *   advice.c     what sweeps share: warnings
 *   speed.c, timing.c, load.c  the measurement
 *   show_sweep.c, json_sweep.c  the same for a sweep's plan */
#ifndef MUSTER_PLAN_PLAN_H
#define MUSTER_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/counting.h"
#include "orchestrator/plan/advice.h"
#include "orchestrator/plan/speed.h"

struct mu_layout;

/* Of the matrix products alone, as they are computed: 6 for each element of a matrix, attention
 * only to what stands before. FLOPs of a training token; 0: unknown. */
double mu_plan_exact_flops(const struct mu_settings *settings);

struct mu_plan_tokens {
    double a_step, all, a_parameter; /* parameters: with embeddings */
    double train, valid;             /* in the files; 0: none is read, or not known */
    uint32_t vocab;                  /* of data.train; 0: as above */
    double epochs;                   /* 0: nothing is read */
    double evaluation;               /* of one; what data.valid has, at most */
};

/* Bytes. With all ranks on one host. */
struct mu_plan_memory {
    bool known;
    /* In the segment, once a host: state in two halves. */
    double weights, moments, predictions;
    double total;         /* reduced gradient, words */
    double sum;           /* of each rank */
    double copy;          /* of a state that stays in GPUs; else 0 */
    double segment;       /* all of that, as it is made */
    double activations;   /* of a rank's own, with a shard's gradient */
    double logits, other; /* the same; program, libraries and their buffers */
    double host;          /* of all ranks and the segment */
    double left;          /* of this host's memory; INFINITY: unknown */
    double physical;
    double shm_left; /* of /dev/shm */
    double gpu;      /* of each GPU; 0: none is used */
};
void mu_plan_memory_of_segment(const struct mu_layout *layout, bool bf16, bool resident,
                               uint64_t eval_pieces, uint32_t ranks, struct mu_plan_memory *out);

struct mu_plan_disk {
    double checkpoint; /* bytes of one; 0: unknown */
    int64_t written, kept;
    double most, left; /* bytes; while one is written, too; of the disk of run.dir, or NAN */
};
/* Of the disk of a folder that need not be there yet; NAN: not known. */
double mu_plan_left_on_disk(const char *path);
/* How many checkpoints a run writes and keeps: that of mu_settings_branch_point, too. */
int64_t mu_plan_checkpoints_written(const struct mu_settings *settings);
int64_t mu_plan_checkpoints_kept(const struct mu_settings *settings);

/* Part of the workers' time that has work: S / (w ceil(S / w)). */
double mu_plan_efficiency(int64_t shards, int64_t workers);
static inline int64_t mu_plan_shards_each(int64_t shards, int64_t workers)
{
    return (shards + workers - 1) / workers;
}
#define MU_PLAN_GOOD_EFFICIENCY 0.9
/* The nearest number of workers at most `most` that is good, below or at, and above; 0: none. */
int64_t mu_plan_good_below(int64_t shards, int64_t workers);
int64_t mu_plan_good_above(int64_t shards, int64_t workers);

enum { MU_PLAN_ROWS = 16, MU_PLAN_CORES_MAX = 1 << 16 };
struct mu_plan_row {
    int64_t workers, shards_each;
    double efficiency;
    double step_seconds, run_seconds; /* NAN: not measured; all workers on one host like this */
};
/* What is measured tells the time of a step, and of all that are left with their evaluations. */
struct mu_plan_pace {
    int64_t shards, threads, cores;
    double steps, evaluations; /* left */
};
void mu_plan_row_fill(struct mu_plan_row *row, const struct mu_plan_pace *pace,
                      const struct mu_speed *alone, const struct mu_speed *together);

enum mu_plan_standing {
    MU_PLAN_NEW,
    MU_PLAN_GOES_ON,   /* from a checkpoint, or from the first step */
    MU_PLAN_COMPLETE,  /* all steps are done */
    MU_PLAN_GOES_BACK, /* with another schedule from where it is the same; the rest is put aside */
    MU_PLAN_REFUSED    /* begun with other values */
};

struct mu_plan {
    struct mu_settings settings; /* resolved */
    char path[MU_PATH_MAX];      /* of the run directory */
    char summary[256];
    enum mu_status data; /* MU_OK, or what came of looking at them, reported */
    struct mu_counts counts;
    double exact_flops; /* of a token */
    struct mu_plan_tokens tokens;
    struct mu_plan_memory memory;
    struct mu_plan_disk disk;
    enum mu_plan_standing standing;
    bool is_locked;                /* somebody trains it now */
    char differs[256];             /* refused: which keys, with commas */
    int64_t done_steps;            /* of the checkpoint that it would go on from */
    int64_t last_step;             /* that it has come to */
    bool is_elsewhere;             /* it will be trained on other machines than this one */
    int64_t ranks, workers, cores; /* 0 ranks: not known */
    enum mu_status measured;       /* MU_OK, or why not; MU_NOT_FOUND: it was not asked for */
    struct mu_speed alone, together;
    double load; /* of the machine before that, by others; 0: unknown */
    uint32_t row_count;
    struct mu_plan_row row[MU_PLAN_ROWS];
    int64_t chosen; /* row of `workers` */
};

/* settings: as loaded; ranks 0: as many as this machine has cores, at most one a shard. MU_CONFIG,
 * reported: they cannot run, and nothing can be told. What can be told though they cannot run is in
 * *out, with MU_OK: see mu_plan_verdict. */
enum mu_status mu_plan_make(const struct mu_settings *settings, int64_t ranks, bool measure,
                            struct mu_plan *out) MU_CHECKED;
/* MU_OK, or MU_CONFIG: `muster train` would refuse it. Reported before. */
enum mu_status mu_plan_verdict(const struct mu_plan *plan) MU_CHECKED;

/* Parts of the whole. */
enum mu_status mu_plan_find_memory(struct mu_plan *plan) MU_CHECKED;
void mu_plan_find_disk(struct mu_plan *plan);
enum mu_status mu_plan_find_standing(struct mu_plan *plan) MU_CHECKED;
void mu_plan_find_pace(struct mu_plan *plan, bool measure);

void mu_plan_warnings(const struct mu_plan *plan, const struct mu_advice *advice);
void mu_plan_print(const struct mu_plan *plan);
/* One object, with the warnings; to stdout. */
enum mu_status mu_plan_print_json(const struct mu_plan *plan) MU_CHECKED;
/* "warm-up to 0.002 over 30 steps, ..." */
struct mu_plan_schedule {
    char text[256];
};
struct mu_plan_schedule mu_plan_schedule_words(const struct mu_settings *settings);

#endif
