#include "worker/data/sniff.h"

#include <stdbool.h>
#include <string.h>

#include "worker/data/token_format.h"

static const struct {
    const char *magic;
    size_t bytes;
    struct mu_sniff is;
} known[] = {
    {"\x1f\x8b", 2, {"gzip", "zcat"}},
    {"\x28\xb5\x2f\xfd", 4, {"zstd", "zstdcat"}},
    {"\xfd"
     "7zXZ",
     5,
     {"xz", "xzcat"}},
    {"BZh", 3, {"bzip2", "bzcat"}},
    {"PK\x03\x04", 4, {"zip", "unzip -p"}},
    {"\x89HDF\r\n\x1a\n", 8, {"HDF5", NULL}},
    {"\x93NUMPY", 6, {"NumPy array", NULL}},
    {"PAR1", 4, {"Parquet", NULL}},
};

/* No control characters but those that stand in texts. Bytes from 0x80 on are letters in UTF-8 and
 * in older encodings. */
static bool is_text(const uint8_t *head, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (head[i] == 0x7F || (head[i] < 0x20 && !memchr("\t\n\v\f\r\x1b", head[i], 6)))
            return false;
    return bytes > 0;
}

struct mu_sniff mu_sniff_bytes(const uint8_t *head, size_t bytes)
{
    if (bytes >= MU_TOKEN_MAGIC_BYTES && memcmp(head, mu_token_magic, MU_TOKEN_MAGIC_BYTES) == 0)
        return (struct mu_sniff){"muster token file", NULL};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (bytes >= known[i].bytes && memcmp(head, known[i].magic, known[i].bytes) == 0)
            return known[i].is;
    if (is_text(head, bytes < MU_SNIFF_BYTES ? bytes : MU_SNIFF_BYTES))
        return (struct mu_sniff){"text", NULL};
    return (struct mu_sniff){NULL, NULL};
}
