/* From the table of arrays (format.h) to sizes, places and names: the only file that knows how an
 * array's rows lie in a state view and what its dataset is called. */
#include "worker/checkpoint/format.h"

#include <inttypes.h>
#include <stdio.h>

#include "orchestrator/core/shards.h"
#include "worker/checkpoint/h5.h"

static const struct {
    const char *group;
    enum mu_h5_type type;
} arrays[MU_ARRAY_COUNT] = {
#define MU_ARRAY_ROW(id, group, type, field) {group, MU_H5_##type},
    MU_ARRAY_TABLE(MU_ARRAY_ROW)
#undef MU_ARRAY_ROW
};

struct mu_rows mu_rows_share(uint64_t rows, uint64_t share, uint64_t shares)
{
    struct mu_range range = mu_shards_of_worker(rows, share, shares);

    return (struct mu_rows){range.from, range.to - range.from};
}

struct mu_rows mu_rows_overlap(struct mu_rows a, struct mu_rows b)
{
    uint64_t first = a.first > b.first ? a.first : b.first;
    uint64_t a_end = a.first + a.count, b_end = b.first + b.count;
    uint64_t end = a_end < b_end ? a_end : b_end;

    return (struct mu_rows){first, end > first ? end - first : 0};
}

uint32_t mu_array_element_bytes(enum mu_array array)
{
    return arrays[array].type == MU_H5_I16 ? sizeof(int16_t) : sizeof(float);
}

uint64_t mu_array_cols(enum mu_array array, const struct mu_tensor *t)
{
    return array == MU_ARRAY_PREDICTION ? t->blocks_per_row : t->spec.cols;
}

uint64_t mu_array_row_bytes(enum mu_array array, const struct mu_tensor *t)
{
    return mu_array_cols(array, t) * mu_array_element_bytes(array);
}

uint64_t mu_array_piece_rows(enum mu_array array, const struct mu_tensor *t)
{
    uint64_t fit = MU_PIECE_BYTES / mu_array_row_bytes(array, t);

    return fit > 0 ? fit : 1;
}

struct mu_h5_shape mu_array_shape(enum mu_array array, const struct mu_tensor *t, uint64_t rows)
{
    return (struct mu_h5_shape){arrays[array].type, rows, mu_array_cols(array, t),
                                t->spec.rows == 1};
}

void *mu_array_row(enum mu_array array, const struct mu_state_view *state,
                   const struct mu_tensor *t, uint64_t row)
{
    void *const bases[MU_ARRAY_COUNT] = {
#define MU_ARRAY_BASE(id, group, type, field) state->field,
        MU_ARRAY_TABLE(MU_ARRAY_BASE)
#undef MU_ARRAY_BASE
    };
    uint64_t first = array == MU_ARRAY_PREDICTION ? t->first_block : t->offset;

    if (!bases[array])
        return NULL;
    return (char *)bases[array] +
           (first + row * mu_array_cols(array, t)) * mu_array_element_bytes(array);
}

void mu_array_dataset(char out[MU_DATASET_NAME_MAX], enum mu_array array, const struct mu_tensor *t,
                      bool checksums)
{
    int n = snprintf(out, MU_DATASET_NAME_MAX, "%s/%s/%s", checksums ? "/checksums" : "",
                     arrays[array].group, t->spec.name);

    MU_ASSERT(n > 0 && n < MU_DATASET_NAME_MAX);
}

enum mu_status mu_part_path(char out[MU_PATH_MAX], const char *folder, uint32_t part)
{
    return mu_path_format(out, "%s/part-%05" PRIu32 ".h5", folder, part);
}
