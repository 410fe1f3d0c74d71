/* The state after step k, wherever it is committed, is that of the run without faults; and so are
 * the samples that went into it. */
#include <string.h>

#include "tests/sim/sim.h"

static void compare(struct sim *s, uint32_t host, uint64_t state)
{
    const uint32_t *half = s->host[host].segment.half[state & 1];

    if (state >> 1 > s->steps ||
        memcmp(half, s->reference[state >> 1], s->chunks * CHUNK * sizeof *half) != 0)
        sim_violation(s, "host %u has another state after step %llu than the run without faults",
                      host, (unsigned long long)(state >> 1));
}

void check_state(struct sim *s, uint32_t host, uint64_t before)
{
    uint64_t state = s->host[host].segment.state;

    if (state >> 1 != (before >> 1) + 1)
        sim_violation(s, "host %u goes from step %llu to %llu", host,
                      (unsigned long long)(before >> 1), (unsigned long long)(state >> 1));
    compare(s, host, state);
}

void check_load(struct sim *s, uint32_t host)
{
    compare(s, host, s->host[host].segment.state);
}

/* What a rank tells of the step that brought it to `step`. */
void check_result(struct sim *s, uint32_t host, int64_t step, uint32_t norm)
{
    uint32_t samples = 0;

    for (uint32_t i = 0; i < s->shards; i++)
        samples += model_sample((uint64_t)step - 1, i);
    if (norm != s->norm[step] || s->host[host].segment.samples != samples)
        sim_violation(s, "norm or samples of step %lld are told wrong on host %u", (long long)step,
                      host);
}
