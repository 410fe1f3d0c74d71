/* The only file that calls MPI (ulfm_mpi.h beside it). Everything goes over a duplicate of
 * MPI_COMM_WORLD that returns errors; from_mpi is where their classes become statuses. MPI
 * moves messages inside its calls only, on one thread: hence mu_comm_poll. An orderly end goes
 * through MPI_Finalize with an alarm set; after a failure it is left out. */
#include "worker/comm/comm.h"

#include <limits.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "worker/comm/mpi_files.h"
#include "worker/comm/ulfm_mpi.h"

enum { FINALIZE_DEADLINE_S = 5 };

struct mu_comm {
    MPI_Comm comm; /* MPI_COMM_NULL: not under mpirun, MPI is not started at all */
    int rank, size;
    bool fault_tolerant;
};

/* Without a launcher MPI would start as a job of one, slowly, and leave a file in /dev/shm. */
static bool has_launcher(void)
{
    static const char *const names[] = {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            return true;
    return false;
}

/* Started by an mpirun of another MPI, each rank takes itself for the only one. */
static enum mu_status check_launcher(int size)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && atoi(value) > 1 && size == 1)
            return MU_FAIL(
                MU_FAILED,
                "mpirun started %s ranks, but it belongs to another MPI than the %s that "
                "muster was built with: use that one's mpirun (. build/env puts it on "
                "PATH)",
                value, mu_mpi_library_version());
    }
    return MU_OK;
}

enum mu_status mu_comm_open(struct mu_comm **out)
{
    struct mu_comm *c = calloc(1, sizeof *c);
    int provided;

    *out = NULL;
    if (!c)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a communicator");
    if (!has_launcher()) {
        c->comm = MPI_COMM_NULL;
        c->size = 1;
        *out = c;
        return MU_OK;
    }
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        free(c);
        return MU_FAIL(MU_FAILED, "MPI_Init failed");
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (MPI_Comm_dup(MPI_COMM_WORLD, &c->comm) != MPI_SUCCESS) {
        free(c);
        return MU_FAIL(MU_FAILED, "MPI_Comm_dup failed");
    }
    MPI_Comm_set_errhandler(c->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(c->comm, &c->rank);
    MPI_Comm_size(c->comm, &c->size);
    c->fault_tolerant = mu_ulfm_is_on();
    if (check_launcher(c->size) != MU_OK) {
        mu_comm_close(c, mu_status_exit_code(MU_FAILED));
        return MU_FAILED;
    }
    *out = c;
    return MU_OK;
}

static volatile sig_atomic_t late_exit_code;

static void end_now(int signal_number)
{
    (void)signal_number;
    _exit(late_exit_code); /* every rank has agreed to leave: what was to be written is written */
}

void mu_comm_close(struct mu_comm *c, int exit_code)
{
    if (!c || c->comm == MPI_COMM_NULL) {
        free(c);
        return;
    }
    late_exit_code = exit_code;
    signal(SIGALRM, end_now);
    alarm(FINALIZE_DEADLINE_S);
    MPI_Comm_free(&c->comm);
    MPI_Finalize();
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    free(c);
}

void mu_comm_revoke(struct mu_comm *c)
{
    if (c->fault_tolerant)
        mu_ulfm_revoke(c->comm);
}

void mu_comm_leave(struct mu_comm *c, int exit_code)
{
    mu_mpi_files_remove_own();
    if (c && c->size > 1 && !c->fault_tolerant)
        MPI_Abort(MPI_COMM_WORLD, exit_code); /* the others would wait for ever */
    _exit(exit_code);
}

int mu_comm_rank(const struct mu_comm *c)
{
    return c->rank;
}

int mu_comm_size(const struct mu_comm *c)
{
    return c->size;
}

bool mu_comm_is_fault_tolerant(const struct mu_comm *c)
{
    return c->fault_tolerant;
}

const char *mu_mpi_library_version(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;

    MPI_Get_library_version(text, &length); /* allowed before MPI_Init */
    text[strcspn(text, ",\n")] = 0;         /* "Open MPI v5.0.11" */
    return text;
}

static enum mu_status from_mpi(int code)
{
    int class = MPI_SUCCESS;

    if (code == MPI_SUCCESS)
        return MU_OK;
    MPI_Error_class(code, &class);
    if (mu_ulfm_is_death(class))
        return MU_PEER_LOST;
    if (mu_ulfm_is_revocation(class))
        return MU_REVOKED;
    return MU_FAIL(MU_FAILED, "MPI reported error class %d", class);
}

enum mu_status mu_comm_poll(struct mu_comm *c)
{
    int flag = 0, dead;
    enum mu_status st;

    if (c->size == 1)
        return MU_OK;
    /* For its progress; nothing is ever sent to oneself. */
    st = from_mpi(MPI_Iprobe(c->rank, 0, c->comm, &flag, MPI_STATUS_IGNORE));
    if (st != MU_OK || !c->fault_tolerant)
        return st;
    if (mu_ulfm_is_revoked(c->comm))
        return MU_REVOKED;
    return mu_comm_dead(c, &dead, 1) > 0 ? MU_PEER_LOST : MU_OK;
}

int mu_comm_dead(struct mu_comm *c, int *ranks, int capacity)
{
    int count = 0;
    MPI_Group dead, all;

    if (!c->fault_tolerant || !mu_ulfm_failed_group(c->comm, &dead))
        return 0;
    MPI_Group_size(dead, &count);
    if (count > 0) {
        MPI_Comm_group(c->comm, &all);
        for (int i = 0; i < count && i < capacity; i++)
            MPI_Group_translate_ranks(dead, 1, &i, all, &ranks[i]);
        MPI_Group_free(&all);
    }
    if (dead != MPI_GROUP_EMPTY)
        MPI_Group_free(&dead);
    return count;
}

_Static_assert(sizeof(MPI_Request) <= sizeof(void *), "a request is kept in a pointer");

enum mu_status mu_comm_send(struct mu_comm *c, const void *data, size_t bytes, int to, int tag,
                            struct mu_request *r)
{
    MPI_Request request;
    enum mu_status st;

    MU_ASSERT(bytes <= INT_MAX);
    st = from_mpi(MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, c->comm, &request));
    r->handle = st == MU_OK ? (void *)request : NULL;
    return st;
}

enum mu_status mu_comm_receive(struct mu_comm *c, void *data, size_t bytes, int from, int tag,
                               struct mu_request *r)
{
    MPI_Request request;
    enum mu_status st;

    MU_ASSERT(bytes <= INT_MAX);
    st = from_mpi(MPI_Irecv(data, (int)bytes, MPI_BYTE, from, tag, c->comm, &request));
    r->handle = st == MU_OK ? (void *)request : NULL;
    return st;
}

enum mu_status mu_comm_test(struct mu_comm *c, struct mu_request *r, bool *done, size_t *received)
{
    MPI_Request request = (MPI_Request)r->handle;
    MPI_Status status;
    enum mu_status st;
    int flag = 0, count = 0;

    (void)c;
    *done = true;
    if (!r->handle)
        return MU_OK;
    st = from_mpi(MPI_Test(&request, &flag, &status));
    *done = flag || st != MU_OK;
    if (!*done)
        return MU_OK;
    r->handle = NULL;
    if (st == MU_OK && received) {
        MPI_Get_count(&status, MPI_BYTE, &count);
        *received = (size_t)count;
    }
    return st;
}
