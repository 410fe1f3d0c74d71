/* One part of a checkpoint: written by one rank, read by whoever needs its rows. Layout:
 * format.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/hash.h"
#include "worker/checkpoint/format.h"
#include "worker/checkpoint/h5.h"

static enum mu_status put_header(struct mu_h5 *f, const struct mu_part_header *h)
{
    enum mu_status st = MU_OK;

    MU_TRY(mu_h5_put_number(f, "format", h->format), st, done);
    MU_TRY(mu_h5_put_number(f, "step", h->step), st, done);
    MU_TRY(mu_h5_put_number(f, "part", h->part), st, done);
    MU_TRY(mu_h5_put_number(f, "parts", h->parts), st, done);
    MU_TRY(mu_h5_put_number(f, "layout_identity", h->layout_identity), st, done);
done:
    return st;
}

enum mu_status mu_part_open(const char *folder, const struct mu_part_header *expected,
                            struct mu_h5 *f)
{
    enum mu_status st = MU_OK;
    struct mu_part_header h;
    char path[MU_PATH_MAX];

    *f = MU_H5_CLOSED;
    MU_TRY(mu_part_path(path, folder, (uint32_t)expected->part), st, failed);
    MU_TRY(mu_h5_open(f, path), st, failed);
    MU_TRY(mu_h5_get_number(f, "format", &h.format), st, failed);
    if (h.format != expected->format) {
        st = MU_FAIL(MU_CORRUPT, "%s is of format %" PRIu64 "; this program reads format %" PRIu64,
                     path, h.format, expected->format);
        goto failed;
    }
    MU_TRY(mu_h5_get_number(f, "step", &h.step), st, failed);
    MU_TRY(mu_h5_get_number(f, "part", &h.part), st, failed);
    MU_TRY(mu_h5_get_number(f, "parts", &h.parts), st, failed);
    MU_TRY(mu_h5_get_number(f, "layout_identity", &h.layout_identity), st, failed);
    if (h.step != expected->step || h.part != expected->part || h.parts != expected->parts) {
        st =
            MU_FAIL(MU_CORRUPT,
                    "%s is part %" PRIu64 " of %" PRIu64 " of step %" PRIu64
                    "; expected part %" PRIu64 " of %" PRIu64 " of step %" PRIu64,
                    path, h.part, h.parts, h.step, expected->part, expected->parts, expected->step);
        goto failed;
    }
    if (h.layout_identity != expected->layout_identity) {
        st = MU_FAIL(MU_CORRUPT, "%s holds tensors of another model than its checkpoint", path);
        goto failed;
    }
    return MU_OK;
failed:
    mu_h5_close_quietly(f);
    return st;
}

enum mu_status mu_part_check(const char *folder, const struct mu_part_header *expected)
{
    struct mu_h5 f;
    enum mu_status st = mu_part_open(folder, expected, &f);

    mu_h5_close_quietly(&f); /* read-only: nothing is held back */
    return st;
}

/* Rows [first, first + count) of the array in a part that has `have` of the tensor's rows, with
 * their checksums. */
static enum mu_status write_array(struct mu_h5 *f, enum mu_array array,
                                  const struct mu_state_view *state, const struct mu_tensor *t,
                                  struct mu_rows have, int64_t step)
{
    enum mu_status st = MU_OK;
    uint64_t piece = mu_array_piece_rows(array, t), pieces = (have.count + piece - 1) / piece;
    uint64_t row_bytes = mu_array_row_bytes(array, t);
    struct mu_h5_array data = MU_H5_NO_ARRAY, sums = MU_H5_NO_ARRAY;
    struct mu_h5_shape sums_shape = {MU_H5_U64, pieces, 2, false};
    struct mu_hash *hashes = malloc(pieces * sizeof *hashes);
    char name[MU_DATASET_NAME_MAX], sums_name[MU_DATASET_NAME_MAX];

    mu_array_dataset(name, array, t, false);
    mu_array_dataset(sums_name, array, t, true);
    if (!hashes) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the checksums of %s", name);
        goto done;
    }
    if (mu_fault(MU_FAULT_SAVE_DISK, step)) {
        st = MU_FAIL(MU_FAILED, "%s: cannot write %s: %s", f->path, name, strerror(ENOSPC));
        goto done;
    }
    MU_TRY(mu_h5_array_create(f, name, mu_array_shape(array, t, have.count), &data), st, done);
    for (uint64_t i = 0; i < pieces; i++) {
        uint64_t row = i * piece, rows = have.count - row < piece ? have.count - row : piece;
        const void *from = mu_array_row(array, state, t, have.first + row);

        hashes[i] = mu_hash_bytes(from, rows * row_bytes, 0);
        MU_TRY(mu_h5_array_write(&data, row, rows, from), st, done);
    }
    MU_TRY(mu_h5_array_create(f, sums_name, sums_shape, &sums), st, done);
    MU_TRY(mu_h5_array_write(&sums, 0, pieces, hashes), st, done);
done:
    mu_h5_array_close(&sums);
    mu_h5_array_close(&data);
    free(hashes);
    return st;
}

static enum mu_status write_tensors(struct mu_h5 *f, const struct mu_state_view *state,
                                    const struct mu_part_header *h)
{
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < state->layout->tensor_count; i++) {
        const struct mu_tensor *t = &state->layout->tensors[i];
        struct mu_rows have = mu_rows_share(t->spec.rows, h->part, h->parts);

        for (enum mu_array a = 0; a < MU_ARRAY_COUNT && have.count > 0; a++)
            MU_TRY(write_array(f, a, state, t, have, (int64_t)h->step), st, done);
        if (i == state->layout->tensor_count / 2 && mu_fault(MU_FAULT_SAVE, (int64_t)h->step)) {
            st = MU_FAIL(MU_FAILED, "%s: failed on request (MUSTER_FAULT)", f->path);
            goto done;
        }
    }
done:
    return st;
}

enum mu_status mu_checkpoint_write_part(const char *folder, const struct mu_state_view *state,
                                        int64_t step, uint32_t part, uint32_t parts,
                                        const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;
    struct mu_part_header h = {MU_CHECKPOINT_FORMAT, (uint64_t)step, part, parts,
                               mu_layout_identity(state->layout)};
    struct mu_h5 f = MU_H5_CLOSED;
    char path[MU_PATH_MAX], beside[MU_PATH_MAX], published[MU_PATH_MAX];

    MU_ASSERT(part < parts && parts <= MU_CHECKPOINT_PARTS_MAX && step >= 0);
    MU_TRY(mu_part_path(path, folder, part), st, done);
    MU_TRY(mu_path_format(beside, "%s.tmp", path), st, done);
    MU_TRY(mu_path_format(published, "%s/checkpoint.h5", folder), st, done);

    MU_TRY(mu_h5_create(&f, beside, poll), st, failed);
    MU_TRY(put_header(&f, &h), st, failed);
    MU_TRY(write_tensors(&f, state, &h), st, failed);
    MU_TRY(mu_h5_close(&f), st, failed);
    MU_TRY(mu_checkpoint_sync(beside, poll), st, failed);
    /* Saved again at the same step: not a checkpoint while its parts change. */
    if (unlink(published) == 0)
        MU_TRY(mu_checkpoint_sync(folder, poll), st, failed);
    MU_TRY(mu_file_remove(path), st, failed);
    MU_TRY(mu_checkpoint_rename(beside, path, folder, poll), st, failed);
    return MU_OK;
failed:
    mu_h5_close_quietly(&f);
    unlink(beside); /* gives its space back */
done:
    return st;
}

/* What reading one array of a part needs; `scratch` holds one piece. */
struct reading {
    struct mu_h5 *file;
    const struct mu_state_view *state;
    const struct mu_checkpoint_poll *poll;
    void *scratch;
};

enum mu_status mu_part_check_piece(const struct mu_h5_array *data, uint64_t number,
                                   struct mu_rows rows, const void *bytes, size_t size,
                                   struct mu_hash checksum)
{
    if (mu_hash_equal(mu_hash_bytes(bytes, size, 0), checksum))
        return MU_OK;
    return MU_FAIL(MU_CORRUPT,
                   "%s: %s is damaged: rows %" PRIu64 " to %" PRIu64
                   " of the tensor (block %" PRIu64 " of the part) do not have their checksum",
                   data->file->path, data->name, rows.first, rows.first + rows.count - 1, number);
}

static enum mu_status read_piece(struct mu_h5_array *data, const struct reading *r,
                                 enum mu_array array, const struct mu_tensor *t,
                                 struct mu_rows have, struct mu_rows piece, struct mu_rows want,
                                 struct mu_hash checksum)
{
    uint64_t row_bytes = mu_array_row_bytes(array, t);
    struct mu_rows take = mu_rows_overlap(piece, want);
    void *home = mu_array_row(array, r->state, t, take.first);
    void *to = take.count == piece.count ? home : r->scratch;
    const uint64_t number = (piece.first - have.first) / mu_array_piece_rows(array, t);
    enum mu_status st = mu_h5_array_read(data, piece.first - have.first, piece.count, to);

    if (st != MU_OK)
        return st;
    st = mu_part_check_piece(data, number, piece, to, piece.count * row_bytes, checksum);
    if (st != MU_OK)
        return st;
    if (to != home)
        memcpy(home, (char *)to + (take.first - piece.first) * row_bytes, take.count * row_bytes);
    return MU_OK;
}

/* Rows `want` of the tensor from a part that has rows `have`; they overlap. */
static enum mu_status read_array(const struct reading *r, enum mu_array array,
                                 const struct mu_tensor *t, struct mu_rows have,
                                 struct mu_rows want)
{
    enum mu_status st = MU_OK;
    uint64_t rows = mu_array_piece_rows(array, t), pieces = (have.count + rows - 1) / rows;
    struct mu_h5_array data = MU_H5_NO_ARRAY, sums = MU_H5_NO_ARRAY;
    struct mu_h5_shape sums_shape = {MU_H5_U64, pieces, 2, false};
    struct mu_hash *hashes = malloc(pieces * sizeof *hashes);
    char name[MU_DATASET_NAME_MAX], sums_name[MU_DATASET_NAME_MAX];

    mu_array_dataset(name, array, t, false);
    mu_array_dataset(sums_name, array, t, true);
    if (!hashes) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the checksums of %s", name);
        goto done;
    }
    MU_TRY(mu_h5_array_open(r->file, name, mu_array_shape(array, t, have.count), &data), st, done);
    MU_TRY(mu_h5_array_open(r->file, sums_name, sums_shape, &sums), st, done);
    MU_TRY(mu_h5_array_read(&sums, 0, pieces, hashes), st, done);
    for (uint64_t i = 0; i < pieces; i++) {
        uint64_t from = i * rows, left = have.count - from;
        struct mu_rows piece = {have.first + from, left < rows ? left : rows};

        if (mu_rows_overlap(piece, want).count == 0)
            continue;
        MU_TRY(mu_checkpoint_ask(r->poll), st, done);
        MU_TRY(read_piece(&data, r, array, t, have, piece, want, hashes[i]), st, done);
    }
done:
    mu_h5_array_close(&sums);
    mu_h5_array_close(&data);
    free(hashes);
    return st;
}

/* Bytes of the largest piece of any tensor. */
static uint64_t largest_piece(const struct mu_layout *layout)
{
    uint64_t most = MU_PIECE_BYTES;

    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        uint64_t bytes = mu_array_row_bytes(MU_ARRAY_WEIGHT, &layout->tensors[i]);

        most = bytes > most ? bytes : most;
    }
    return most;
}

enum mu_status mu_part_load(const char *folder, const struct mu_part_header *expected,
                            const struct mu_state_view *state, uint32_t share, uint32_t shares,
                            const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;
    struct mu_h5 f = MU_H5_CLOSED;
    struct reading r = {&f, state, poll, malloc(largest_piece(state->layout))};

    if (!r.scratch)
        return MU_FAIL(MU_NO_MEMORY, "no memory to load a checkpoint");
    MU_TRY(mu_part_open(folder, expected, &f), st, done);
    for (uint32_t i = 0; i < state->layout->tensor_count; i++) {
        const struct mu_tensor *t = &state->layout->tensors[i];
        struct mu_rows have = mu_rows_share(t->spec.rows, expected->part, expected->parts);
        struct mu_rows want = mu_rows_share(t->spec.rows, share, shares);

        if (mu_rows_overlap(have, want).count == 0)
            continue;
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
            if (mu_array_row(a, state, t, 0))
                MU_TRY(read_array(&r, a, t, have, want), st, done);
    }
done:
    mu_h5_close_quietly(&f);
    free(r.scratch);
    return st;
}
