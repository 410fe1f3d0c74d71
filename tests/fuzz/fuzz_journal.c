/* Any bytes as a journal: raw, and once more with every checksum made right, so that the mutations
 * get past it to lengths and types. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"
#include "orchestrator/run/journal.h"

enum { GENERATION = 1, MAGIC = 8, HEAD = 16 };

struct told {
    const char *first, *end; /* where the next record may begin, and the end of the bytes */
    uint64_t count;
};

static bool is_known(enum mu_journal_type type)
{
#define MU_IS_IT(name, number, meaning) type == MU_JOURNAL_##name ||
    return MU_JOURNAL_TABLE(MU_IS_IT) false;
#undef MU_IS_IT
}

static void take(void *context, uint32_t generation, enum mu_journal_type type, const char *json,
                 size_t size)
{
    struct told *t = context;

    MU_ASSERT(generation == GENERATION);
    MU_ASSERT(is_known(type));
    MU_ASSERT(size > 0 && json >= t->first + HEAD && size <= (size_t)(t->end - json));
    t->first = json + size;
    t->count++;
}

static uint64_t scan(const uint8_t *data, size_t size)
{
    struct told all = {(const char *)data + MAGIC, (const char *)data + size, 0}, again = all;
    size_t whole = mu_journal_scan(data, size, GENERATION, take, &all);

    MU_ASSERT(whole <= size);
    MU_ASSERT(mu_journal_scan(data, whole, GENERATION, take, &again) == whole);
    MU_ASSERT(all.count == again.count); /* the tail did not matter */
    return all.count;
}

static void make_checksums_right(uint8_t *data, size_t size)
{
    uint64_t index = 0;

    for (size_t at = MAGIC; at + HEAD <= size; index++) {
        uint32_t length = (uint32_t)data[at + 8] | (uint32_t)data[at + 9] << 8 |
                          (uint32_t)data[at + 10] << 16 | (uint32_t)data[at + 11] << 24;
        uint64_t sum;

        if (length > size - at - HEAD)
            return;
        sum =
            mu_hash_bytes(data + at + 8, HEAD - 8 + length, (uint64_t)GENERATION << 32 | index).low;
        for (int i = 0; i < 8; i++)
            data[at + (size_t)i] = (uint8_t)(sum >> (8 * i));
        at += HEAD + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    uint64_t raw;

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    raw = scan(copy, size);
    make_checksums_right(copy, size);
    MU_ASSERT(scan(copy, size) >= raw);
    free(copy);
    return 0;
}
