/* Which checkpoint a run goes on from: the master's search, from the newest down. */
#ifndef MUSTER_MASTER_RESUME_H
#define MUSTER_MASTER_RESUME_H

#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/master/job.h"

struct mu_resume_candidates {
    int64_t *steps; /* ascending; those not tried yet are the first `left` */
    uint32_t left, count;
    uint64_t tokens; /* seen up to the one that was given out last; 0: none was */
};

enum mu_status mu_resume_candidates_find(struct mu_resume_candidates *c,
                                         const char *checkpoints) MU_CHECKED;
void mu_resume_candidates_free(struct mu_resume_candidates *c);
/* Fills job->data_identity: of data.train as it is when the job begins, whatever becomes of the
 * file later. Looks once; later calls do nothing. MU_CONFIG, reported, when the file cannot be
 * read. */
enum mu_status mu_resume_identify_data(struct mu_job *job) MU_CHECKED;

/* What a run keeps in its checkpoints beside the tensors: tokens seen, and which data they are, by
 * content. MU_CORRUPT, reported. */
enum mu_status mu_resume_note_read(const char *folder, const struct mu_checkpoint_info *info,
                                   uint64_t *tokens, char *data, size_t capacity) MU_CHECKED;

/* The newest one not tried yet whose parts are all there, and that belongs to this run:
 * MU_NOT_FOUND when the run has no checkpoint, MU_FAILED (reported) when all it has are damaged.
 * Damaged ones are named in a warning and passed over. Compares its data with today's (MU_CONFIG),
 * and warns when it was computed under another fingerprint. Its contents are not looked at: whoever
 * loads it may still refuse it, so that `job` takes nothing from it here but its own data's
 * identity. */
enum mu_status mu_resume_candidates_next(struct mu_resume_candidates *c, struct mu_job *job,
                                         int64_t *step, char folder[MU_PATH_MAX],
                                         struct mu_hash *state_hash) MU_CHECKED;

/* JSON of what a run keeps beside the tensors; malloc'ed. */
enum mu_status mu_resume_note_write(const struct mu_job *job, char **json) MU_CHECKED;

#endif
