/* What `muster train` and `muster launch ... train` understand alike: where a run begins. */
#ifndef MUSTER_CLI_TRAIN_OPTIONS_H
#define MUSTER_CLI_TRAIN_OPTIONS_H

#include "orchestrator/cli/options.h"

/* Rows of a table of options, into the members from, weights_only and fresh of a structure. */
#define MU_TRAIN_OPTIONS(into)                                                                    \
    {"from", "CKPT|RUN|RUN@STEP",                                                                 \
     "a new run that goes on with the state of another one's checkpoint (of a run the newest), "  \
     "under CONFIG: other length, schedule, data or batch, the same model; steps are counted on", \
     .text = &(into).from},                                                                       \
        {"weights-only", NULL, "of that checkpoint the weights alone; steps begin at 0",          \
         .flag = &(into).weights_only, .needs = "from"},                                          \
    {                                                                                             \
        "fresh", NULL,                                                                            \
            "begin anew where there is a run of that name already; that one is kept as NAME.1",   \
            .flag = &(into).fresh                                                                 \
    }

#endif
