/* The numerics fingerprint: everything that bits may depend on besides the configuration and the
 * data. Ranks compare it at the start, a checkpoint carries it, and a run that goes on under
 * another one says so: bits may differ from here on. */
#ifndef MUSTER_WORKER_FINGERPRINT_H
#define MUSTER_WORKER_FINGERPRINT_H

#include <stdbool.h>

#include "kernels/device.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"

/* xxh3-128 of this program's file: ranks must run the same one. */
enum mu_status mu_fingerprint_program(struct mu_hash *out) MU_CHECKED;
/* "AMD EPYC 9554 64-Core Processor"; "unknown" */
void mu_fingerprint_cpu(char *out, size_t capacity);
/* One line of text: "muster 0.1.0, program ..., oneDNN 2.6.3, cpu fp32 avx512, AMD ..., probe
 * ..."; of a GPU its name and libraries in place of oneDNN and the CPU, and "choices ...", the hash
 * of what mu_device_write_choices told, before the probe. Zero: there are none. */
void mu_fingerprint_text(char *out, size_t capacity, const struct mu_device *device,
                         struct mu_hash program, struct mu_hash choices, struct mu_hash probe);
/* Whether two such texts name the same but for the probe, which other data, another seed and
 * another model change, too. */
bool mu_fingerprint_same_but_probe(const char *a, const char *b);

#endif
