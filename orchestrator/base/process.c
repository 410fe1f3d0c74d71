#include "orchestrator/base/process.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static bool read_stat(const char *path, struct mu_process *out)
{
    char text[1024], *after;
    size_t n;
    FILE *f = fopen(path, "re");

    if (!f)
        return false;
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    errno = ESRCH;              /* it ended meanwhile */
    after = strrchr(text, ')'); /* the name before it may hold anything */
    return after &&
           sscanf(after,
                  ") %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                  "%*d %*d %" SCNu64 " %" SCNu64,
                  &out->state, &out->parent, &out->session, &out->start_time, &out->memory) == 5;
}

bool mu_process_read(uint32_t pid, struct mu_process *out)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    return read_stat(path, out);
}

bool mu_process_read_thread(uint32_t pid, uint32_t thread, struct mu_process *out)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%" PRIu32 "/task/%" PRIu32 "/stat", pid, thread);
    return read_stat(path, out);
}

void mu_process_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    posix_spawnattr_init(attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                             POSIX_SPAWN_SETPGROUP);
}
