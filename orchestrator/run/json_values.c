#include "orchestrator/run/json_values.h"

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
