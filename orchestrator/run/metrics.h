/* metrics.jsonl and metrics.csv: the same records twice, for programs and for spreadsheets. Written
 * by the run directory only (run_dir.h is what others include); `inspect` reads them. */
#ifndef MUSTER_RUN_METRICS_H
#define MUSTER_RUN_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/run/run_dir.h"

enum { MU_METRICS_LINE_MAX = 1024 }; /* bytes of a record in either form, with its newline */

struct mu_metrics_log {
    struct mu_metrics_file {
        int fd;        /* O_APPEND; -1: closed */
        uint64_t size; /* of whole records: what a write that failed halfway is cut back to */
    } jsonl, csv;
    uint64_t lost; /* records that could not be written */
};

/* Opens both files in `folder` and keeps the whole records of steps <= resume_step only. */
enum mu_status mu_metrics_open(struct mu_metrics_log *log, const char *folder,
                               int64_t resume_step) MU_CHECKED;
void mu_metrics_close(struct mu_metrics_log *log);
/* Both files get the record, or neither. A failure is warned of the first time. */
void mu_metrics_put(struct mu_metrics_log *log, const struct mu_metrics *m);

/* Calls `take` for each record of metrics.jsonl in the order of the file; a missing file has none.
 * Nothing is reported of lines that are no records: who asks for it is told of them. */
struct mu_metrics_damage {
    uint64_t lines; /* that are no records, the torn one among them */
    uint64_t first; /* number of the first of them, from 1 */
    bool torn;      /* the last line has no end: what a power cut leaves */
};
typedef void mu_metrics_take(void *context, const struct mu_metrics *m);
enum mu_status mu_metrics_read(const char *folder, mu_metrics_take *take, void *context,
                               struct mu_metrics_damage *damage) MU_CHECKED;

struct mu_run_losses mu_metrics_losses(const char *folder);

/* One record as a line of JSON, newline included; gives back its length. */
size_t mu_metrics_print_json(const struct mu_metrics *m, char line[MU_METRICS_LINE_MAX]);
/* False when the line is not a record. Keys that it lacks become NaN, 0 or false. */
bool mu_metrics_parse_json(const char *line, size_t size, struct mu_metrics *m);

/* Digits after which %.*g gives the same number back: "0.001", never "0.0010000000000000000208". */
int mu_metrics_digits(double value);

#endif
