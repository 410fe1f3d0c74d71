/* The goodput in status.json, as an object on one line:
 *
 *   "goodput": {"rank_seconds": 1204.123, "seconds": {"compute": 1171.611, ...},
 *               "percent": {"compute": 97.3, ...}, "deaths": 1, ...}
 *
 * Seconds have milliseconds, rounded down, and add up to rank_seconds; percents have one decimal
 * and add up to 100. The next generation reads it back and goes on from it. */
#ifndef MUSTER_RUN_GOODPUT_H
#define MUSTER_RUN_GOODPUT_H

#include <jansson.h>
#include <stdbool.h>

#include "orchestrator/core/ledger.h"

/* A new reference; NULL: no memory. Numbers print as written above with this precision. */
json_t *mu_goodput_to_json(const struct mu_ledger_sum *s);
enum { MU_GOODPUT_DIGITS = 15 };
/* From anybody's JSON; false, and zeros, when it is not such an object. */
bool mu_goodput_from_json(const json_t *object, struct mu_ledger_sum *out);

#endif
