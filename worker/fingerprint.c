/* A program's identity is the hash of its own file: two builds of one version differ in their bits
 * when their compilers did. */
#include "worker/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"

enum { MAX_PROGRAM_BYTES = 1 << 28 };

enum mu_status mu_fingerprint_program(struct mu_hash *out)
{
    char *data;
    size_t size;
    enum mu_status st = mu_file_read("/proc/self/exe", MAX_PROGRAM_BYTES, &data, &size);

    if (st == MU_OK)
        *out = mu_hash_bytes(data, size, 0);
    free(data);
    return st;
}

void mu_fingerprint_cpu(char *out, size_t capacity)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");

    snprintf(out, capacity, "unknown CPU");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strstr(line, ": ");

        if (strncmp(line, "model name", 10) == 0 && value) {
            value[strcspn(value, "\n")] = 0;
            snprintf(out, capacity, "%s", value + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

void mu_fingerprint_text(char *out, size_t capacity, const struct mu_device *device,
                         struct mu_hash program, struct mu_hash choices, struct mu_hash probe)
{
    char cpu[256], where[MU_DEVICE_FACTS_MAX + 384], chosen[48] = "";
    const char *precision = device->options.precision == MU_PRECISION_BF16 ? "bf16"
                            : device->options.tf32                         ? "tf32"
                                                                           : "fp32";

    mu_fingerprint_cpu(cpu, sizeof cpu);
    if (device->facts[0]) /* products are the device's, and what the host adds is exact anywhere */
        snprintf(where, sizeof where, "%s %s, %s", device->ops->name, precision, device->facts);
    else
        snprintf(where, sizeof where, "%s, %s %s %s, %s", mu_device_library_version(),
                 device->ops->name, precision, mu_isa_name(device->options.isa), cpu);
    if (!mu_hash_equal(choices, (struct mu_hash){0}))
        snprintf(chosen, sizeof chosen, ", choices %.16s", mu_hash_print(choices).text);
    snprintf(out, capacity, "muster %s (%.16s), %s%s, probe %.16s", MUSTER_VERSION,
             mu_hash_print(program).text, where, chosen, mu_hash_print(probe).text);
}

static size_t before_probe(const char *text)
{
    const char *probe = strstr(text, ", probe ");

    return probe ? (size_t)(probe - text) : strlen(text);
}

bool mu_fingerprint_same_but_probe(const char *a, const char *b)
{
    size_t n = before_probe(a);

    return n == before_probe(b) && memcmp(a, b, n) == 0;
}
