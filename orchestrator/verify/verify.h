/* muster verify: whether what lies in the folder of a run, a checkpoint or a sweep is whole. Reads
 * only, a piece at a time; each thing that was looked at becomes a finding, with what to do about
 * it. */
#ifndef MUSTER_VERIFY_VERIFY_H
#define MUSTER_VERIFY_VERIFY_H

#include <jansson.h>
#include <stdio.h>

#include "orchestrator/base/file.h"

struct mu_verify {
    bool deep;                     /* every checksum, and each state hash again */
    FILE *out;                     /* findings are printed as they come; NULL: not */
    uint64_t good, notes, damaged; /* findings */
    json_t *findings;              /* all of them; NULL: they are not kept */
};

/* MU_OK whatever was found; MU_NOT_FOUND or MU_USAGE, reported, when there is nothing to verify. */
enum mu_status mu_verify_path(struct mu_verify *v, const char *path) MU_CHECKED;

#endif
