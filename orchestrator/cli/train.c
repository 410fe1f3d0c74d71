#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_train(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return MU_FAIL(MU_INTERNAL, "not written yet");
}
