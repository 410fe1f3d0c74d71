/* Any bytes as a token file: refused, or every token can be read. A random header nearly never has
 * the right checksum, so that each input is also tried with its checksum put right. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/wire.h"
#include "worker/data/token_format.h"
#include "worker/data/tokens.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

static void read_all(const uint8_t *data, size_t size)
{
    struct mu_tokens t;
    int32_t token;

    if (mu_tokens_view(&t, data, size, "fuzz") != MU_OK)
        return;
    MU_ASSERT(t.count > 0 && memchr(t.format, 0, sizeof t.format));
    for (uint64_t i = 0; i < t.count; i++)
        mu_tokens_copy(&t, i, 1, &token);
    if (mu_tokens_verify(&t, "fuzz") == MU_OK)
        for (uint64_t i = 0; i < t.count; i++) {
            mu_tokens_copy(&t, i, 1, &token);
            MU_ASSERT(token >= 0 && (uint32_t)token < t.vocab);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { SUM_AT = MU_TOKEN_HEADER_BYTES - 16 };

    read_all(data, size);
    if (size >= MU_TOKEN_HEADER_BYTES) {
        struct mu_hash sum = mu_hash_bytes(data, SUM_AT, 0);
        uint8_t *mended = malloc(size);
        struct mu_wire_writer w;

        MU_ASSERT(mended);
        memcpy(mended, data, size);
        w = mu_wire_write(mended + SUM_AT, 16);
        mu_wire_put_u64(&w, sum.high);
        mu_wire_put_u64(&w, sum.low);
        read_all(mended, size);
        free(mended);
    }
    return 0;
}
