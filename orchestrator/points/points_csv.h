/* Points for a fit from a CSV file: which columns hold what, and every row's mistakes.
 *
 * A column is given by name, or guessed from its head, in which case, spaces and punctuation do not
 * matter; of a path ("train/tokens_seen") the last part will do. A unit in the head scales it
 * ("Params (B)", "tokens in millions", "params_M"); so does one in a cell ("70B"), and the same in
 * both is meant once. Commas between semicolons or tabs may be decimal ones (decimals.h). Of
 * several columns that fit, the better kind is taken: a validation loss before a training loss,
 * params_nonemb_head before other counts; which was taken is told, and two that are equally good
 * are refused.
 *
 * Points or curves: rows are final losses of runs of their own unless something says otherwise.
 * That is --curve, a column called "curve", or, beside a column of training steps, one that names
 * runs ("run", "Name", "experiment", "model"), when the rows of every run have one N and differ in
 * D; of several such columns, the likeliest that fits. Never "trial" or "trunk": branches of a
 * trunk end each with a final loss. A curve of which rows were left out has no end where its last
 * moment may be among them: rows of known tokens, as those without a loss, tell that it is not. */
#ifndef MUSTER_POINTS_POINTS_CSV_H
#define MUSTER_POINTS_POINTS_CSV_H

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
    X(status, "status", "how it ended; points: done, finished, completed, ok, success or empty")

enum mu_column {
#define MU_COLUMN_ENUM(field, option, help) MU_COLUMN_##field,
    MU_COLUMN_TABLE(MU_COLUMN_ENUM)
#undef MU_COLUMN_ENUM
        MU_COLUMNS
};

enum { MU_POINTS_NOTES = 24, MU_POINTS_ROWS = 1000000, MU_POINTS_STATUSES = 6 };

struct mu_points_request {
    const char *path;               /* "-": standard input */
    const char *column[MU_COLUMNS]; /* names given; NULL: to be guessed; "": there is none */
    /* With N and C alone, D = C / flops(N); with N and D, C; with D and C, N. MEASURED: as 6N. */
    enum mu_flops_kind flops;
    enum mu_column
        alone;     /* n, d or c: enough by itself, for a law of one variable; else MU_COLUMNS */
    bool is_own;   /* of a sweep: columns that are not used are no news */
    bool skip_bad; /* leave bad rows out (each is named) instead of refusing the file */
};

/* What was read, and how: all of it is shown to the user. */
struct mu_points_found {
    char path[512];
    char column[MU_COLUMNS][64]; /* as in the file; "": none */
    char derived[120];           /* "D = C / (6 N)"; "": nothing was */
    size_t rows, bad, not_done;  /* data rows; left out with skip_bad; whose status is another */
    struct {
        char word[32];
        size_t count;
    } status[MU_POINTS_STATUSES]; /* which statuses these are, as far as there is room */
    size_t curves, seeds;
    char note[MU_POINTS_NOTES][600]; /* what else was decided, for the user to see */
    size_t notes;
};

/* MU_FAILED, with a line for each mistake (file, line, column, what was found and expected; the
 * first 20, then their number; one line where all rows have the same), when a row is bad and
 * skip_bad is not set, or none is left; MU_USAGE when columns are missing, unknown or doubtful.
 * Without a cluster column clusters are: `trunk` if there is one, else the curve, else the row; a
 * row whose cell is empty there is a cluster of its own. Points are in the file's order, but with
 * curves those without one come first, then curve after curve, ascending in d. */
enum mu_status mu_points_read(const struct mu_points_request *request, struct mu_fit_points *points,
                              struct mu_points_found *found) MU_CHECKED;
/* The same of a text in memory; request->path is for messages. */
enum mu_status mu_points_parse(const struct mu_points_request *request, const char *text,
                               size_t size, struct mu_fit_points *points,
                               struct mu_points_found *found) MU_CHECKED;
/* Of points that were read. */
void mu_points_free(struct mu_fit_points *points);

#endif
