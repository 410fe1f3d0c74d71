/* The one place that knows exit codes: nothing below calls exit(). */
#include "orchestrator/cli/verbs.h"

int main(int argc, char **argv)
{
    return mu_status_exit_code(mu_cli_run(argc, argv));
}
