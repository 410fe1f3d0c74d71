/* Parts stay open, up to some: a tensor's rows are asked for part by part, and the next tensor
 * begins with the first part again. */
#include "worker/checkpoint/reader.h"

#include <stdlib.h>
#include <string.h>

enum { OPEN_MAX = 64 };

struct open_file {
    uint32_t part;
    struct mu_h5 file;
};

struct mu_checkpoint_reader {
    char folder[MU_PATH_MAX];
    struct mu_checkpoint_info info;
    struct mu_layout layout;
    struct open_file *open[OPEN_MAX];
    uint32_t replaced; /* files that made room: the next one to go is this number in a ring */
    bool *bad;         /* by part: it could not be opened, which has been told */
    void *buffer;
    size_t capacity;

    uint32_t tensor, part; /* the next piece is of this part, */
    enum mu_array array;
    uint64_t number;         /* and has this number in it */
    struct mu_hash *sums;    /* of the array in this part; NULL: it is not open */
    struct mu_h5_array data; /* its name is: */
    char name[MU_DATASET_NAME_MAX];
};

/* ---- opening --------------------------------------------------------------------------------- */

enum mu_status mu_checkpoint_reader_open(const char *folder, struct mu_checkpoint_reader **out)
{
    struct mu_checkpoint_reader *r = calloc(1, sizeof *r);
    struct mu_tensor_spec *specs = NULL;
    uint32_t count = 0;
    enum mu_status st = MU_OK;

    *out = NULL;
    if (!r)
        return MU_FAIL(MU_NO_MEMORY, "no memory to read %s", folder);
    r->data = MU_H5_NO_ARRAY;
    MU_TRY(mu_path_format(r->folder, "%s", folder), st, failed);
    MU_TRY(mu_checkpoint_read_index(folder, &r->info, &specs, &count), st, failed);
    MU_TRY(mu_layout_init(&r->layout, specs, count), st, failed);
    r->bad = calloc(r->info.parts, sizeof *r->bad);
    if (!r->bad) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to read %s", folder);
        goto failed;
    }
    free(specs);
    *out = r;
    return MU_OK;
failed:
    free(specs);
    mu_checkpoint_reader_close(r);
    return st;
}

static void close_array(struct mu_checkpoint_reader *r)
{
    mu_h5_array_close(&r->data);
    free(r->sums);
    r->sums = NULL;
}

void mu_checkpoint_reader_close(struct mu_checkpoint_reader *r)
{
    if (!r)
        return;
    close_array(r);
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        if (r->open[i]) {
            mu_h5_close_quietly(&r->open[i]->file);
            free(r->open[i]);
        }
    mu_checkpoint_info_deinit(&r->info);
    mu_layout_deinit(&r->layout);
    free(r->bad);
    free(r->buffer);
    free(r);
}

const struct mu_layout *mu_checkpoint_reader_layout(const struct mu_checkpoint_reader *r)
{
    return &r->layout;
}

void mu_checkpoint_reader_skip(struct mu_checkpoint_reader *r, uint32_t part)
{
    r->bad[part] = true;
}

/* ---- parts and their arrays ------------------------------------------------------------------ */

/* The place of a part among those that are open: where it is, or where it may be opened. */
static enum mu_status find_place(struct mu_checkpoint_reader *r, struct open_file **out)
{
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        if (!r->open[i]) {
            r->open[i] = malloc(sizeof **r->open);
            if (!r->open[i])
                return MU_FAIL(MU_NO_MEMORY, "no memory to read %s", r->folder);
            r->open[i]->file = MU_H5_CLOSED;
        }
        *out = r->open[i];
        if ((*out)->file.id < 0 || (*out)->part == r->part)
            return MU_OK;
    }
    *out = r->open[r->replaced++ % OPEN_MAX];
    mu_h5_close_quietly(&(*out)->file);
    return MU_OK;
}

static enum mu_status open_file(struct mu_checkpoint_reader *r, struct mu_h5 **out)
{
    const struct mu_part_header expected = {MU_CHECKPOINT_FORMAT, (uint64_t)r->info.step, r->part,
                                            r->info.parts, r->info.layout_identity};
    struct open_file *place = NULL;
    enum mu_status st;

    *out = NULL;
    if (r->bad[r->part])
        return MU_CORRUPT;
    st = find_place(r, &place);
    if (st != MU_OK)
        return st;
    *out = &place->file;
    if (place->file.id >= 0)
        return MU_OK;
    place->part = r->part;
    st = mu_part_open(r->folder, &expected, &place->file);
    r->bad[r->part] = st == MU_CORRUPT;
    return st;
}

static const struct mu_tensor *tensor_of(const struct mu_checkpoint_reader *r)
{
    return &r->layout.tensors[r->tensor];
}

static struct mu_rows rows_here(const struct mu_checkpoint_reader *r)
{
    return mu_rows_share(tensor_of(r)->spec.rows, r->part, r->info.parts);
}

static uint64_t pieces_here(const struct mu_checkpoint_reader *r)
{
    const uint64_t rows = mu_array_piece_rows(r->array, tensor_of(r));

    return (rows_here(r).count + rows - 1) / rows;
}

static enum mu_status make_room(struct mu_checkpoint_reader *r, size_t size)
{
    void *more;

    if (size <= r->capacity)
        return MU_OK;
    more = realloc(r->buffer, size);
    if (!more)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the %zu bytes of a piece of %s", size,
                       r->folder);
    r->buffer = more;
    r->capacity = size;
    return MU_OK;
}

static enum mu_status open_array(struct mu_checkpoint_reader *r)
{
    const struct mu_tensor *t = tensor_of(r);
    const uint64_t pieces = pieces_here(r);
    struct mu_h5_shape sums_shape = {MU_H5_U64, pieces, 2, false};
    struct mu_h5_array sums = MU_H5_NO_ARRAY;
    char sums_name[MU_DATASET_NAME_MAX];
    struct mu_h5 *file;
    enum mu_status st;

    MU_TRY(open_file(r, &file), st, failed);
    mu_array_dataset(r->name, r->array, t, false);
    mu_array_dataset(sums_name, r->array, t, true);
    r->sums = malloc(pieces * sizeof *r->sums);
    if (!r->sums)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the checksums of %s", r->name);
    MU_TRY(
        mu_h5_array_open(file, r->name, mu_array_shape(r->array, t, rows_here(r).count), &r->data),
        st, failed);
    MU_TRY(mu_h5_array_open(file, sums_name, sums_shape, &sums), st, failed);
    MU_TRY(mu_h5_array_read(&sums, 0, pieces, r->sums), st, failed);
    mu_h5_array_close(&sums);
    return MU_OK;
failed:
    mu_h5_array_close(&sums);
    close_array(r);
    return st;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

void mu_checkpoint_reader_begin(struct mu_checkpoint_reader *r, uint32_t tensor,
                                enum mu_array array)
{
    close_array(r);
    r->tensor = tensor;
    r->array = array;
    r->part = 0;
    r->number = 0;
}

static void go_to_next_part(struct mu_checkpoint_reader *r)
{
    close_array(r);
    r->part++;
    r->number = 0;
}

static enum mu_status read_piece(struct mu_checkpoint_reader *r, struct mu_checkpoint_piece *out)
{
    const struct mu_tensor *t = tensor_of(r);
    const struct mu_rows have = rows_here(r);
    const uint64_t rows = mu_array_piece_rows(r->array, t), from = r->number * rows;
    const uint64_t left = have.count - from;
    enum mu_status st = MU_OK;

    out->rows = (struct mu_rows){have.first + from, left < rows ? left : rows};
    out->size = out->rows.count * mu_array_row_bytes(r->array, t);
    MU_TRY(make_room(r, out->size), st, done);
    MU_TRY(mu_h5_array_read(&r->data, from, out->rows.count, r->buffer), st, done);
    MU_TRY(mu_part_check_piece(&r->data, r->number, out->rows, r->buffer, out->size,
                               r->sums[r->number]),
           st, done);
    out->bytes = r->buffer;
done:
    r->number++;
    return st;
}

enum mu_status mu_checkpoint_reader_next(struct mu_checkpoint_reader *r,
                                         struct mu_checkpoint_piece *out)
{
    enum mu_status st;

    for (; r->part < r->info.parts; go_to_next_part(r)) {
        *out = (struct mu_checkpoint_piece){.part = r->part, .rows = rows_here(r)};
        if (out->rows.count == 0 || r->number == pieces_here(r))
            continue;
        if (r->sums)
            return read_piece(r, out);
        st = open_array(r);
        if (st == MU_OK)
            return read_piece(r, out);
        go_to_next_part(r);
        return st;
    }
    *out = (struct mu_checkpoint_piece){.part = r->part};
    return MU_OK;
}
