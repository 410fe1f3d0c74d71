/* PMIx is within Open MPI, without its headers (the wheel has none, and Debian's are of another
 * version): so the function is looked up in the running process, and the few types that it takes
 * are written down here. They are part of PMIx's stable ABI, the same in 4.2, 5 and 6. */
#include "worker/comm/death_pmix.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process {
    char job[256];
    uint32_t rank;
};
struct info {
    char key[512];
    uint32_t flags;
    struct {
        uint16_t type;
        union {
            struct process *process;
            uint64_t room[3];
        } data;
    } value;
};
enum { ABORTED_BY_SIGNAL = -402, TYPE_PROCESS = 22, RANGE_JOB = 3, RANGE_PROCESS = 7, SUCCESS = 0 };

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

typedef int notify_event(int status, const struct process *source, uint8_t range,
                         const struct info *info, size_t count, void (*done)(int, void *),
                         void *context);

void mu_mpi_tell_death(int rank, bool everywhere)
{
    notify_event *notify;
    const char *job = getenv("PMIX_NAMESPACE"), *own = getenv("PMIX_RANK");
    struct process self = {0}, dead = {.rank = (uint32_t)rank};
    struct info info = {.key = "pmix.evproc", .value = {.type = TYPE_PROCESS}};

    *(void **)&notify = dlsym(RTLD_DEFAULT, "PMIx_Notify_event");
    if (!notify || !job || !own)
        return;
    snprintf(self.job, sizeof self.job, "%s", job);
    snprintf(dead.job, sizeof dead.job, "%s", job);
    self.rank = (uint32_t)atoi(own);
    info.value.data.process = &dead;
    pthread_mutex_lock(&one_at_a_time);
    if (!everywhere || notify(ABORTED_BY_SIGNAL, &self, RANGE_JOB, &info, 1, NULL, NULL) != SUCCESS)
        notify(ABORTED_BY_SIGNAL, &self, RANGE_PROCESS, &info, 1, NULL, NULL);
    pthread_mutex_unlock(&one_at_a_time);
}
