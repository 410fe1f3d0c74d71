/* Points for a fit from a CSV file: which columns hold what, and every row's mistakes. Read with
 * libcsv (RFC 4180: quotes, commas and newlines inside them). */
#ifndef MUSTER_REPORT_POINTS_CSV_H
#define MUSTER_REPORT_POINTS_CSV_H

#include "orchestrator/base/status.h"
#include "orchestrator/fit/flops.h"
#include "orchestrator/fit/points.h"

/* X(field, option, help): what a column can hold. Each is given by name, or guessed from common
 * spellings ("Model Size", "params", "Training FLOP", "tokens", ...). */
#define MU_COLUMN_TABLE(X)                                                              \
    X(n, "n", "parameters")                                                             \
    X(d, "d", "training tokens")                                                        \
    X(c, "c", "training FLOPs")                                                         \
    X(loss, "loss", "loss")                                                             \
    X(weight, "weight", "weight of the row (1)")                                        \
    X(group, "group", "IsoFLOP group; otherwise found from the FLOPs")                  \
    X(seed, "seed", "seed; rows that differ in it alone show the noise")                \
    X(cluster, "cluster", "rows with one value share noise and are resampled together") \
    X(curve, "curve", "training run; its rows are moments of one loss curve")           \
    X(unique, "unique", "distinct tokens, where tokens were repeated")                  \
    X(epochs, "epochs", "passes over the data; in place of distinct tokens")            \
    X(layers, "layers", "layers")                                                       \
    X(width, "width", "width of the residual stream")                                   \
    X(heads, "heads", "attention heads")                                                \
    X(context, "context", "context length")                                             \
    X(vocab, "vocab", "vocabulary")                                                     \
    X(status, "status", "how the run ended; only rows with 'done' or nothing are points")

enum mu_column {
#define MU_COLUMN_ENUM(field, option, help) MU_COLUMN_##field,
    MU_COLUMN_TABLE(MU_COLUMN_ENUM)
#undef MU_COLUMN_ENUM
        MU_COLUMNS
};

struct mu_points_request {
    const char *path;               /* "-": standard input */
    const char *column[MU_COLUMNS]; /* names given; NULL: to be guessed */
    enum mu_flops_kind flops;       /* with N and C alone, D = C / flops(N); with N and D, C */
    bool skip_bad; /* leave bad rows out (each is named) instead of refusing the file */
};

/* What was read, and how: all of it is shown to the user. */
struct mu_points_found {
    char path[512];
    char column[MU_COLUMNS][64]; /* as in the file; "": none */
    char derived[120];           /* "D = C / (6 N)"; "": nothing was */
    size_t rows, bad, not_done;  /* data rows; left out with skip_bad; whose status is another */
    size_t curves, seeds;
};

/* MU_FAILED, with a line for each mistake (file, line, column, what was found and expected; the
 * first 20, then their number), when a row is bad and skip_bad is not set; MU_USAGE when columns are
 * missing, unknown or doubtful. Without a cluster column clusters are: `trunk` if there is one, else
 * the curve, else the row. */
enum mu_status mu_points_read(const struct mu_points_request *request, struct mu_fit_points *points,
                              struct mu_points_found *found) MU_CHECKED;
void mu_points_free(struct mu_fit_points *points);

#endif
