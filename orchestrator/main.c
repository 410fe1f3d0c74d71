/* `muster`: the program that people type. It has no MPI, so that whatever needs none starts at
 * once and runs on a login node; for the verbs of MPI ranks it becomes `muster-rank`
 * (main_rank.c). */
#include "orchestrator/cli/verbs.h"

#define HERE_ROW(suffix, word, help)  {word, help, mu_cli_##suffix},
#define RANKS_ROW(suffix, word, help) {word, help, mu_cli_become_rank},
static const struct mu_verb verbs[] = {MU_VERB_TABLE(HERE_ROW, RANKS_ROW)};

/* The one place that knows exit codes: nothing below calls exit(). */
int main(int argc, char **argv)
{
    return mu_status_exit_code(mu_cli_run(verbs, sizeof verbs / sizeof *verbs, argc, argv));
}
