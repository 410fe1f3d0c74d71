#include "orchestrator/base/log.h"
#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_checkpoint(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return MU_FAIL(MU_USAGE, "'checkpoint' is not written yet");
}
