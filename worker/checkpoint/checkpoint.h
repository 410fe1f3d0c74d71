/* Checkpoints: `step-00001200/` with one part file per writer and `checkpoint.h5`, which presents
 * every tensor whole (HDF5 virtual datasets with relative names). Layout and invariants: format.h.
 *
 * Order of events: every writer writes its part beside its final name, fsyncs, renames; when all
 * parts are there, one rank writes checkpoint.h5 in the same way. A folder without checkpoint.h5 is
 * not a checkpoint. Rows of a part that is missing read as NaN (predictions: as the least int16)
 * through the virtual datasets, never as numbers; loading checks parts and checksums.
 *
 * What may take long asks `poll` (NULL: nobody) at most some milliseconds of work apart, and ends
 * with what it gives back other than MU_OK; a thread waits for the disk meanwhile. One write of a
 * quarter of a MB, or one read of a MB, that the system makes wait cannot ask. */
#ifndef MUSTER_WORKER_CHECKPOINT_H
#define MUSTER_WORKER_CHECKPOINT_H

#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"
#include "orchestrator/core/layout.h"
#include "worker/checkpoint/poll.h"

/* A view of one half of the state (memory of the segment, or of a test). */
struct mu_state_view {
    const struct mu_layout *layout;
    float *weight, *m, *v; /* layout->elements each */
    int16_t *prediction;   /* layout->blocks */
};

/* What is known of a checkpoint besides its tensors. */
struct mu_checkpoint_info {
    int64_t step; /* steps that were committed */
    uint32_t parts;
    uint64_t layout_identity; /* read; when published it is the layout's */
    struct mu_hash state_hash;
    char fingerprint[1024]; /* numerics: who computed it */
    char written[128];      /* read: "muster 0.1.0, HDF5 1.10.8, 2026-11-22T21:30:00Z" */
    char *config;           /* text of the resolved configuration; malloc'ed */
    char *journal;          /* JSON of what the run keeps beside the tensors; malloc'ed */
};
void mu_checkpoint_info_deinit(struct mu_checkpoint_info *info);

/* Of all parts together, about. */
uint64_t mu_checkpoint_bytes(const struct mu_layout *layout);
/* An early, clear word on a disk that is too small for all parts together: by one rank, before they
 * are written. What fills up meanwhile fails in the writes. */
enum mu_status mu_checkpoint_check_space(const char *folder,
                                         const struct mu_layout *layout) MU_CHECKED;
/* Writes this writer's part: of every tensor rows [rows * part / parts, rows * (part + 1) / parts),
 * and the same share of the predictions. `folder` exists. The view stands still meanwhile. A folder
 * that is a checkpoint already ceases to be one: do not save a step again that was published.
 * MU_FAILED (disk full, ...) leaves earlier checkpoints as they are. A part that was not finished
 * leaves nothing. */
enum mu_status mu_checkpoint_write_part(const char *folder, const struct mu_state_view *state,
                                        int64_t step, uint32_t part, uint32_t parts,
                                        const struct mu_checkpoint_poll *poll) MU_CHECKED;
/* After all parts are there: checkpoint.h5, durably. Checks that every part exists and is of this
 * step. */
enum mu_status mu_checkpoint_publish(const char *folder, const struct mu_layout *layout,
                                     const struct mu_checkpoint_info *info,
                                     const struct mu_checkpoint_poll *poll) MU_CHECKED;

/* Reads info; checks that all parts are there and belong together (not their contents).
 * MU_NOT_FOUND (not reported) when there is no checkpoint.h5; MU_CORRUPT with the file's name. */
enum mu_status mu_checkpoint_read_info(const char *folder,
                                       struct mu_checkpoint_info *info) MU_CHECKED;
/* Loads rows [rows * share / shares, ...) of every tensor into the view and checks every
 * checksum on the way; an array that is NULL in the view is left out. MU_NOT_FOUND (not
 * reported) when there is no checkpoint.h5; MU_CONFIG, naming the first tensor that differs,
 * when the view's layout is of another model; MU_CORRUPT with file and tensor. After an error
 * the view may hold some of the rows. */
enum mu_status mu_checkpoint_load(const char *folder, const struct mu_state_view *state,
                                  uint32_t share, uint32_t shares,
                                  const struct mu_checkpoint_poll *poll) MU_CHECKED;

/* What checkpoint.h5 says by itself, with names and shapes of the tensors in order (malloc'ed,
 * the caller frees), and whether a part is there and belongs to it: for looking at what may be
 * damaged. */
enum mu_status mu_checkpoint_read_index(const char *folder, struct mu_checkpoint_info *info,
                                        struct mu_tensor_spec **specs, uint32_t *count) MU_CHECKED;
enum mu_status mu_checkpoint_check_part(const char *folder, const struct mu_checkpoint_info *info,
                                        uint32_t part) MU_CHECKED;
/* Whether who reads checkpoint.h5 with other tools sees the tensors: its views name the right rows of
 * the right parts, which loading does not ask for. MU_CORRUPT with the first that does not. */
enum mu_status mu_checkpoint_check_views(const char *folder, const struct mu_checkpoint_info *info,
                                         const struct mu_layout *layout) MU_CHECKED;
const char *mu_checkpoint_library_version(void); /* "HDF5 1.10.8" */

/* Folder names and choice. */
enum mu_status mu_checkpoint_folder(char out[MU_PATH_MAX], const char *checkpoints,
                                    int64_t step) MU_CHECKED;
bool mu_checkpoint_is_published(const char *folder); /* it holds a checkpoint.h5 */
/* Steps of the folders under `checkpoints` that hold a checkpoint.h5, ascending; malloc'ed, the
 * caller frees. */
enum mu_status mu_checkpoint_list(const char *checkpoints, int64_t **steps,
                                  uint32_t *count) MU_CHECKED;
/* Newest one whose parts are all there; damaged ones are named in a warning and passed over.
 * MU_NOT_FOUND (not reported) when none. */
enum mu_status mu_checkpoint_find_newest(const char *checkpoints,
                                         struct mu_checkpoint_info *info) MU_CHECKED;
/* Removes the folder of a save that failed, whose parts would only take room on the disk; one that
 * holds a checkpoint.h5 is left as it is, and a missing one is no error. */
enum mu_status mu_checkpoint_remove_unfinished(const char *folder) MU_CHECKED;
/* Removes a checkpoint's folder, so that it is none from the first moment on; a missing one is no
 * error. */
enum mu_status mu_checkpoint_remove(const char *folder) MU_CHECKED;
/* Which checkpoints stay, of those of a run. */
struct mu_checkpoint_keep {
    uint32_t last;     /* so many of the newest */
    int64_t every, at; /* multiples of a step, and one step; 0: none */
};
/* To be called when the checkpoint of step `saved` was just published, which makes it a good
 * one: it stays, and of the older ones those that `keep` says. Removed is the rest: those of later
 * steps, which the run that saved has passed over as damaged and will compute again, and the
 * leavings of saves that did not finish. No save may be under way. */
enum mu_status mu_checkpoint_retain(const char *checkpoints, struct mu_checkpoint_keep keep,
                                    int64_t saved) MU_CHECKED;

#endif
