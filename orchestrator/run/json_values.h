/* Values of JSON as Muster's files have them, to write and to read. */
#ifndef MUSTER_RUN_JSON_VALUES_H
#define MUSTER_RUN_JSON_VALUES_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "orchestrator/base/status.h"

/* New references; NULL: no memory. null for what is not finite: JSON has no other word for it. */
static inline json_t *mu_json_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
/* jansson refuses what is not UTF-8, and a message may quote a path or be cut anywhere: of such a
 * text, and of the first KiB of it, only ASCII stays. */
json_t *mu_json_text(const char *text);

/* The object, which is taken over, indented and with a newline. NULL is no memory. `what` says in an
 * error what it tells of. */
enum mu_status mu_json_write(FILE *out, json_t *object, const char *what) MU_CHECKED;

/* Of an object's member; NAN, 0 and "" when there is none of that type. */
static inline double mu_json_get_real(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : NAN;
}
static inline int64_t mu_json_get_integer(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}
static inline const char *mu_json_get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}
/* Cut where there is no more room. */
static inline void mu_json_copy_text(char *to, size_t capacity, const json_t *object,
                                     const char *key)
{
    snprintf(to, capacity, "%s", mu_json_get_text(object, key));
}

#endif
