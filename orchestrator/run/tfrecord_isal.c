#include "orchestrator/run/tfrecord.h"

#include <isa-l.h>
#include <limits.h>
#include <stdio.h>

#include "orchestrator/base/status.h"

static void put(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t masked_crc32c(uint8_t *data, size_t size)
{
    uint32_t crc = ~crc32_iscsi(data, (int)size, UINT32_MAX);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

size_t mu_tfrecord_seal(uint8_t *record, size_t size)
{
    uint8_t *data = record + MU_TFRECORD_HEAD;

    MU_ASSERT(size <= INT_MAX);
    put(record, size, 8);
    put(record + 8, masked_crc32c(record, 8), 4);
    put(data + size, masked_crc32c(data, size), 4);
    return MU_TFRECORD_HEAD + size + MU_TFRECORD_TAIL;
}

const char *mu_tfrecord_library_version(void)
{
    static char text[40];

    snprintf(text, sizeof text, "ISA-L %d.%d.%d", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
             ISAL_PATCH_VERSION);
    return text;
}
