/* What several keys together must satisfy. */
#ifndef MUSTER_CONFIG_CHECKS_H
#define MUSTER_CONFIG_CHECKS_H

#include "orchestrator/config/mistakes.h"
#include "orchestrator/config/schema.h"

/* places: of every key, indexed by enum mu_key_index; source NULL where a mistake was found
 * already: checks that need this key are left out. Values that are "auto" are taken as what they
 * will be. */
void mu_checks_run(const struct mu_settings *settings, const struct mu_place places[MU_KEY_COUNT],
                   struct mu_mistakes *m);

/* Whether batch.shards, or batch.micro, is what "auto" is for these settings. */
bool mu_checks_is_auto(enum mu_key_index key, const struct mu_settings *settings);

#endif
