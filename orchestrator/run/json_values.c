#include "orchestrator/run/json_values.h"

enum { DIGITS = 15 }; /* of numbers: 0.1 is 0.1, and not 0.10000000000000001 */

json_t *mu_json_text(const char *text)
{
    json_t *value = json_string(text);
    char ascii[1024];
    size_t i;

    if (value)
        return value;
    for (i = 0; text[i] && i + 1 < sizeof ascii; i++)
        ascii[i] = text[i] & 0x80 ? '?' : text[i];
    ascii[i] = 0;
    return json_string(ascii);
}

enum mu_status mu_json_write(FILE *out, json_t *object, const char *what)
{
    const bool failed =
        !object || json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS)) != 0 ||
        fputc('\n', out) < 0;

    json_decref(object);
    return failed ? MU_FAIL(MU_FAILED, "cannot write what was found of %s as JSON", what) : MU_OK;
}
