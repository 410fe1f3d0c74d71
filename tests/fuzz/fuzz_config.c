/* Any bytes as the text of a configuration: mistakes are told, nothing is read beyond the end, and
 * what is accepted is printed as a text that reads back to the same settings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void); /* asked for by LeakSanitizer */

/* libconfig 1.5 loses a buffer of its own (64 bytes) at some syntax errors after a string. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static int count_mistakes(const char *text, size_t size, struct mu_settings *out)
{
    const struct mu_config_source source = {
        .text = text, .text_size = size, .text_name = "fuzz.cfg"};
    struct mu_mistakes mistakes = {.count = 0};
    int count;

    MU_ASSERT(mu_config_collect(&source, out, &mistakes) == MU_OK);
    count = mistakes.count;
    mu_mistakes_deinit(&mistakes);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_settings first, second;
    char *printed, *again;
    char *copy = malloc(size ? size : 1); /* of exact size: reading one byte more is seen */

    MU_ASSERT(copy);
    memcpy(copy, data, size);
    if (count_mistakes(copy, size, &first) == 0) {
        MU_ASSERT(mu_config_print(&first, &printed) == MU_OK);
        MU_ASSERT(count_mistakes(printed, strlen(printed), &second) == 0);
        MU_ASSERT(mu_config_print(&second, &again) == MU_OK);
        MU_ASSERT(strcmp(printed, again) == 0);
        free(printed);
        free(again);
    }
    free(copy);
    return 0;
}
