/* Where a fork comes from: the checkpoint of another run, named with --from and kept in parent.json
 * of the run directory. Until the run has a checkpoint of its own, every start begins with that
 * one. */
#ifndef MUSTER_MASTER_ORIGIN_H
#define MUSTER_MASTER_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/config/settings.h"

struct mu_origin {
    char checkpoint[MU_PATH_MAX]; /* its folder; "": the run is no fork */
    char named[MU_PATH_MAX];      /* what --from said, as an absolute path; "": not known */
    bool weights_only; /* moments, predictions, data position and step begin at nothing */
    int64_t step;      /* the checkpoint's */
    uint64_t tokens;   /* seen up to there */
    struct mu_hash state_hash;
    char data_train[64]; /* what it was trained on, by content; "": nothing is read */
    char fingerprint[1024];
};

/* Steps that count as taken when the fork begins. */
int64_t mu_origin_begins_at(const struct mu_origin *origin);

/* What was named; nothing of its tensors is read. *config: the configuration it was computed with;
 * the caller frees. MU_CONFIG, reported, when there is no such checkpoint. */
enum mu_status mu_origin_find(const char *from, bool weights_only, struct mu_origin *out,
                              char **config) MU_CHECKED;

/* Holds the checkpoint, so that it can be begun from again whatever becomes of the parent, which may
 * be training and remove it: hard links in parent/ of the run directory, as long as the run has no
 * checkpoint of its own; nothing where the file system has none. MU_FAILED, reported, when it is
 * gone already. */
enum mu_status mu_origin_hold(const char *run_path, const struct mu_origin *origin) MU_CHECKED;
enum mu_status mu_origin_release(const char *run_path) MU_CHECKED;
/* Where it lies: there, or where it was; MU_FAILED, reported, when it is nowhere. */
enum mu_status mu_origin_locate(const char *run_path, const struct mu_origin *origin,
                                char folder[MU_PATH_MAX]) MU_CHECKED;

/* Of a run directory; checkpoint "" where there is no parent.json. MU_CORRUPT, reported. */
enum mu_status mu_origin_read(const char *run_path, struct mu_origin *out) MU_CHECKED;
/* With the keys that differ between the two configurations. */
enum mu_status mu_origin_write(const char *run_path, const struct mu_origin *origin,
                               const struct mu_settings *parent,
                               const struct mu_settings *now) MU_CHECKED;

/* Whether the run whose origin is `own` may be what `from` names now: the same state, or another
 * checkpoint of a run that was named without a step and has come further since. */
bool mu_origin_is(const struct mu_origin *own, const char *from, const struct mu_origin *named);
/* The same by the words alone, which may be said again when the parent is gone. */
bool mu_origin_was_named(const struct mu_origin *own, const char *from, bool weights_only);

#endif
