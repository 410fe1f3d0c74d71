#include "orchestrator/verify/verify.h"

#include "orchestrator/inspect/found.h"
#include "orchestrator/verify/findings.h"

enum mu_status mu_verify_path(struct mu_verify *v, const char *path)
{
    char folder[MU_PATH_MAX];
    enum mu_found found;
    int64_t newest;
    enum mu_status st = mu_found_at(path, &found, folder);

    if (st != MU_OK)
        return st;
    switch (found) {
    case MU_FOUND_NOTHING:
        return mu_found_nothing(path);
    case MU_FOUND_FILE:
        return MU_FAIL(MU_USAGE, "%s is a file; 'muster inspect --deep' checks token files; %s",
                       path, mu_found_expected());
    case MU_FOUND_PART:
        return MU_FAIL(MU_USAGE, "%s is one part of a checkpoint; verify the folder: %s", path,
                       folder);
    case MU_FOUND_OTHER:
        return MU_FAIL(MU_NOT_FOUND, "%s holds nothing that Muster knows; %s", path,
                       mu_found_expected());
    case MU_FOUND_CHECKPOINT:
        mu_verify_checkpoint(v, folder, -1, NULL);
        break;
    case MU_FOUND_CHECKPOINTS:
        mu_verify_checkpoints(v, folder, NULL, false, &newest);
        break;
    case MU_FOUND_RUN:
        mu_verify_run(v, folder);
        break;
    case MU_FOUND_SWEEP:
        mu_verify_sweep(v, folder);
        break;
    case MU_FOUND_RUNS:
        mu_verify_runs(v, folder);
        break;
    }
    return MU_OK;
}
