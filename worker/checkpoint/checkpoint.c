/* checkpoint.h5: what presents the parts as one checkpoint. Its texts and numbers carry one
 * checksum. Layout: format.h. */
#include "worker/checkpoint/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "worker/checkpoint/format.h"
#include "worker/checkpoint/h5.h"

enum { TEXT_MAX = 1 << 26 }; /* of the configuration, the journal, the list of tensors */

void mu_checkpoint_info_deinit(struct mu_checkpoint_info *info)
{
    free(info->config);
    free(info->journal);
    memset(info, 0, sizeof *info);
}

const char *mu_checkpoint_library_version(void)
{
    return mu_h5_library_version();
}

static struct mu_part_header header_of(const struct mu_checkpoint_info *info, uint32_t part)
{
    return (struct mu_part_header){MU_CHECKPOINT_FORMAT, (uint64_t)info->step, part, info->parts,
                                   info->layout_identity};
}

enum mu_status mu_checkpoint_check_part(const char *folder, const struct mu_checkpoint_info *info,
                                        uint32_t part)
{
    struct mu_part_header h = header_of(info, part);

    return mu_part_check(folder, &h);
}

static enum mu_status check_parts(const char *folder, const struct mu_checkpoint_info *info,
                                  const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;

    for (uint32_t p = 0; p < info->parts; p++) {
        MU_TRY(mu_checkpoint_ask(poll), st, done);
        MU_TRY(mu_checkpoint_check_part(folder, info, p), st, done);
    }
done:
    return st;
}

/* Of everything that checkpoint.h5 says besides the tensors themselves. */
static struct mu_hash_text checksum(const struct mu_checkpoint_info *info, const char *tensors)
{
    const char *texts[] = {info->fingerprint, info->written, info->config, info->journal, tensors};
    uint64_t numbers[] = {(uint64_t)info->step, info->parts, info->layout_identity,
                          info->state_hash.high, info->state_hash.low};
    struct mu_hash h = mu_hash_bytes(numbers, sizeof numbers, MU_CHECKPOINT_FORMAT);

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        h = mu_hash_bytes(texts[i], strlen(texts[i]), h.low);
    return mu_hash_print(h);
}

static enum mu_status put_info(struct mu_h5 *f, const struct mu_checkpoint_info *info,
                               const char *tensors)
{
    enum mu_status st = MU_OK;

    MU_TRY(mu_h5_put_number(f, "format", MU_CHECKPOINT_FORMAT), st, done);
    MU_TRY(mu_h5_put_number(f, "step", (uint64_t)info->step), st, done);
    MU_TRY(mu_h5_put_number(f, "parts", info->parts), st, done);
    MU_TRY(mu_h5_put_number(f, "layout_identity", info->layout_identity), st, done);
    MU_TRY(mu_h5_put_word(f, "state_hash", mu_hash_print(info->state_hash).text), st, done);
    MU_TRY(mu_h5_put_word(f, "fingerprint", info->fingerprint), st, done);
    MU_TRY(mu_h5_put_word(f, "checksum", checksum(info, tensors).text), st, done);
    MU_TRY(mu_h5_put_word(f, "written", info->written), st, done);
    MU_TRY(mu_h5_put_text(f, "/info/config", info->config), st, done);
    MU_TRY(mu_h5_put_text(f, "/info/journal", info->journal), st, done);
    MU_TRY(mu_h5_put_text(f, "/info/tensors", tensors), st, done);
done:
    return st;
}

typedef enum mu_status view_act(struct mu_h5 *f, const char *name, struct mu_h5_shape shape,
                                const struct mu_h5_source *sources, uint32_t count);

/* Writes or checks every tensor whole. `sources` has room for one entry a part. */
static enum mu_status each_view(struct mu_h5 *f, const struct mu_layout *layout, uint32_t parts,
                                struct mu_h5_source *sources, view_act *act)
{
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        const struct mu_tensor *t = &layout->tensors[i];
        uint32_t count = 0;

        for (uint32_t p = 0; p < parts; p++) {
            struct mu_rows have = mu_rows_share(t->spec.rows, p, parts);
            struct mu_h5_source *s = &sources[count];

            if (have.count == 0)
                continue;
            *s = (struct mu_h5_source){.first_row = have.first, .rows = have.count};
            snprintf(s->file, sizeof s->file, "part-%05" PRIu32 ".h5", p);
            count++;
        }
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++) {
            char name[MU_DATASET_NAME_MAX];

            MU_TRY(mu_h5_ask(f), st, done);
            mu_array_dataset(name, a, t, false);
            MU_TRY(act(f, name, mu_array_shape(a, t, t->spec.rows), sources, count), st, done);
        }
    }
done:
    return st;
}

enum mu_status mu_checkpoint_check_views(const char *folder, const struct mu_checkpoint_info *info,
                                         const struct mu_layout *layout)
{
    struct mu_h5_source *sources = calloc(info->parts, sizeof *sources);
    struct mu_h5 f = MU_H5_CLOSED;
    char path[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    if (!sources)
        return MU_FAIL(MU_NO_MEMORY, "no memory to check %s", folder);
    MU_TRY(mu_path_format(path, "%s/checkpoint.h5", folder), st, done);
    MU_TRY(mu_h5_open(&f, path), st, done);
    MU_TRY(each_view(&f, layout, info->parts, sources, mu_h5_check_virtual), st, done);
done:
    mu_h5_close_quietly(&f);
    free(sources);
    return st;
}

/* Parts of an earlier save of this step by more writers; they would only puzzle a reader. */
static enum mu_status remove_surplus_parts(const char *folder, uint32_t parts)
{
    char path[MU_PATH_MAX];
    enum mu_status st;

    do
        st = mu_part_path(path, folder, parts++);
    while (st == MU_OK && unlink(path) == 0);
    return st;
}

static enum mu_status write_and_rename(const char *folder, const struct mu_layout *layout,
                                       const struct mu_checkpoint_info *info, const char *tensors,
                                       struct mu_h5_source *sources,
                                       const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;
    struct mu_h5 f = MU_H5_CLOSED;
    char path[MU_PATH_MAX], beside[MU_PATH_MAX], parent[MU_PATH_MAX];

    MU_TRY(mu_path_format(path, "%s/checkpoint.h5", folder), st, done);
    MU_TRY(mu_path_format(beside, "%s.tmp", path), st, done);
    MU_TRY(mu_path_format(parent, "%s/..", folder), st, done);
    MU_TRY(mu_h5_create(&f, beside, poll), st, failed);
    MU_TRY(put_info(&f, info, tensors), st, failed);
    MU_TRY(each_view(&f, layout, info->parts, sources, mu_h5_put_virtual), st, failed);
    MU_TRY(mu_h5_close(&f), st, failed);
    MU_TRY(mu_checkpoint_sync(beside, poll), st, failed);
    if (mu_fault(MU_FAULT_PUBLISH, info->step)) {
        st = MU_FAIL(MU_FAILED, "%s: failed on request (MUSTER_FAULT)", beside);
        goto failed;
    }
    MU_TRY(mu_checkpoint_sync(parent, poll), st, failed); /* the folder's own name */
    MU_TRY(mu_checkpoint_rename(beside, path, folder, poll), st, failed);
    return MU_OK;
failed:
    mu_h5_close_quietly(&f);
    unlink(beside);
done:
    return st;
}

enum mu_status mu_checkpoint_publish(const char *folder, const struct mu_layout *layout,
                                     const struct mu_checkpoint_info *given,
                                     const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;
    struct mu_checkpoint_info info = *given;
    struct mu_h5_source *sources = NULL;
    char *tensors = NULL, empty_config[] = "", empty_journal[] = "{}";

    MU_ASSERT(info.step >= 0 && info.parts > 0 && info.parts <= MU_CHECKPOINT_PARTS_MAX);
    info.layout_identity = mu_layout_identity(layout);
    info.config = info.config ? info.config : empty_config;
    info.journal = info.journal ? info.journal : empty_journal;
    snprintf(info.written, sizeof info.written, "muster %s, %s, %s", MUSTER_VERSION,
             mu_h5_library_version(), mu_clock_date().text);
    MU_TRY(check_parts(folder, &info, poll), st, done);
    MU_TRY(remove_surplus_parts(folder, info.parts), st, done);
    tensors = mu_tensors_to_json(layout);
    sources = malloc(info.parts * sizeof *sources);
    if (!tensors || !sources) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to publish %s", folder);
        goto done;
    }
    MU_TRY(write_and_rename(folder, layout, &info, tensors, sources, poll), st, done);
done:
    free(tensors);
    free(sources);
    return st;
}

static enum mu_status get_info(struct mu_h5 *f, struct mu_checkpoint_info *info, char **tensors)
{
    enum mu_status st = MU_OK;
    uint64_t format, step, parts;
    char hash[33], sum[33];

    MU_TRY(mu_h5_get_number(f, "format", &format), st, done);
    if (format != MU_CHECKPOINT_FORMAT) {
        st = MU_FAIL(MU_CORRUPT, "%s is of format %" PRIu64 "; this program reads format %d",
                     f->path, format, MU_CHECKPOINT_FORMAT);
        goto done;
    }
    MU_TRY(mu_h5_get_number(f, "step", &step), st, done);
    MU_TRY(mu_h5_get_number(f, "parts", &parts), st, done);
    MU_TRY(mu_h5_get_number(f, "layout_identity", &info->layout_identity), st, done);
    MU_TRY(mu_h5_get_word(f, "state_hash", hash, sizeof hash), st, done);
    MU_TRY(mu_h5_get_word(f, "fingerprint", info->fingerprint, sizeof info->fingerprint), st, done);
    MU_TRY(mu_h5_get_word(f, "written", info->written, sizeof info->written), st, done);
    MU_TRY(mu_h5_get_word(f, "checksum", sum, sizeof sum), st, done);
    MU_TRY(mu_h5_get_text(f, "/info/config", TEXT_MAX, &info->config), st, done);
    MU_TRY(mu_h5_get_text(f, "/info/journal", TEXT_MAX, &info->journal), st, done);
    MU_TRY(mu_h5_get_text(f, "/info/tensors", TEXT_MAX, tensors), st, done);
    info->step = (int64_t)step;
    info->parts = (uint32_t)parts;
    if (step > INT64_MAX || parts < 1 || parts > MU_CHECKPOINT_PARTS_MAX ||
        !mu_hash_parse(hash, &info->state_hash) || strcmp(checksum(info, *tensors).text, sum) != 0)
        st = MU_FAIL(MU_CORRUPT, "%s is damaged: what it says does not have its checksum", f->path);
done:
    return st;
}

/* checkpoint.h5 alone, without a look at the parts. `tensors`: JSON, malloc'ed. */
static enum mu_status read_own(const char *folder, struct mu_checkpoint_info *info, char **tensors)
{
    enum mu_status st = MU_OK;
    struct mu_h5 f = MU_H5_CLOSED;
    char path[MU_PATH_MAX];

    memset(info, 0, sizeof *info);
    *tensors = NULL;
    MU_TRY(mu_path_format(path, "%s/checkpoint.h5", folder), st, done);
    if (!mu_file_exists(path))
        return MU_NOT_FOUND;
    MU_TRY(mu_h5_open(&f, path), st, done);
    MU_TRY(get_info(&f, info, tensors), st, done);
done:
    mu_h5_close_quietly(&f); /* read-only: nothing is held back */
    if (st != MU_OK) {
        free(*tensors);
        *tensors = NULL;
        mu_checkpoint_info_deinit(info);
    }
    return st;
}

enum mu_status mu_checkpoint_read_info(const char *folder, struct mu_checkpoint_info *info)
{
    enum mu_status st = MU_OK;
    char *tensors = NULL;

    MU_TRY(read_own(folder, info, &tensors), st, done);
    MU_TRY(check_parts(folder, info, NULL), st, done);
done:
    free(tensors);
    if (st != MU_OK)
        mu_checkpoint_info_deinit(info);
    return st;
}

static enum mu_status specs_of(const char *folder, const char *tensors,
                               struct mu_tensor_spec **specs, uint32_t *count)
{
    char path[MU_PATH_MAX];
    enum mu_status st = mu_path_format(path, "%s/checkpoint.h5", folder);

    return st == MU_OK ? mu_tensors_from_json(path, tensors, specs, count) : st;
}

enum mu_status mu_checkpoint_read_index(const char *folder, struct mu_checkpoint_info *info,
                                        struct mu_tensor_spec **specs, uint32_t *count)
{
    char *tensors;
    enum mu_status st = read_own(folder, info, &tensors);

    *specs = NULL;
    *count = 0;
    if (st != MU_OK)
        return st;
    st = specs_of(folder, tensors, specs, count);
    if (st != MU_OK)
        mu_checkpoint_info_deinit(info);
    free(tensors);
    return st;
}

/* Names the first tensor in which the checkpoint and the view part. */
static enum mu_status refuse_layout(const char *folder, const char *tensors,
                                    const struct mu_layout *layout)
{
    struct mu_tensor_spec *specs;
    uint32_t count;
    enum mu_status st = specs_of(folder, tensors, &specs, &count);

    if (st != MU_OK)
        return st;
    for (uint32_t i = 0; i < count && i < layout->tensor_count; i++) {
        const struct mu_tensor_spec *a = &specs[i], *b = &layout->tensors[i].spec;

        if (strcmp(a->name, b->name) == 0 && a->rows == b->rows && a->cols == b->cols)
            continue;
        st = MU_FAIL(MU_CONFIG,
                     "%s is of another model: its tensor %u is %s (%" PRIu64 " x %" PRIu64
                     "), the model's is %s (%" PRIu64 " x %" PRIu64
                     "). Use the configuration that it was saved with",
                     folder, i, a->name, a->rows, a->cols, b->name, b->rows, b->cols);
        goto done;
    }
    if (count != layout->tensor_count)
        st = MU_FAIL(
            MU_CONFIG,
            "%s is of another model: it has %u tensors, the model has %u; %s is in one only",
            folder, count, layout->tensor_count,
            count > layout->tensor_count ? specs[layout->tensor_count].name
                                         : layout->tensors[count].spec.name);
    else
        st = MU_FAIL(MU_CONFIG, "%s is of another model: its gradients have other addends", folder);
done:
    free(specs);
    return st;
}

enum mu_status mu_checkpoint_load(const char *folder, const struct mu_state_view *state,
                                  uint32_t share, uint32_t shares,
                                  const struct mu_checkpoint_poll *poll)
{
    enum mu_status st = MU_OK;
    struct mu_checkpoint_info info = {0};
    char *tensors = NULL;

    MU_ASSERT(share < shares && shares <= MU_CHECKPOINT_PARTS_MAX);
    MU_TRY(read_own(folder, &info, &tensors), st, done);
    if (info.layout_identity != mu_layout_identity(state->layout))
        MU_TRY(refuse_layout(folder, tensors, state->layout), st, done);
    MU_TRY(check_parts(folder, &info, poll), st, done);
    if (mu_fault(MU_FAULT_LOAD, info.step)) {
        st = MU_FAIL(MU_FAILED, "%s: loading failed on request (MUSTER_FAULT)", folder);
        goto done;
    }
    for (uint32_t p = 0; p < info.parts; p++) {
        struct mu_part_header h = header_of(&info, p);

        MU_TRY(mu_part_load(folder, &h, state, share, shares, poll), st, done);
    }
done:
    free(tensors);
    mu_checkpoint_info_deinit(&info);
    return st;
}
