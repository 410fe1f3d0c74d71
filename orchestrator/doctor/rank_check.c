#include "orchestrator/doctor/rank_check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/device.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/cores.h"
#include "orchestrator/base/log.h"
#include "worker/comm/comm.h"
#include "worker/comm/mpi_files.h"
#include "worker/signals.h"

enum { WHOLE_S = 30, DEATH_MS = 5000, BEFORE_DEATH_US = 20000, LOOK_US = 200 };

/* What a rank tells the others. */
struct place {
    char host[256];
    int32_t cores, isa;
};

struct meeting {
    struct mu_comm *comm;
    struct place *place; /* one each, by place */
};

static enum mu_status exchange(void *context)
{
    struct meeting *m = context;
    struct place own = {.cores = mu_cores_usable(), .isa = (int32_t)mu_device_best_isa()};

    gethostname(own.host, sizeof own.host - 1);
    return mu_comm_allgather(m->comm, &own, sizeof own, m->place);
}

static void tell_meeting(const struct meeting *m)
{
    int size = mu_comm_size(m->comm), hosts = 0;
    char files[128];
    int32_t least = m->place[0].cores, most = least, isa = m->place[0].isa;

    for (int i = 0; i < size; i++) {
        const struct place *p = &m->place[i];
        int j = 0;

        while (strcmp(m->place[j].host, p->host) != 0)
            j++;
        hosts += j == i;
        least = p->cores < least ? p->cores : least;
        most = p->cores > most ? p->cores : most;
        isa = p->isa < isa ? p->isa : isa;
    }
    printf(MU_RANK_CHECK_LINE "met %d %d %d %d %d %s %s\n", size, hosts,
           mu_comm_is_fault_tolerant(m->comm), (int)least, (int)most, mu_isa_name((enum mu_isa)isa),
           mu_mpi_library_version());
    mu_mpi_files_name_own(files, sizeof files);
    if (files[0])
        printf(MU_RANK_CHECK_LINE "files %s\n", files);
    fflush(stdout);
}

static enum mu_status await_death(struct mu_comm *comm)
{
    const struct mu_deadline deadline = mu_deadline_in_ms(DEATH_MS);
    enum mu_status st;

    while ((st = mu_comm_poll(comm)) == MU_OK) {
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "MPI did not tell within %d s that a rank died",
                           DEATH_MS / 1000);
        mu_clock_sleep_us(LOOK_US);
    }
    return mu_status_is_death(st) ? MU_OK : st;
}

/* From the order to die to being able to exchange again; of that, BEFORE_DEATH_US are waited so
 * that everybody has left the exchange before. */
static enum mu_status survive(struct meeting *m)
{
    const bool dies = mu_comm_rank(m->comm) == mu_comm_size(m->comm) - 1;
    const double began = mu_clock_s();
    enum mu_status st;

    mu_clock_sleep_us(dies ? BEFORE_DEATH_US : 0);
    if (dies)
        raise(SIGKILL);
    MU_TRY(await_death(m->comm), st, done);
    MU_TRY(mu_comm_repair(m->comm, false, exchange, m), st, done);
    if (mu_comm_rank(m->comm) == 0)
        printf(MU_RANK_CHECK_LINE "survived %d %.1f\n", mu_comm_size(m->comm),
               1e3 * (mu_clock_s() - began) - 1e-3 * BEFORE_DEATH_US);
    fflush(stdout);
done:
    return st;
}

enum mu_status mu_rank_check(void)
{
    struct meeting m = {0};
    enum mu_status st;

    alarm(WHOLE_S); /* whatever happens: nobody stays */
    MU_TRY(mu_signals_die_with_parent(), st, done);
    MU_TRY(mu_comm_open(&m.comm), st, done);
    m.place = calloc((size_t)mu_comm_size(m.comm), sizeof *m.place);
    MU_ASSERT(m.place);
    if (mu_comm_size(m.comm) > 1)
        MU_TRY(exchange(&m), st, done);
    else
        gethostname(m.place[0].host, sizeof m.place[0].host - 1);
    if (mu_comm_rank(m.comm) == 0)
        tell_meeting(&m);
    if (mu_comm_size(m.comm) > 1 && mu_comm_is_fault_tolerant(m.comm))
        MU_TRY(survive(&m), st, done);
done:
    free(m.place);
    if (st != MU_OK && m.comm)
        mu_comm_leave(m.comm, mu_status_exit_code(st));
    mu_comm_close(m.comm, mu_status_exit_code(st));
    return st;
}
