#include "orchestrator/cli/rank_verb.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "worker/heartbeat.h"
#include "worker/lease.h"

bool mu_rank_verb_has_parts(void)
{
    const char *parts = getenv("OMPI_NUM_APP_CTX");

    return parts && strtol(parts, NULL, 10) > 1;
}

/* Ranks begin a part each: "mpirun -n 1 muster train A : -n 8 muster train B", which mpirun tells as
 * "1 8". The first one of a part speaks for it. */
static bool is_first_of_part(long rank)
{
    const char *at = getenv("OMPI_APP_CTX_NUM_PROCS");
    long first = 0;

    while (at && *at && first < rank) {
        char *end;

        first += strtol(at, &end, 10);
        at = end > at ? end : NULL;
    }
    return first == rank && (rank == 0 || (at && *at));
}

enum mu_status mu_rank_verb_parse(const struct mu_command *command, const char *what, int argc,
                                  char **argv, struct mu_words *words, bool *begins)
{
    const char *rank = getenv("PMIX_RANK"); /* of mpirun */
    const bool is_silent = rank && !is_first_of_part(strtol(rank, NULL, 10));
    enum mu_status st, bound;

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
    if (!*begins && !mu_rank_verb_has_parts())
        return is_silent ? MU_OK : st;
    bound = mu_lease_bind_process();
    if (bound == MU_OK)
        bound = mu_heartbeat_begin();
    *begins = *begins && bound == MU_OK;
    return bound != MU_OK ? bound : st;
}
