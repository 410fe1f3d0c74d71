/* All that calls MPI (with view_mpi.c and ulfm_mpi.h). Everything goes over MPI_COMM_WORLD, or what
 * a repair has made of it; a view has places and tags of its own in it (view_mpi.c). from_mpi is
 * where classes of errors become statuses. MPI moves messages inside its calls only, on one thread:
 * hence mu_comm_poll. An orderly end goes through MPI_Finalize with an alarm set; after a failure
 * it is left out.
 *
 * A repair is a loop of shrink, exchange and agreement, since ranks may die inside it, and only the
 * agreement makes all that live take the same branch. Open requests are kept in a list, so that the
 * repair can see each of them complete, with an error, before its buffer is used again.
 *
 * Two faults of Open MPI 5.0.11 are lived with. A rank's address is asked for when it is first sent
 * to, and once that rank is dead the answer never comes, which hung repairs: so all are asked for
 * in MPI_Init (mpi_add_procs_cutoff, scripts/cmake/MusterMpi.cmake). And a rank that hears of a
 * death while MPI makes a communicator crashes (ompi_comm_revoke_local calls what is not there
 * yet): so there is no MPI_Comm_dup at the start; a shrink cannot do without, and who crashes in it
 * is one more that is left out. A repair that hangs all the same is given up by core/watch. */
#include "worker/comm/comm.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/started_by.h"
#include "worker/comm/death_pmix.h"
#include "worker/comm/internal_mpi.h"
#include "worker/comm/mpi_files.h"
#include "worker/comm/ulfm_mpi.h"

enum {
    FINALIZE_DEADLINE_S = 5,
    DRAIN_DEADLINE_MS = 10000,
    MOST_ATTEMPTS = 1000, /* of a repair: more than ranks can die in it */
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

/* The first one is MPI's own. */
static void free_comm(MPI_Comm *comm)
{
    if (*comm != MPI_COMM_WORLD)
        MPI_Comm_free(comm);
}

/* From now on everything goes over `comm`. */
static void take(struct mu_comm *c, MPI_Comm comm)
{
    c->comm = comm;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm, &c->rank);
    MPI_Comm_size(comm, &c->size);
}

/* Local: groups are known to every member. */
static enum mu_status name_places(struct mu_comm *c)
{
    MPI_Group here, world;
    int *place = malloc((size_t)c->size * sizeof *place);

    free(c->name);
    c->name = malloc((size_t)c->size * sizeof *c->name);
    if (!place || !c->name) {
        free(place);
        return MU_FAIL(MU_NO_MEMORY, "no memory for the names of %d ranks", c->size);
    }
    for (int i = 0; i < c->size; i++)
        place[i] = i;
    MPI_Comm_group(c->comm, &here);
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_translate_ranks(here, c->size, place, world, c->name);
    MPI_Group_free(&here);
    MPI_Group_free(&world);
    free(place);
    return MU_OK;
}

enum mu_status mu_comm_open(struct mu_comm **out)
{
    struct mu_comm *c = calloc(1, sizeof *c);
    int provided;

    *out = NULL;
    if (!c)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a communicator");
    c->base = c;
    c->open.next = c->open.previous = &c->open;
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
    take(c, MPI_COMM_WORLD);
    c->fault_tolerant = mu_ulfm_is_on() && !mu_started_by_srun();
    c->names = c->size;
    c->told = calloc((size_t)c->names, sizeof *c->told);
    if (!c->told || check_launcher(c->size) != MU_OK || name_places(c) != MU_OK) {
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
    if (c) {
        MU_ASSERT(!c->place);
        free(c->name);
        free(c->told);
    }
    if (!c || c->comm == MPI_COMM_NULL) {
        free(c);
        return;
    }
    if (c->repaired) { /* MPI_Finalize may hang now, and everybody has agreed to leave */
        mu_mpi_files_remove_own();
        _exit(exit_code);
    }
    late_exit_code = exit_code;
    signal(SIGALRM, end_now);
    alarm(FINALIZE_DEADLINE_S);
    free_comm(&c->comm);
    MPI_Finalize();
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    free(c);
}

void mu_comm_revoke(struct mu_comm *c)
{
    if (c->base->fault_tolerant)
        mu_ulfm_revoke(c->base->comm);
}

void mu_comm_leave(struct mu_comm *c, int exit_code)
{
    mu_mpi_files_remove_own();
    if (c && c->base->size > 1 && !c->base->fault_tolerant)
        MPI_Abort(MPI_COMM_WORLD, exit_code); /* the others would wait for ever */
    _exit(exit_code);
}

void mu_comm_die(void)
{
    mu_mpi_files_remove_own();
    raise(SIGKILL);
    abort(); /* not reached */
}

int mu_comm_rank(const struct mu_comm *c)
{
    return c->rank;
}

int mu_comm_size(const struct mu_comm *c)
{
    return c->size;
}

int mu_comm_name(const struct mu_comm *c, int place)
{
    return c->name ? c->name[place] : place;
}

bool mu_comm_is_fault_tolerant(const struct mu_comm *c)
{
    return c->base->fault_tolerant;
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

    c = c->base;
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

int mu_comm_dead(struct mu_comm *c, int *places, int capacity)
{
    int count = 0, members = 0;
    MPI_Group dead, all;

    if (!c->base->fault_tolerant || !mu_ulfm_failed_group(c->base->comm, &dead))
        return 0;
    MPI_Group_size(dead, &count);
    if (count > 0) {
        MPI_Comm_group(c->base->comm, &all);
        for (int i = 0, place; i < count; i++) {
            MPI_Group_translate_ranks(dead, 1, &i, all, &place);
            place = mu_comm_own_place(c, place);
            if (place >= 0 && members++ < capacity)
                places[members - 1] = place;
        }
        MPI_Group_free(&all);
    }
    if (dead != MPI_GROUP_EMPTY)
        MPI_Group_free(&dead);
    return members;
}

void mu_comm_tell_dead(struct mu_comm *c, int name, bool everywhere)
{
    bool first;

    c = c->base;
    if (!c->fault_tolerant || name >= c->names)
        return;
    first = !atomic_exchange(&c->told[name], true);
    if (first || everywhere)
        mu_mpi_tell_death(name, everywhere);
}

/* Takes the request into the list of open ones. */
static enum mu_status open_request(struct mu_comm *c, enum mu_status st, MPI_Request request,
                                   bool receives, struct mu_request *r)
{
    struct pending *open = &c->base->open, *p;

    r->handle = NULL;
    if (st != MU_OK)
        return st;
    p = malloc(sizeof *p);
    MU_ASSERT(p); /* the transfer cannot be taken back */
    *p = (struct pending){request, c, receives, open, open->previous};
    p->previous->next = p;
    open->previous = p;
    r->handle = p;
    return MU_OK;
}

enum mu_status mu_comm_send(struct mu_comm *c, const void *data, size_t bytes, int to, int tag,
                            struct mu_request *r)
{
    MPI_Request request;
    enum mu_status st;

    MU_ASSERT(bytes <= INT_MAX);
    st = from_mpi(MPI_Isend(data, (int)bytes, MPI_BYTE, mu_comm_base_place(c, to),
                            c->first_tag + tag, c->base->comm, &request));
    return open_request(c, st, request, false, r);
}

enum mu_status mu_comm_receive(struct mu_comm *c, void *data, size_t bytes, int from, int tag,
                               struct mu_request *r)
{
    MPI_Request request;
    enum mu_status st;

    MU_ASSERT(bytes <= INT_MAX);
    st = from_mpi(MPI_Irecv(data, (int)bytes, MPI_BYTE, mu_comm_base_place(c, from),
                            c->first_tag + tag, c->base->comm, &request));
    return open_request(c, st, request, true, r);
}

enum mu_status mu_comm_test(struct mu_comm *c, struct mu_request *r, bool *done, size_t *received)
{
    struct pending *p = r->handle;
    MPI_Status status;
    enum mu_status st;
    int flag = 0, count = 0;

    (void)c;
    *done = true;
    if (!p)
        return MU_OK;
    st = from_mpi(MPI_Test(&p->request, &flag, &status));
    *done = flag || st != MU_OK;
    if (!*done)
        return MU_OK;
    if (st == MU_OK && received) {
        MPI_Get_count(&status, MPI_BYTE, &count);
        *received = (size_t)count;
    }
    if (p->request == MPI_REQUEST_NULL) { /* after an error it may still be MPI's */
        mu_comm_close_request(p);
        r->handle = NULL;
    }
    return st;
}

/* A buffer belongs to its request until that is complete, be it with an error; a revocation
 * completes all of them, but for a transfer that is under way. */
static enum mu_status drain(struct mu_comm *c)
{
    struct mu_deadline deadline = mu_deadline_in_ms(DRAIN_DEADLINE_MS);

    while (c->open.next != &c->open) {
        struct pending *p = c->open.next;
        int flag = 0;

        MPI_Test(&p->request, &flag, MPI_STATUS_IGNORE);
        if (flag || p->request == MPI_REQUEST_NULL)
            mu_comm_close_request(p);
        else if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "a message to or from a dead rank did not end within %d s",
                           DRAIN_DEADLINE_MS / 1000);
    }
    return MU_OK;
}

enum mu_status mu_comm_repair(struct mu_comm *c, bool quietly, mu_comm_exchange *exchange,
                              void *context)
{
    MPI_Comm old = c->comm, from = old, fresh;
    const int size = c->size;
    enum mu_status st = MU_FAILED;
    bool agreed = false;

    MU_ASSERT(!c->place);
    if (!quietly)
        mu_ulfm_revoke(old);
    for (int attempt = 0; !agreed; attempt++) {
        if (attempt == MOST_ATTEMPTS)
            return MU_FAIL(MU_FAILED, "the communicator could not be repaired in %d attempts",
                           attempt);
        if (!mu_ulfm_shrink(from, &fresh))
            continue;
        if (from != old)
            MPI_Comm_free(&from);
        from = fresh;
        take(c, fresh);
        c->repairs++; /* views are of before, until they are told who is left */
        MU_TRY(name_places(c), st, failed);
        st = exchange(context);
        if (mu_status_is_death(st))
            mu_ulfm_revoke(fresh); /* releases those who still wait in it */
        else if (st != MU_OK)
            goto failed;
        agreed = mu_ulfm_agree(fresh, st == MU_OK);
    }
    c->repaired = c->repaired || c->size < size;
    if (quietly && c->open.next != &c->open)
        mu_ulfm_revoke(old); /* everybody is here: what is still waited for will not come */
    st = drain(c);
    if (st == MU_OK)
        free_comm(&old); /* 10 kB otherwise, for each death */
failed:
    return st;
}

enum mu_status mu_comm_allgather(struct mu_comm *c, const void *own, size_t bytes, void *all)
{
    MU_ASSERT(bytes <= INT_MAX && !c->place);
    return from_mpi(MPI_Allgather(own, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, c->comm));
}
