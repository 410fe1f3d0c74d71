/* `muster-rank`: Muster with MPI, all of it. Nobody types it; `muster` becomes it (main.c). */
#include "orchestrator/cli/verbs.h"

#define ROW(suffix, word, help) {word, help, mu_cli_##suffix},
static const struct mu_verb verbs[] = {MU_VERB_TABLE(ROW, ROW)};

int main(int argc, char **argv)
{
    return mu_status_exit_code(mu_cli_run(verbs, sizeof verbs / sizeof *verbs, argc, argv));
}
