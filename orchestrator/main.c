/* The verb table: name -> function. Nothing else; nothing below calls exit(). */
#include <stdio.h>
#include <string.h>

#include "orchestrator/cli/verbs.h"

static const struct {
    const char *word, *help;
    enum mu_status (*run)(int argc, char **argv);
} verbs[] = {
#define MU_VERB_ROW(suffix, word, help) {word, help, mu_cli_##suffix},
    MU_VERB_TABLE(MU_VERB_ROW)
#undef MU_VERB_ROW
};

int main(int argc, char **argv)
{
    if (argc > 1)
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
            if (strcmp(argv[1], verbs[i].word) == 0)
                return mu_status_exit_code(verbs[i].run(argc - 1, argv + 1));
    fprintf(stderr, "usage: muster VERB ...\n");
    return mu_status_exit_code(MU_USAGE);
}
