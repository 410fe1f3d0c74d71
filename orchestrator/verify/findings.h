/* How findings come about: said outright, or taken from the log while somebody listens. What the
 * program reports of a damaged file says file, place and reason; verify only adds what to do. */
#ifndef MUSTER_VERIFY_FINDINGS_H
#define MUSTER_VERIFY_FINDINGS_H

#include "orchestrator/base/hash.h"
#include "orchestrator/verify/verify.h"

/* NOTE: not as it could be, and no damage: what a crash leaves and the next start clears away. */
enum mu_finding { MU_FINDING_GOOD, MU_FINDING_NOTE, MU_FINDING_DAMAGE };

/* `advice`: what to do; NULL: nothing. The text is one line, printf style, that begins with a path. */
void mu_verify_find(struct mu_verify *v, enum mu_finding finding, const char *advice,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Until listen_end errors and warnings of the log are findings: damage and notes, with this advice
 * (kept by reference). Gives back how many were damage. */
struct mu_verify_ear {
    struct mu_verify *v;
    const char *advice;
    uint64_t before;
};
void mu_verify_listen(struct mu_verify_ear *ear, struct mu_verify *v, const char *advice);
uint64_t mu_verify_listen_end(struct mu_verify_ear *ear);

/* Takes over the findings that `from` has kept, as they were found. */
void mu_verify_merge(struct mu_verify *v, const struct mu_verify *from);

/* ---- what is looked at, a file each ---- */

/* checkpoint.c. `step`: of the folder's name; -1: any. `recorded`: the state hash that the run's
 * records have of it; NULL: none. Gives back whether it is whole. */
bool mu_verify_checkpoint(struct mu_verify *v, const char *folder, int64_t step,
                          const struct mu_hash *recorded);
/* A folder of them. `newest` gets the step of the newest that is whole; -1: none. */
struct mu_side;
void mu_verify_checkpoints(struct mu_verify *v, const char *checkpoints,
                           const struct mu_side *records, bool is_trained, int64_t *newest);
/* run.c */
void mu_verify_run(struct mu_verify *v, const char *path);
/* has_begun: it must have a record. */
void mu_verify_journal(struct mu_verify *v, const char *folder, bool has_begun);
/* One object of JSON in a file. NULL: it is not there or no object; then there is a finding, but
 * for a missing one that is `optional`. The caller takes the reference. */
json_t *mu_verify_json(struct mu_verify *v, const char *path, bool optional, const char *advice);
/* Names what a crash left in a folder: files and folders that were to be renamed. */
void mu_verify_leavings(struct mu_verify *v, const char *folder);
/* sweep.c */
void mu_verify_sweep(struct mu_verify *v, const char *path);
void mu_verify_runs(struct mu_verify *v, const char *path); /* each folder that is a run or sweep */

#endif
