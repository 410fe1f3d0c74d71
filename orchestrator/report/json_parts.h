/* fit.json in parts. Each function gives a new reference, or NULL when there is no memory; NULL
 * makes the json_pack around it NULL as well, up to the whole document. */
#ifndef MUSTER_REPORT_JSON_PARTS_H
#define MUSTER_REPORT_JSON_PARTS_H

#include <jansson.h>

#include "orchestrator/fit/fit.h"
#include "orchestrator/run/json_values.h"

static inline json_t *mu_json_size(size_t value)
{
    return json_integer((json_int_t)value);
}
json_t *mu_json_reals(const double *value, size_t count);
/* {"value", "low80", "high80", "low95", "high95"} */
json_t *mu_json_number(const struct mu_estimate *n);
/* The reason, or null. */
json_t *mu_json_refusal(const struct mu_refusal *refusal);

json_t *mu_json_law(const struct mu_fit *fit);
json_t *mu_json_isoflop(const struct mu_fit *fit);
json_t *mu_json_envelope(const struct mu_fit *fit);
json_t *mu_json_scaling(const struct mu_fit *fit);
json_t *mu_json_disagreements(const struct mu_fit *fit);
json_t *mu_json_conventions(const struct mu_fit *fit);
json_t *mu_json_futures(const struct mu_fit *fit);

#endif
