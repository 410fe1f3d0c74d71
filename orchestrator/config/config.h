/* A configuration, from files and command lines to struct mu_settings and back.
 *
 * Precedence: command line, environment, file, default. A configuration is validated whole: every
 * mistake is told, each with its place, before anything is done with it. The resolved text
 * (mu_config_print) holds every key and reads back to the same bits: it is what config.cfg,
 * checkpoints and the broadcast to the ranks hold. */
#ifndef MUSTER_CONFIG_CONFIG_H
#define MUSTER_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"
#include "orchestrator/config/mistakes.h"
#include "orchestrator/config/parser_libconfig.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/schedule.h"

struct mu_config_source {
    const char *path; /* the file; NULL: `text` is given instead */
    const char *text; /* text_size bytes; it may not include files */
    size_t text_size;
    const char *text_name;  /* how mistakes call it: "config.cfg of the run directory" */
    char *const *overrides; /* "key=value", as on the command line */
    int override_count;
    char *const *environment;  /* environ, or NULL: not looked at */
    mu_entry_take *take_sweep; /* given what stands in the group "sweep"; NULL: that is a mistake */
    void *take_context;
};

/* Fills *out; AUTO values stay MU_AUTO. Mistakes are logged, one line each: MU_CONFIG. */
enum mu_status mu_config_load(const struct mu_config_source *source,
                              struct mu_settings *out) MU_CHECKED;
/* The same, with the mistakes added to *m instead of logged; *out is of use only when there are
 * none. Other failures (no memory, an unreadable file) are logged, and a status. */
enum mu_status mu_config_collect(const struct mu_config_source *source, struct mu_settings *out,
                                 struct mu_mistakes *m) MU_CHECKED;
/* Reads back what mu_config_print wrote. */
enum mu_status mu_config_parse_text(const char *text, size_t size, const char *name,
                                    struct mu_settings *out) MU_CHECKED;
/* The same of what was begun earlier, resolved: a key that did not exist then has its default. NULL
 * or malloc'ed. */
enum mu_status mu_config_recall(const char *text, const char *name,
                                struct mu_settings **out) MU_CHECKED;

/* Puts numbers in the place of "auto". data_vocab: vocabulary of data.train, from its header; 0
 * when model.vocab is a number already, or when nobody reads data (synthetic). MU_CONFIG when the
 * numbers do not go together. */
enum mu_status mu_settings_resolve(struct mu_settings *settings, int64_t data_vocab) MU_CHECKED;

/* The learning rate's schedule as the keys have it. */
struct mu_schedule mu_settings_schedule(const struct mu_settings *settings);
/* The last step before the cooldown, whose checkpoint is kept for a longer run to go on from; 0:
 * there is none, or no checkpoints are wanted. */
int64_t mu_settings_branch_point(const struct mu_settings *settings);

/* Every key, grouped as in the schema, as a libconfig file. */
void mu_config_write(FILE *out, const struct mu_settings *settings);
/* The same as malloc'ed text, zero-terminated. */
enum mu_status mu_config_print(const struct mu_settings *settings, char **text) MU_CHECKED;

/* Of the IDENTITY keys of resolved settings: two runs with the same identity, data and FORK keys
 * compute the same bits. */
enum mu_status mu_config_identity(const struct mu_settings *settings,
                                  struct mu_hash *out) MU_CHECKED;

/* May a run that was started with `old` go on with `now` (both resolved)? A key that must not
 * change is an error that names it, both values and what to do: MU_CONFIG. What may change is
 * noted. */
enum mu_status mu_config_compare(const struct mu_settings *old,
                                 const struct mu_settings *now) MU_CHECKED;

/* The same as a fact, without a word. OTHER_SCHEDULE: at most run.steps and optim.schedule.* differ
 * of what may not change, so that the run can go on from a step that both schedules reach with the
 * same rates (mu_schedule_common). */
enum mu_config_relation { MU_CONFIG_SAME_RUN, MU_CONFIG_OTHER_SCHEDULE, MU_CONFIG_OTHER_RUN };
enum mu_status mu_config_relate(const struct mu_settings *old, const struct mu_settings *now,
                                enum mu_config_relation *relation) MU_CHECKED;

/* May a new run begin with the state of one that had `parent`? Everything but the model may be
 * otherwise, and is noted where bits depend on it; a model that differs is MU_CONFIG, key by
 * key. */
enum mu_status mu_config_compare_fork(const struct mu_settings *parent,
                                      const struct mu_settings *now) MU_CHECKED;

/* Keys whose values differ, in the schema's order, with both values as they are printed. */
struct mu_key;
typedef void mu_config_take(void *context, const struct mu_key *key, const char *before,
                            const char *now);
enum mu_status mu_config_each_difference(const struct mu_settings *before,
                                         const struct mu_settings *now, mu_config_take *take,
                                         void *context) MU_CHECKED;

#endif
