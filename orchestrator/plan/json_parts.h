/* What the JSON of a run's plan and of a sweep's share. */
#ifndef MUSTER_PLAN_JSON_PARTS_H
#define MUSTER_PLAN_JSON_PARTS_H

#include <jansson.h>

#include "orchestrator/base/status.h"

/* A warning, appended to an array: of type mu_plan_warn. */
void mu_plan_json_collect(void *array, const char *line);
/* To stdout; the object is given away. NULL: there was no memory to make it. */
enum mu_status mu_plan_json_put(json_t *all) MU_CHECKED;

#endif
