#include "orchestrator/cli/inspect_checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void measure_weights(struct mu_inspected *c, const float *weights)
{
    for (uint32_t i = 0; i < c->layout.tensor_count; i++) {
        const struct mu_tensor *t = &c->layout.tensors[i];
        double sum = 0;

        for (uint64_t k = t->offset; k < t->offset + t->spec.rows * t->spec.cols; k++) {
            sum += (double)weights[k] * (double)weights[k];
            c->tensors[i].nonfinite += isfinite(weights[k]) ? 0u : 1u;
        }
        c->tensors[i].weight_norm = sqrt(sum);
    }
}

/* Loads part by part, which checks every checksum: share p of as many shares as there are parts is
 * what part p holds. A wrong one is told in the log by file and tensor. */
static enum mu_status read_parts(struct mu_inspected *c, const struct mu_state_view *s)
{
    for (uint32_t p = 0; p < c->info.parts; p++) {
        enum mu_status st = mu_checkpoint_load(c->folder, s, p, c->info.parts, NULL);

        if (st == MU_CORRUPT) {
            c->parts[p].state = MU_PART_DAMAGED;
            c->parts_bad++;
        } else if (st != MU_OK)
            return st;
        else
            c->parts[p].state = MU_PART_OK;
    }
    return MU_OK;
}

/* Reads everything and computes the state hash again. */
static enum mu_status look_deep(struct mu_inspected *c)
{
    enum mu_status st = MU_OK;
    uint64_t count = mu_state_hash_pieces(&c->layout);
    struct mu_hash *pieces = malloc(count * sizeof *pieces);
    struct mu_state_view s = {&c->layout, calloc(c->layout.elements, sizeof(float)),
                              calloc(c->layout.elements, sizeof(float)),
                              calloc(c->layout.elements, sizeof(float)),
                              calloc(c->layout.blocks, sizeof(int16_t))};

    if (!pieces || !s.weight || !s.m || !s.v || !s.prediction) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the %.1f GB of %s; look without --deep",
                     12e-9 * (double)c->layout.elements, c->folder);
        goto done;
    }
    MU_TRY(read_parts(c, &s), st, done);
    c->read = true;
    c->whole = c->parts_bad == 0;
    if (!c->whole)
        goto done;
    for (uint64_t i = 0; i < count; i++)
        pieces[i] = mu_state_hash_piece(&s, i);
    c->state = mu_state_hash_combine(pieces, count, c->info.step);
    measure_weights(c, s.weight);
done:
    free(pieces);
    free(s.weight);
    free(s.m);
    free(s.v);
    free(s.prediction);
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
        st = MU_FAIL(MU_NOT_FOUND,
                     "%s has no checkpoint.h5: it is not a checkpoint, or was never finished",
                     folder);
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
    if (deep && c->parts_bad == 0)
        MU_TRY(look_deep(c), st, done);
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
    return c->parts_bad == 0 &&
           (!c->deep || (c->whole && mu_hash_equal(c->state, c->info.state_hash)));
}
