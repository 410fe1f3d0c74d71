#include "orchestrator/cli/rank_verb.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"

bool mu_rank_verb_is_silent(void)
{
    const char *rank = getenv("PMIX_RANK"); /* of mpirun */

    return rank && strcmp(rank, "0") != 0;
}

enum mu_status mu_rank_verb_parse(const struct mu_command *command, const char *what, int argc,
                                  char **argv, struct mu_words *words, bool *begins)
{
    const bool is_silent = mu_rank_verb_is_silent();
    enum mu_status st;

    if (is_silent)
        mu_log_set_level(MU_LOG_SILENT);
    st = mu_options_parse(command, argc, argv, words);
    if (st == MU_OK)
        st = mu_fault_init();
    if (st == MU_OK && !words->help_shown && strchr(words->word[0], '=') &&
        !mu_file_exists(words->word[0]))
        st =
            mu_options_refuse(command, "%s is missing: the first word is %s", what, words->word[0]);
    mu_log_reset_level();
    *begins = st == MU_OK && !words->help_shown;
    return is_silent ? MU_OK : st;
}
