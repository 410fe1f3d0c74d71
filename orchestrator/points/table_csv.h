/* The rows of a CSV file (RFC 4180), read with libcsv, each with the line it begins on. Cells are
 * separated by commas, semicolons or tabs: whichever the first row has most of. A byte order mark,
 * blank lines, lines that begin with '#', and every kind of line end are understood.
 *
 * A row that cannot be read does not take others with it: when quotes are wrong, reading goes on
 * with the line after the one the row began on, so that a quote that is never closed swallows
 * nothing. */
#ifndef MUSTER_POINTS_TABLE_CSV_H
#define MUSTER_POINTS_TABLE_CSV_H

#include <stddef.h>

#include "orchestrator/base/status.h"

enum { MU_CSV_COLUMNS = 4096, MU_CSV_ROW_BYTES = 1 << 20, MU_CSV_FILE_BYTES = 1 << 30 };

struct mu_csv_row {
    const char *const *cell; /* without spaces round it, unless quoted; valid during the call */
    size_t cells;
    int line;           /* from 1 */
    const char *broken; /* why it could not be read, its cells being void; NULL: it could */
};

/* Anything but MU_OK ends the reading and is passed on. */
typedef enum mu_status mu_csv_take(void *context, const struct mu_csv_row *row);

/* A file, a pipe, or "-" for standard input, whole, into malloc'ed memory; at most
 * MU_CSV_FILE_BYTES. */
enum mu_status mu_csv_load(const char *path, char **text, size_t *size) MU_CHECKED;
struct mu_csv_form {
    char delimiter;  /* known before the first row is given to `take` */
    size_t comments; /* lines */
};

/* `name` is for messages. */
enum mu_status mu_csv_parse(const char *name, const char *text, size_t size,
                            struct mu_csv_form *form, mu_csv_take *take, void *context) MU_CHECKED;

const char *mu_csv_library_version(void); /* "libcsv 3.0.3" */

#endif
