/* --part of `muster sweep` and `muster launch ... sweep`. */
#ifndef MUSTER_CLI_PART_OPTION_H
#define MUSTER_CLI_PART_OPTION_H

#include "orchestrator/cli/options.h"
#include "orchestrator/sweep/part.h"

#define MU_PART_OPTION(part_)                                                                      \
    {                                                                                              \
        "part", "K/M",                                                                             \
            "of a sweep that M jobs do side by side, each its share of the trials: job number K, " \
            "from 0 to M-1 (`muster help sweeps`)",                                                \
            .text = &(part_)                                                                       \
    }

/* NULL: none is given; then *out is the whole sweep. false: it is none. */
static inline bool mu_part_option_take(const char *text, struct mu_sweep_part *out)
{
    *out = (struct mu_sweep_part){0, 0};
    return !text || mu_sweep_part_parse(text, out);
}

static inline enum mu_status mu_part_option_refuse(const struct mu_command *command,
                                                   const char *text)
{
    return mu_options_refuse(command,
                             "--part %s: expected K/M, as in 0/4, 1/4, 2/4 and 3/4 for the four "
                             "jobs of a sweep: K from 0 to M-1, M up to %d",
                             text, MU_SWEEP_PARTS_MAX);
}

#endif
