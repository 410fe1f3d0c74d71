/* An installed Muster may have been moved, or unpacked anywhere: its Open MPI is looked for beside the
 * program, and what was found at configuration counts where there is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/launch/mpi_settings.h"

#define PLACE "openmpi"

/* The prefix of the Open MPI that was installed with this program; false: none was. */
static bool own_prefix(char prefix[MU_PATH_MAX])
{
    static const char *const places[] = {"../lib/muster/" PLACE,
                                         PLACE}; /* of muster, muster-rank */
    char self[MU_PATH_MAX], program[MU_PATH_MAX], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    self[n > 0 ? n : 0] = 0;
    slash = strrchr(self, '/');
    if (!slash)
        return false;
    slash[1] = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int length = snprintf(program, sizeof program, "%s%s/bin/mpirun", self, places[i]);

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
