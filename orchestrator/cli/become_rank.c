/* From `muster` to `muster-rank`: beside it in a build folder, in ../lib/muster/ of an installed
 * one. The process stays the same one, so whoever started it notices nothing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/program.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/launch/mpi_settings.h"

enum mu_status mu_cli_become_rank(int argc, char **argv)
{
    static const char *const places[] = {"muster-rank", "../lib/muster/muster-rank"};
    char program[MU_PATH_MAX] = "", own[MU_PATH_MAX], **words;
    bool found = false;
    int error;

    mu_program_folder(own);
    if (!own[0])
        return MU_FAIL(MU_FAILED, "/proc/self/exe cannot be read: %s", strerror(errno));
    for (size_t i = 0; i < sizeof places / sizeof *places && !found; i++)
        found = snprintf(program, sizeof program, "%s/%s", own, places[i]) < (int)sizeof program &&
                access(program, X_OK) == 0;
    if (!found)
        return MU_FAIL(MU_FAILED,
                       "%s/muster-rank is missing (nor is it in %s/../lib/muster): it is built and "
                       "installed together with muster; build or install both again",
                       own, own);
    words = calloc((size_t)argc + 2, sizeof *words);
    if (!words)
        return MU_FAIL(MU_NO_MEMORY, "no memory to start %s", program);
    words[0] = program;
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    mu_mpi_export_prefix();
    fflush(stdout);
    execv(program, words);
    error = errno;
    free(words);
    return MU_FAIL(MU_FAILED, "%s cannot be started: %s", program, strerror(error));
}
