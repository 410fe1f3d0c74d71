/* One key's value, from literals to its field in struct mu_settings. */
#ifndef MUSTER_CONFIG_VALUE_H
#define MUSTER_CONFIG_VALUE_H

#include "orchestrator/config/mistakes.h"
#include "orchestrator/config/parser_libconfig.h"
#include "orchestrator/config/schema.h"

/* Checks type and range, and stores the value; a mistake is added to `m` and the field left as it
 * was. A relative path is taken from `folder`. */
void mu_value_take(const struct mu_key *key, const struct mu_entry *entry, const char *folder,
                   struct mu_settings *settings, struct mu_mistakes *m);

/* The same for a value that stands as text outside a file: an override, the environment, a default.
 * Text, paths and words may be without quotes; a pair is "[0.9, 0.95]" or "0.9,0.95". */
void mu_value_take_text(const struct mu_key *key, const char *text, struct mu_place place,
                        const char *folder, struct mu_settings *settings, struct mu_mistakes *m);

#endif
