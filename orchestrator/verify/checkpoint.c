/* Checkpoints: what inspect finds out about them, and what the run's records say. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/compare/side.h"
#include "orchestrator/inspect/inspect_checkpoint.h"
#include "orchestrator/verify/findings.h"

static const char remove_it[] =
    "remove the folder; a run goes on from its newest whole checkpoint and writes this one again";

static void check_hashes(struct mu_verify *v, const struct mu_inspected *c,
                         const struct mu_hash *recorded)
{
    if (c->deep && c->whole && !mu_hash_equal(c->state, c->info.state_hash))
        mu_verify_find(v, MU_FINDING_DAMAGE, remove_it,
                       "%s: the tensors have state hash %s, and checkpoint.h5 says %s", c->folder,
                       mu_hash_print(c->state).text, mu_hash_print(c->info.state_hash).text);
    if (recorded && !mu_hash_equal(*recorded, c->info.state_hash))
        mu_verify_find(v, MU_FINDING_DAMAGE, remove_it,
                       "%s: its state hash is %s, and the run recorded %s for this step", c->folder,
                       mu_hash_print(c->info.state_hash).text, mu_hash_print(*recorded).text);
}

static void tell_good(struct mu_verify *v, const struct mu_inspected *c)
{
    mu_verify_find(v, MU_FINDING_GOOD, NULL,
                   "%s: %" PRIu32 " tensors in %" PRIu32 " part%s, %.3g MB; %s", c->folder,
                   c->layout.tensor_count, c->info.parts, c->info.parts == 1 ? "" : "s",
                   (double)c->bytes * 1e-6,
                   c->deep ? "every checksum is right, and so is the state hash"
                           : "checksums were not read (--deep)");
}

bool mu_verify_checkpoint(struct mu_verify *v, const char *folder, int64_t step,
                          const struct mu_hash *recorded)
{
    struct mu_verify_ear ear;
    struct mu_inspected c;
    enum mu_status st;
    uint64_t before = v->damaged;

    mu_verify_listen(&ear, v, remove_it);
    st = mu_inspect_checkpoint(folder, v->deep, &c);
    mu_verify_listen_end(&ear);
    if (st != MU_OK)
        return false;
    if (step >= 0 && c.info.step != step)
        mu_verify_find(v, MU_FINDING_DAMAGE, remove_it,
                       "%s: checkpoint.h5 says that it is of step %" PRId64, folder, c.info.step);
    check_hashes(v, &c, recorded);
    if (v->damaged == before)
        tell_good(v, &c);
    mu_verify_leavings(v, folder);
    mu_inspected_deinit(&c);
    return v->damaged == before;
}

/* A run that is trained removes old checkpoints: what was found of one that is gone meanwhile does
 * not count. */
static bool verify_while_trained(struct mu_verify *v, const char *folder, int64_t step,
                                 const struct mu_hash *recorded)
{
    struct mu_verify found = {.deep = v->deep, .findings = json_array()};
    bool good = mu_verify_checkpoint(&found, folder, step, recorded);

    if (good || mu_checkpoint_is_published(folder))
        mu_verify_merge(v, &found);
    json_decref(found.findings);
    return good;
}

static void check_step(struct mu_verify *v, const char *checkpoints, int64_t step,
                       const struct mu_side *records, bool is_trained, int64_t *newest)
{
    const struct mu_side_record *record = records ? mu_side_find(records, step) : NULL;
    const struct mu_hash *recorded = record && record->has_hash ? &record->hash : NULL;
    char folder[MU_PATH_MAX];

    if (mu_checkpoint_folder(folder, checkpoints, step) == MU_OK &&
        (is_trained ? verify_while_trained(v, folder, step, recorded)
                    : mu_verify_checkpoint(v, folder, step, recorded)))
        *newest = step > *newest ? step : *newest;
}

/* Folders that are no checkpoints. */
static void name_others(struct mu_verify *v, const char *checkpoints, bool is_trained)
{
    struct dirent *entry;
    DIR *dir = opendir(checkpoints);

    while (dir && (entry = readdir(dir))) {
        char folder[MU_PATH_MAX];

        if (entry->d_name[0] == '.' ||
            mu_path_format(folder, "%s/%s", checkpoints, entry->d_name) != MU_OK ||
            mu_checkpoint_is_published(folder))
            continue;
        if (strncmp(entry->d_name, "step-", 5) == 0)
            mu_verify_find(v, MU_FINDING_NOTE, NULL, "%s: no checkpoint.h5: %s", folder,
                           is_trained ? "it is being saved, or its save did not finish"
                                      : "its save did not finish; the run's next one removes it");
        else
            mu_verify_find(v, MU_FINDING_NOTE, NULL, "%s: no checkpoint; a run does not look at it",
                           folder);
    }
    if (dir)
        closedir(dir);
}

void mu_verify_checkpoints(struct mu_verify *v, const char *checkpoints,
                           const struct mu_side *records, bool is_trained, int64_t *newest)
{
    struct mu_verify_ear ear;
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st;

    *newest = -1;
    mu_verify_listen(&ear, v, "make the folder readable");
    st = mu_checkpoint_list(checkpoints, &steps, &count);
    mu_verify_listen_end(&ear);
    for (uint32_t i = 0; st == MU_OK && i < count; i++)
        check_step(v, checkpoints, steps[i], records, is_trained, newest);
    free(steps);
    name_others(v, checkpoints, is_trained);
}
