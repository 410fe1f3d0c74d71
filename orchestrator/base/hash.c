#include "orchestrator/base/hash.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

struct mu_hash mu_hash_bytes(const void *data, size_t size, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(data, size, seed);

    return (struct mu_hash){h.high64, h.low64};
}

bool mu_hash_equal(struct mu_hash a, struct mu_hash b)
{
    return a.high == b.high && a.low == b.low;
}

struct mu_hash_text mu_hash_print(struct mu_hash h)
{
    struct mu_hash_text out;

    snprintf(out.text, sizeof out.text, "%016llx%016llx", (unsigned long long)h.high,
             (unsigned long long)h.low);
    return out;
}

bool mu_hash_parse(const char *text, struct mu_hash *out)
{
    unsigned long long high, low;

    if (strlen(text) != 32)
        return false;
    for (int i = 0; i < 32; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    if (sscanf(text, "%16llx%16llx", &high, &low) != 2)
        return false;
    *out = (struct mu_hash){high, low};
    return true;
}

const char *mu_hash_library_version(void)
{
    static char text[32];
    unsigned version = XXH_versionNumber();

    snprintf(text, sizeof text, "xxHash %u.%u.%u", version / 10000, version / 100 % 100,
             version % 100);
    return text;
}
