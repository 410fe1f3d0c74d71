/* How a checkpoint is laid out, version 1. One folder, `step-00001200/`, of two kinds of files.
 *
 * part-00000.h5, part-00001.h5, ...
 *   attributes of /           format, step, part, parts, layout_identity
 *   /weights/NAME             float32, the rows that this part has x columns
 *   /adam_m/NAME              the same
 *   /adam_v/NAME              the same
 *   /predictions/NAME         int16, the rows that this part has x blocks of a row
 *   /checksums/ARRAY/NAME     uint64, pieces x 2: xxh3-128 of each piece, high and low
 *
 * checkpoint.h5
 *   attributes of /           format, step, parts, layout_identity, state_hash, fingerprint,
 *                             written, checksum (of all of these and of /info)
 *   /weights/NAME, ...        every tensor whole: virtual datasets over the parts
 *   /info/config              text of the resolved configuration
 *   /info/journal             JSON
 *   /info/tensors             JSON: names and shapes, in order
 *
 * Part p of P holds rows [rows * p / P, rows * (p + 1) / P) of every tensor; a part without rows of
 * a tensor has no dataset of it. A tensor of one row is a vector and is shown with one dimension.
 * A piece is the whole rows that fit into MU_PIECE_BYTES, at least one: a reader of any range of
 * rows can check what it reads. Files are in HDF5's 1.10 format, whose own metadata carries
 * checksums.
 *
 * Invariants: a file has its final name only when it is whole and on the disk; checkpoint.h5 comes
 * last and goes first, so that a folder that has one is, or was, whole. */
#ifndef MUSTER_WORKER_CHECKPOINT_FORMAT_H
#define MUSTER_WORKER_CHECKPOINT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/h5.h"

enum {
    MU_CHECKPOINT_FORMAT = 1,
    MU_CHECKPOINT_PARTS_MAX = 100000, /* five digits in the name of a part */
    MU_PIECE_BYTES = 1 << 20,
    MU_DATASET_NAME_MAX = MU_TENSOR_NAME_MAX + 32, /* "/checksums/predictions/" and the tensor */
};

/* X(identifier, group, element type of the file, field of struct mu_state_view) */
#define MU_ARRAY_TABLE(X)             \
    X(WEIGHT, "weights", F32, weight) \
    X(M, "adam_m", F32, m)            \
    X(V, "adam_v", F32, v)            \
    X(PREDICTION, "predictions", I16, prediction)

enum mu_array {
#define MU_ARRAY_ENUM(id, group, type, field) MU_ARRAY_##id,
    MU_ARRAY_TABLE(MU_ARRAY_ENUM)
#undef MU_ARRAY_ENUM
        MU_ARRAY_COUNT
};

struct mu_rows {
    uint64_t first, count;
};
/* [rows * share / shares, rows * (share + 1) / shares): as rows are dealt to ranks (core/shards.h),
 * so that a rank writes and reads what it computes with. */
struct mu_rows mu_rows_share(uint64_t rows, uint64_t share, uint64_t shares);
struct mu_rows mu_rows_overlap(struct mu_rows a, struct mu_rows b); /* count 0: none */

uint32_t mu_array_element_bytes(enum mu_array array);
uint64_t mu_array_cols(enum mu_array array, const struct mu_tensor *t);
uint64_t mu_array_row_bytes(enum mu_array array, const struct mu_tensor *t);
uint64_t mu_array_piece_rows(enum mu_array array, const struct mu_tensor *t); /* at least 1 */
struct mu_h5_shape mu_array_shape(enum mu_array array, const struct mu_tensor *t, uint64_t rows);
/* Address of a row in the view; NULL when the view lacks the array. */
void *mu_array_row(enum mu_array array, const struct mu_state_view *state,
                   const struct mu_tensor *t, uint64_t row);
/* "/weights/NAME", or with `checksums` "/checksums/weights/NAME" */
void mu_array_dataset(char out[MU_DATASET_NAME_MAX], enum mu_array array, const struct mu_tensor *t,
                      bool checksums);

/* What a part says of itself. */
struct mu_part_header {
    uint64_t format, step, part, parts, layout_identity;
};
enum mu_status mu_part_path(char out[MU_PATH_MAX], const char *folder, uint32_t part) MU_CHECKED;
/* ---- part.c ---- */
/* MU_CORRUPT, with the file's name, when the part is missing, cannot be read, or is not the one
 * that is expected. */
enum mu_status mu_part_check(const char *folder, const struct mu_part_header *expected) MU_CHECKED;
/* Opens it as well; closed again unless MU_OK. */
enum mu_status mu_part_open(const char *folder, const struct mu_part_header *expected,
                            struct mu_h5 *f) MU_CHECKED;
/* Whether bytes that were read of `data`, its piece `number`, which is `rows` of the tensor, have
 * their checksum: MU_CORRUPT, with file, tensor and place. */
enum mu_status mu_part_check_piece(const struct mu_h5_array *data, uint64_t number,
                                   struct mu_rows rows, const void *bytes, size_t size,
                                   struct mu_hash checksum) MU_CHECKED;
/* Loads the rows that this part has of share `share` of `shares`. */
enum mu_status mu_part_load(const char *folder, const struct mu_part_header *expected,
                            const struct mu_state_view *state, uint32_t share, uint32_t shares,
                            const struct mu_checkpoint_poll *poll) MU_CHECKED;
/* fsync of a file or folder. */
enum mu_status mu_checkpoint_sync(const char *path,
                                  const struct mu_checkpoint_poll *poll) MU_CHECKED;
/* Durably; `to` lies in `folder`. */
enum mu_status mu_checkpoint_rename(const char *from, const char *to, const char *folder,
                                    const struct mu_checkpoint_poll *poll) MU_CHECKED;

/* ---- tensors.c: names and shapes as JSON ---- */
char *mu_tensors_to_json(const struct mu_layout *layout); /* malloc'ed; NULL: out of memory */
/* `path` is named in errors; the caller frees *specs. */
enum mu_status mu_tensors_from_json(const char *path, const char *text,
                                    struct mu_tensor_spec **specs, uint32_t *count) MU_CHECKED;

#endif
