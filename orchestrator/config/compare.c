/* Two configurations, key by key: what may change when a run goes on, what makes another run, and
 * what a fork may have otherwise than the run that it comes from. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/checks.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"

enum mu_status mu_config_each_difference(const struct mu_settings *before,
                                         const struct mu_settings *now, mu_config_take *take,
                                         void *context)
{
    enum mu_status st = MU_OK;

    for (size_t i = 0; st == MU_OK && i < MU_KEY_COUNT; i++) {
        char *a = NULL, *b = NULL;

        MU_TRY(mu_key_value_text(&mu_keys[i], before, &a), st, next);
        MU_TRY(mu_key_value_text(&mu_keys[i], now, &b), st, next);
        if (strcmp(a, b) != 0)
            take(context, &mu_keys[i], a, b);
    next:
        free(a);
        free(b);
    }
    return st;
}

/* ---- going on with a run --------------------------------------------------------------------- */

struct comparing {
    const struct mu_settings *before, *now;
    int refused; /* keys that must not have changed */
};

/* It follows from another key, which has been refused: nobody typed it. */
static bool only_follows(const struct comparing *c, const struct mu_key *key)
{
    enum mu_key_index i = (enum mu_key_index)(key - mu_keys);

    return c->refused > 0 && mu_checks_is_auto(i, c->before) && mu_checks_is_auto(i, c->now);
}

static void tell_difference(void *context, const struct mu_key *key, const char *before,
                            const char *now)
{
    struct comparing *c = context;

    if (only_follows(c, key))
        return;

    switch (key->class) {
    case MU_CLASS_IDENTITY:
        mu_log(
            MU_LOG_ERROR,
            "%s: the run has %s, the configuration says %s; it is part of what the run computes: "
            "set it back, or start a new run under another run.name",
            key->name, before, now);
        c->refused++;
        break;
    case MU_CLASS_FORK:
        mu_log(MU_LOG_ERROR,
               "%s: the run has %s, the configuration says %s; it changes what the run becomes: "
               "set it back, or start a new run under another run.name (--from makes it go on from "
               "this one's checkpoints)",
               key->name, before, now);
        c->refused++;
        break;
    case MU_CLASS_CONTENT:
        mu_log(MU_LOG_INFO, "%s: now %s, before %s; its content must be the same", key->name, now,
               before);
        break;
    case MU_CLASS_OPERATIONAL:
        mu_log(MU_LOG_INFO, "%s: now %s, before %s", key->name, now, before);
        break;
    }
}

enum mu_status mu_config_compare(const struct mu_settings *old, const struct mu_settings *now)
{
    struct comparing c = {.before = old, .now = now};
    enum mu_status st = mu_config_each_difference(old, now, tell_difference, &c);

    return st == MU_OK && c.refused ? MU_CONFIG : st;
}

/* ---- another schedule ------------------------------------------------------------------------ */

/* Whether the learning rate of a step is all that the key is for. */
static bool is_of_schedule(const struct mu_key *key)
{
    return strcmp(key->name, "run.steps") == 0 ||
           strncmp(key->name, "optim.schedule.", strlen("optim.schedule.")) == 0;
}

static void relate(void *context, const struct mu_key *key, const char *before, const char *now)
{
    enum mu_config_relation *relation = context;
    bool is_free = key->class == MU_CLASS_OPERATIONAL || key->class == MU_CLASS_CONTENT;

    (void)before;
    (void)now;
    if (!is_free && !is_of_schedule(key))
        *relation = MU_CONFIG_OTHER_RUN;
    else if (!is_free && *relation == MU_CONFIG_SAME_RUN)
        *relation = MU_CONFIG_OTHER_SCHEDULE;
}

enum mu_status mu_config_relate(const struct mu_settings *old, const struct mu_settings *now,
                                enum mu_config_relation *relation)
{
    *relation = MU_CONFIG_SAME_RUN;
    return mu_config_each_difference(old, now, relate, relation);
}

/* ---- a fork ---------------------------------------------------------------------------------- */

struct fork {
    bool is_gpt2; /* with a table of positions among the tensors, as long as the context */
    int refused;  /* keys that a fork cannot have otherwise */
};

static bool is_fixed(const struct fork *fork, const struct mu_key *key)
{
    if (strcmp(key->name, "model.context") == 0)
        return fork->is_gpt2;
    return key->class == MU_CLASS_IDENTITY && strncmp(key->name, "model.", strlen("model.")) == 0;
}

static void tell_fork(void *context, const struct mu_key *key, const char *before, const char *now)
{
    struct fork *fork = context;

    if (strcmp(key->name, "model.hidden") == 0 && fork->is_gpt2)
        return; /* it follows the width, which is told */
    if (is_fixed(fork, key)) {
        mu_log(
            MU_LOG_ERROR,
            "%s: the run that this one comes from has %s, the configuration says %s: its tensors "
            "would not fit, or mean something else. Set it to %s",
            key->name, before, now, before);
        fork->refused++;
    } else if (key->class != MU_CLASS_OPERATIONAL) {
        mu_log(MU_LOG_INFO, "%s: %s; the run that this one comes from has %s", key->name, now,
               before);
    }
}

enum mu_status mu_config_compare_fork(const struct mu_settings *parent,
                                      const struct mu_settings *now)
{
    struct fork fork = {.is_gpt2 = parent->model_kind == MU_MODEL_GPT2};
    enum mu_status st = mu_config_each_difference(parent, now, tell_fork, &fork);

    return st == MU_OK && fork.refused ? MU_CONFIG : st;
}
