/* A checkpoint read a piece at a time, tensor by tensor, in memory that does not grow with the
 * model: for those who check, compare or copy what ranks did not load. Every piece is compared with
 * its checksum. One thread; HDF5 is not asked from two.
 *
 *   mu_checkpoint_reader_begin(r, tensor, array);
 *   do
 *       st = mu_checkpoint_reader_next(r, &piece);
 *   while (piece.rows.count > 0);
 */
#ifndef MUSTER_WORKER_CHECKPOINT_READER_H
#define MUSTER_WORKER_CHECKPOINT_READER_H

#include "worker/checkpoint/format.h"

struct mu_checkpoint_reader;

/* MU_NOT_FOUND (not reported) without a checkpoint.h5. Parts are opened when they are needed: that
 * one is missing shows when its rows are read. */
enum mu_status mu_checkpoint_reader_open(const char *folder,
                                         struct mu_checkpoint_reader **out) MU_CHECKED;
void mu_checkpoint_reader_close(struct mu_checkpoint_reader *r); /* NULL is allowed */
/* Lives as long as the reader. */
const struct mu_layout *mu_checkpoint_reader_layout(const struct mu_checkpoint_reader *r);

/* Consecutive rows of one array of one tensor, all in one part. */
struct mu_checkpoint_piece {
    uint32_t part;
    struct mu_rows rows; /* of the tensor; count 0: all of it has been read */
    const void *bytes;   /* until the next call; NULL: they could not be read */
    size_t size;
};

void mu_checkpoint_reader_begin(struct mu_checkpoint_reader *r, uint32_t tensor,
                                enum mu_array array);
/* MU_CORRUPT, reported, for a piece that is not what was saved: its rows are given, and the next
 * call goes on behind them. A part that cannot be opened is reported once. After another error the
 * reader may only be closed. */
enum mu_status mu_checkpoint_reader_next(struct mu_checkpoint_reader *r,
                                         struct mu_checkpoint_piece *out) MU_CHECKED;

/* Its rows count as damaged from now on, without a word: of a part that is known to be bad. */
void mu_checkpoint_reader_skip(struct mu_checkpoint_reader *r, uint32_t part);

#endif
