/* Which checkpoints are compared number by number: the first pair of one step whose hashes differ,
 * as near to the parting as there is one; of runs that do not part the newest pair. */
#include "orchestrator/compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"

/* ---- records --------------------------------------------------------------------------------- */

/* What a record always has: NaN is what came out, and one NaN is as good as another. */
static bool differ(double a, double b)
{
    return (!isnan(a) || !isnan(b)) && memcmp(&a, &b, sizeof a) != 0;
}

static bool both(double a, double b)
{
    return !isnan(a) && !isnan(b);
}

/* Whether the step of both parts them. */
static bool take_step(struct mu_records_compared *c, const struct mu_side_record *a,
                      const struct mu_side_record *b)
{
    const bool hashes = a->has_hash && b->has_hash;
    const bool metrics = a->has_metrics && b->has_metrics;

    if (!hashes && !metrics)
        return false;
    c->common++;
    c->hashes += hashes;
    c->loss = metrics && differ(a->loss, b->loss);
    c->gradient_norm = metrics && differ(a->gradient_norm, b->gradient_norm);
    c->valid_loss = both(a->valid_loss, b->valid_loss) && differ(a->valid_loss, b->valid_loss);
    c->hash = hashes && !mu_hash_equal(a->hash, b->hash);
    if (c->loss || c->gradient_norm || c->valid_loss || c->hash) {
        c->parts_at = a->step;
        c->a = a;
        c->b = b;
        return true;
    }
    c->until = a->step;
    if (hashes)
        c->hash_until = a->step;
    return false;
}

void mu_records_compare(const struct mu_side *a, const struct mu_side *b,
                        struct mu_records_compared *c)
{
    *c = (struct mu_records_compared){.hash_until = -1, .until = -1, .parts_at = -1};
    for (size_t i = 0; i < a->count; i++) {
        const struct mu_side_record *other = mu_side_find(b, a->record[i].step);

        if (other && take_step(c, &a->record[i], other))
            return;
    }
}

/* ---- configurations -------------------------------------------------------------------------- */

static bool read_config(const char *text, struct mu_settings *out)
{
    struct mu_config_source source = {
        .text = text, .text_size = text ? strlen(text) : 0, .text_name = "config"};
    struct mu_mistakes mistakes = {.count = 0};
    bool good = text && mu_config_collect(&source, out, &mistakes) == MU_OK && mistakes.count == 0;

    mu_mistakes_deinit(&mistakes);
    return good;
}

static void take_key(void *context, const struct mu_key *key, const char *a, const char *b)
{
    struct mu_compared *c = context;

    c->key[c->keys++] = (struct mu_key_difference){key, {strdup(a), strdup(b)}};
}

static enum mu_status compare_configs(struct mu_compared *c)
{
    static struct mu_settings settings[2];
    enum mu_status st;

    c->config_known = read_config(c->side[0].config, &settings[0]) &&
                      read_config(c->side[1].config, &settings[1]);
    if (!c->config_known)
        return MU_OK;
    c->key = calloc(MU_KEY_COUNT, sizeof *c->key);
    if (!c->key)
        return MU_FAIL(MU_NO_MEMORY, "no memory to compare configurations");
    st = mu_config_each_difference(&settings[0], &settings[1], take_key, c);
    for (uint32_t i = 0; st == MU_OK && i < c->keys; i++)
        if (!c->key[i].value[0] || !c->key[i].value[1])
            st = MU_FAIL(MU_NO_MEMORY, "no memory to compare configurations");
    return st;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static const struct mu_side_checkpoint *newest(const struct mu_side *s)
{
    return s->checkpoints > 0 ? &s->checkpoint[s->checkpoints - 1] : NULL;
}

static void choose_pair(struct mu_compared *c)
{
    const struct mu_side *a = &c->side[0], *b = &c->side[1];

    for (uint32_t i = 0; i < a->checkpoints; i++) {
        const struct mu_side_checkpoint *other = mu_side_find_checkpoint(b, a->checkpoint[i].step);

        if (!other)
            continue;
        c->pair[0] = &a->checkpoint[i];
        c->pair[1] = other;
        if (!mu_hash_equal(other->hash, a->checkpoint[i].hash))
            return;
    }
    if (c->pair[0] || (a->is_run && b->is_run) || c->records.hashes > 0)
        return;
    c->pair[0] = newest(a); /* of two steps: what is asked for is how far they are apart */
    c->pair[1] = newest(b);
    if (!c->pair[0] || !c->pair[1])
        c->pair[0] = c->pair[1] = NULL;
}

static bool pair_differs(const struct mu_compared *c)
{
    return c->pair[0] && (c->pair[0]->step != c->pair[1]->step ||
                          !mu_hash_equal(c->pair[0]->hash, c->pair[1]->hash) ||
                          c->tensors.first < c->tensors.count);
}

/* A run that is trained removes old checkpoints, also one that is being read. */
static enum mu_status compare_pair(struct mu_compared *c)
{
    enum mu_status st = mu_tensors_compare(c->pair[0]->folder, c->pair[1]->folder, &c->tensors);

    for (int i = 0; st != MU_OK && i < 2; i++)
        if (!mu_checkpoint_is_published(c->pair[i]->folder))
            mu_log(MU_LOG_WARN,
                   "%s was removed while it was read: its run is being trained; try again",
                   c->pair[i]->folder);
    return st;
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum mu_status judge(struct mu_compared *c)
{
    const struct mu_side *a = &c->side[0], *b = &c->side[1];

    if (c->records.common == 0 && !c->pair[0])
        return MU_FAIL(MU_FAILED,
                       "%s and %s have recorded no step that both have, nor saved one: there is "
                       "nothing to compare",
                       a->path, b->path);
    c->result =
        c->records.parts_at >= 0 || pair_differs(c) || (a->is_run && b->is_run && a->end != b->end)
            ? MU_DIFFERENT
            : MU_SAME_BITS;
    if (c->result == MU_SAME_BITS && !c->pair[0] && c->records.hashes == 0)
        return MU_FAIL(MU_FAILED,
                       "the losses of %s and %s are the same, but there is no step of which both "
                       "have a state hash or a checkpoint: nobody can say whether the bits are",
                       a->path, b->path);
    return MU_OK;
}

enum mu_status mu_compare(const char *a, const char *b, struct mu_compared *c)
{
    enum mu_status st = MU_OK;

    *c = (struct mu_compared){.result = MU_SAME_BITS};
    MU_TRY(mu_side_read(a, &c->side[0]), st, failed);
    MU_TRY(mu_side_read(b, &c->side[1]), st, failed);
    mu_records_compare(&c->side[0], &c->side[1], &c->records);
    choose_pair(c);
    if (c->pair[0])
        MU_TRY(compare_pair(c), st, failed);
    MU_TRY(compare_configs(c), st, failed);
    MU_TRY(judge(c), st, failed);
    return MU_OK;
failed:
    mu_compared_deinit(c);
    return st;
}

void mu_compared_deinit(struct mu_compared *c)
{
    for (uint32_t i = 0; i < c->keys; i++)
        for (int s = 0; s < 2; s++)
            free(c->key[i].value[s]);
    free(c->key);
    mu_tensors_compared_deinit(&c->tensors);
    mu_side_deinit(&c->side[0]);
    mu_side_deinit(&c->side[1]);
    *c = (struct mu_compared){.result = MU_SAME_BITS};
}
