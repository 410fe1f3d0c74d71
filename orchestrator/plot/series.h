/* What is drawn of a run: one quantity of its metrics.jsonl over another.
 *
 *   metrics.jsonl --mu_plot_read--> a record each --mu_plot_series_make--> line, raw, marks
 *
 * A file may have millions of lines: it is read in one pass, and what is kept for drawing is
 * thinned (reduce.h). */
#ifndef MUSTER_PLOT_SERIES_H
#define MUSTER_PLOT_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/plot/reduce.h"

/* X(name, word, label of its axis) */
#define MU_PLOT_X_TABLE(X)              \
    X(STEPS, "step", "optimizer steps") \
    X(TOKENS, "tokens", "tokens")       \
    X(FLOPS, "flops", "training FLOPs") \
    X(TIME, "time", "time of the steps")

enum mu_plot_x {
#define MU_PLOT_ENUM(name, word, label) MU_PLOT_X_##name,
    MU_PLOT_X_TABLE(MU_PLOT_ENUM)
#undef MU_PLOT_ENUM
        MU_PLOT_X_COUNT
};

/* X(name, word, key of the line, key of the marks, noisy, label of its axis); "": none. Noisy: the
 * line is smoothed unless told otherwise. */
#define MU_PLOT_Y_TABLE(X)                                                                \
    X(LOSS, "loss", "loss", "valid_loss", true, "loss in nats per token")                 \
    X(TRAIN, "train", "loss", "", true, "training loss in nats per token")                \
    X(VALID, "valid", "", "valid_loss", false, "validation loss in nats per token")       \
    X(BITS, "bits", "", "valid_bits_per_byte", false, "validation loss in bits per byte") \
    X(LR, "lr", "lr", "", false, "learning rate")                                         \
    X(NORM, "norm", "grad_norm", "", true, "norm of the gradient")                        \
    X(RATE, "tok/s", "tokens_per_s", "", true, "tokens per second")                       \
    X(MS, "ms", "step_ms", "", true, "milliseconds per step")                             \
    X(PEAK, "peak", "peak_share", "", true, "share of the measured peak")

enum mu_plot_y {
#define MU_PLOT_ENUM(name, word, line, marks, noisy, label) MU_PLOT_Y_##name,
    MU_PLOT_Y_TABLE(MU_PLOT_ENUM)
#undef MU_PLOT_ENUM
        MU_PLOT_Y_COUNT
};

struct mu_plot_y_row {
    const char *word, *line, *marks;
    bool noisy;
    const char *label;
};
const struct mu_plot_y_row *mu_plot_y_row(enum mu_plot_y y);

/* NaN: the record has no such value (or one that is not finite). */
struct mu_plot_record {
    double step, tokens, step_ms, line, marks;
};

struct mu_plot_records {
    struct mu_plot_record *record; /* ascending in step */
    size_t count, capacity;
    size_t damaged; /* lines that are no records; a last one without its end is not counted */
};

/* Every record that counts: where the file goes back to an earlier step, what it had beyond is
 * forgotten. No file: no records. Free with mu_plot_records_deinit. */
enum mu_status mu_plot_read(const char *path, enum mu_plot_y y,
                            struct mu_plot_records *out) MU_CHECKED;
void mu_plot_records_deinit(struct mu_plot_records *r);

/* One line of the file, `size` bytes with its newline; false: it is no record. */
bool mu_plot_parse(const char *line, size_t size, enum mu_plot_y y, struct mu_plot_record *out);

/* Seconds that the steps up to each record took: sums of step_ms, which holds neither evaluations
 * nor checkpoints nor what lies between two starts of a run. Where a record has none (the first
 * after a start), that of the record before counts. */
void mu_plot_times(const struct mu_plot_records *r, double *seconds);

enum { MU_PLOT_SMOOTH_AUTO = 0 };

struct mu_plot_wish {
    enum mu_plot_x x;
    enum mu_plot_y y;
    double flops_per_token; /* for MU_PLOT_X_FLOPS */
    int64_t from_step;
    int64_t smooth; /* records in a running mean; MU_PLOT_SMOOTH_AUTO; 1: none */
    bool log_x;
    size_t parts; /* the thinning's resolution */
};

struct mu_plot_series {
    struct mu_plot_curve line;    /* smoothed */
    struct mu_plot_curve raw;     /* empty when line is not smoothed */
    struct mu_plot_curve marks;   /* validation */
    double last_line, last_marks; /* newest values; NaN: none */
    size_t gaps;                  /* records that should have a value of the line, and have none */
};

enum mu_status mu_plot_series_make(const struct mu_plot_records *r, const struct mu_plot_wish *wish,
                                   struct mu_plot_series *out) MU_CHECKED;
void mu_plot_series_deinit(struct mu_plot_series *s);

#endif
