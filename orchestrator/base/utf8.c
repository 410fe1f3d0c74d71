#include "orchestrator/base/utf8.h"

#include <stdbool.h>

static bool begins(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t mu_utf8_columns(const char *text, size_t size)
{
    size_t columns = 0;

    for (size_t i = 0; i < size; i++)
        columns += begins(text[i]);
    return columns;
}

size_t mu_utf8_fit(const char *text, size_t columns)
{
    size_t size = 0, used = 0;

    for (; text[size]; size++) {
        used += begins(text[size]);
        if (used > columns)
            break;
    }
    return size;
}
