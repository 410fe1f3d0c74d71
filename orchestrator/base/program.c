#include "orchestrator/base/program.h"

#include <string.h>
#include <unistd.h>

void mu_program_path(char out[MU_PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, MU_PATH_MAX - 1);

    out[n > 0 ? n : 0] = 0;
}

void mu_program_folder(char out[MU_PATH_MAX])
{
    char *slash;

    mu_program_path(out);
    slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}
