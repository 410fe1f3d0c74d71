/* An installed Muster may have been moved, or unpacked anywhere: its Open MPI is looked for beside
 * the program, and what was found at configuration counts where there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/program.h"
#include "orchestrator/launch/mpi_settings.h"

/* The prefix of the Open MPI that was installed with this program; false: none was. */
static bool own_prefix(char prefix[MU_PATH_MAX])
{
    static const char *const places[] = {"../lib/muster/openmpi", "openmpi"}; /* of muster-rank */
    char folder[MU_PATH_MAX], program[MU_PATH_MAX];

    mu_program_folder(folder);
    if (!folder[0])
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(program, sizeof program, "%s/%s/bin/mpirun", folder, places[i]);

        if (length < (int)sizeof program && access(program, X_OK) == 0) {
            program[length - (int)strlen("/bin/mpirun")] = 0;
            if (realpath(program, prefix))
                return true;
        }
    }
    return false;
}

void mu_mpi_find(struct mu_mpi_place *place)
{
    char prefix[MU_PATH_MAX];

    snprintf(place->mpirun, sizeof place->mpirun, "%s", mu_mpi_run);
    place->prefix[0] = 0;
    if (own_prefix(prefix)) {
        snprintf(place->mpirun, sizeof place->mpirun, "%s/bin/mpirun", prefix);
        snprintf(place->prefix, sizeof place->prefix, MU_MPI_PREFIX "%s", prefix);
    }
}

void mu_mpi_export_prefix(void)
{
    struct mu_mpi_place place;

    mu_mpi_find(&place);
    if (place.prefix[0])
        setenv("OPAL_PREFIX", place.prefix + strlen(MU_MPI_PREFIX), 0);
}
