#include "orchestrator/inspect/inspect_checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/inspect/found.h"
#include "worker/checkpoint/reader.h"
#include "worker/state_hash.h"

static uint64_t file_bytes(const char *folder, const char *file)
{
    char path[MU_PATH_MAX];
    struct stat s;
    int n = snprintf(path, sizeof path, "%s/%s", folder, file);

    return n > 0 && n < MU_PATH_MAX && stat(path, &s) == 0 ? (uint64_t)s.st_size : 0;
}

static void look_at_parts(struct mu_inspected *c)
{
    c->bytes = file_bytes(c->folder, "checkpoint.h5");
    for (uint32_t p = 0; p < c->info.parts; p++) {
        struct mu_inspected_part *part = &c->parts[p];

        snprintf(part->file, sizeof part->file, "part-%05" PRIu32 ".h5", p);
        part->bytes = file_bytes(c->folder, part->file);
        if (mu_checkpoint_check_part(c->folder, &c->info, p) != MU_OK) {
            part->state = part->bytes == 0 ? MU_PART_MISSING : MU_PART_DAMAGED;
            c->parts_bad++;
        }
        c->bytes += part->bytes;
    }
}

static void measure_weights(struct mu_inspected_tensor *t, const struct mu_checkpoint_piece *piece)
{
    const float *weights = piece->bytes;

    for (size_t k = 0; k < piece->size / sizeof *weights; k++) {
        t->weight_norm += (double)weights[k] * (double)weights[k];
        t->nonfinite += isfinite(weights[k]) ? 0u : 1u;
    }
}

/* A wrong piece is told in the log by file and tensor; the hash is no use after one. */
static enum mu_status read_array(struct mu_inspected *c, struct mu_checkpoint_reader *r,
                                 uint32_t tensor, enum mu_array array, struct mu_state_hasher *h)
{
    struct mu_checkpoint_piece piece;

    mu_checkpoint_reader_begin(r, tensor, array);
    for (;;) {
        enum mu_status st = mu_checkpoint_reader_next(r, &piece);

        if (st != MU_OK && st != MU_CORRUPT)
            return st;
        if (piece.rows.count == 0)
            return MU_OK;
        if (st == MU_CORRUPT && c->parts[piece.part].state == MU_PART_PRESENT) {
            c->parts[piece.part].state = MU_PART_DAMAGED;
            c->parts_bad++;
        }
        if (c->parts_bad > 0)
            continue;
        mu_state_hasher_take(h, piece.bytes, piece.size);
        if (array == MU_ARRAY_WEIGHT)
            measure_weights(&c->tensors[tensor], &piece);
    }
}

/* Reads everything, a piece at a time, and computes the state hash again. */
static enum mu_status look_deep(struct mu_inspected *c)
{
    struct mu_state_hasher hasher = {.pieces = NULL};
    struct mu_checkpoint_reader *r = NULL;
    enum mu_status st = MU_OK;

    MU_TRY(mu_checkpoint_reader_open(c->folder, &r), st, done);
    MU_TRY(mu_state_hasher_open(&hasher, mu_checkpoint_reader_layout(r)), st, done);
    for (uint32_t p = 0; p < c->info.parts; p++)
        if (c->parts[p].state != MU_PART_PRESENT)
            mu_checkpoint_reader_skip(r, p);
    for (uint32_t t = 0; t < c->layout.tensor_count; t++) {
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
            MU_TRY(read_array(c, r, t, a, &hasher), st, done);
        c->tensors[t].weight_norm = sqrt(c->tensors[t].weight_norm);
    }
    c->read = true;
    c->whole = c->parts_bad == 0;
    for (uint32_t p = 0; p < c->info.parts; p++)
        if (c->parts[p].state == MU_PART_PRESENT)
            c->parts[p].state = MU_PART_OK;
    if (c->whole)
        c->state = mu_state_hasher_finish(&hasher, c->info.step);
done:
    mu_state_hasher_close(&hasher);
    mu_checkpoint_reader_close(r);
    return st;
}

enum mu_status mu_inspect_checkpoint(const char *folder, bool deep, struct mu_inspected *c)
{
    enum mu_status st = MU_OK;
    struct mu_tensor_spec *specs = NULL;
    uint32_t count;

    memset(c, 0, sizeof *c);
    c->deep = deep;
    MU_TRY(mu_path_format(c->folder, "%s", folder), st, done);
    st = mu_checkpoint_read_index(folder, &c->info, &specs, &count);
    if (st == MU_NOT_FOUND)
        st = mu_found_no_checkpoint(folder);
    if (st != MU_OK)
        goto done;
    MU_TRY(mu_layout_init(&c->layout, specs, count), st, done);
    c->tensors = calloc(count, sizeof *c->tensors);
    c->parts = calloc(c->info.parts, sizeof *c->parts);
    if (!c->tensors || !c->parts) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to inspect %s", folder);
        goto done;
    }
    look_at_parts(c);
    if (deep) {
        MU_TRY(look_deep(c), st, done);
        st = mu_checkpoint_check_views(c->folder, &c->info, &c->layout);
        c->views_bad = st == MU_CORRUPT;
        if (c->views_bad)
            st = MU_OK;
    }
done:
    free(specs);
    if (st != MU_OK)
        mu_inspected_deinit(c);
    return st;
}

void mu_inspected_deinit(struct mu_inspected *c)
{
    mu_checkpoint_info_deinit(&c->info);
    mu_layout_deinit(&c->layout);
    free(c->tensors);
    free(c->parts);
    memset(c, 0, sizeof *c);
}

bool mu_inspected_good(const struct mu_inspected *c)
{
    return c->parts_bad == 0 && !c->views_bad &&
           (!c->deep || (c->whole && mu_hash_equal(c->state, c->info.state_hash)));
}
