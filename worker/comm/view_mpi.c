/* Views of a communicator (comm.h): a list of places in the base, and a range of tags. Nothing here
 * is collective: whoever are to be in a view make it, each for itself, with the same number. */
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/comm/internal_mpi.h"

enum {
    RANGES = 1000,      /* numbers that differ, modulo this, have different tags */
    TAGS_OF_ONE = 2000, /* above all of enum mu_tag. The first range is the base's */
    CLOSE_DEADLINE_MS = 10000,
};
_Static_assert((int)MU_TAG_SWEEP < (int)TAGS_OF_ONE, "tags of a view would be the next one's");

/* MPI promises 32,767; the transports that there are have 8,388,607 and more. */
static enum mu_status check_tags(const struct mu_comm *base)
{
    int *most = NULL, found = 0;

    if (base->comm == MPI_COMM_NULL)
        return MU_OK;
    MPI_Comm_get_attr(base->comm, MPI_TAG_UB, &most, &found);
    if (found && *most >= (RANGES + 1) * TAGS_OF_ONE)
        return MU_OK;
    return MU_FAIL(MU_FAILED,
                   "%s has message tags up to %d over this network, and groups of ranks need %d: "
                   "choose another transport of it",
                   mu_mpi_library_version(), found ? *most : 0, (RANGES + 1) * TAGS_OF_ONE);
}

/* Where the members are now; MU_PEER_LOST: one of them is not there any more. */
static enum mu_status locate(struct mu_comm *view)
{
    const struct mu_comm *base = view->base;
    int at = 0;

    view->rank = -1;
    for (int i = 0; i < view->size; i++) {
        MU_ASSERT(i == 0 || view->name[i] > view->name[i - 1]);
        while (at < base->size && mu_comm_name(base, at) != view->name[i])
            at++;
        if (at == base->size)
            return MU_PEER_LOST;
        view->place[i] = at;
        if (at == base->rank)
            view->rank = i;
    }
    MU_ASSERT(view->rank >= 0);
    view->as_of = base->repairs;
    return MU_OK;
}

enum mu_status mu_comm_view(struct mu_comm *base, const int *names, int count, uint32_t number,
                            struct mu_comm **out)
{
    struct mu_comm *view;
    enum mu_status st;

    *out = NULL;
    MU_ASSERT(!base->place && count > 0);
    MU_TRY(check_tags(base), st, failed);
    view = calloc(1, sizeof *view);
    if (view) {
        view->name = calloc((size_t)count, sizeof *view->name);
        view->place = calloc((size_t)count, sizeof *view->place);
    }
    if (!view || !view->name || !view->place) {
        mu_comm_view_close(view);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a group of %d ranks", count);
    }
    view->base = base;
    view->size = count;
    view->first_tag = (int)(1 + number % RANGES) * TAGS_OF_ONE;
    for (int i = 0; i < count; i++)
        view->name[i] = names[i];
    st = locate(view);
    if (st == MU_OK)
        *out = view;
    else
        mu_comm_view_close(view);
failed:
    return st;
}

enum mu_status mu_comm_view_keep(struct mu_comm *view, const int *names, int count)
{
    MU_ASSERT(view->place && count > 0 && count <= view->size);
    for (int i = 0; i < count; i++)
        view->name[i] = names[i];
    view->size = count;
    return locate(view);
}

/* A receive is taken back; a send that nobody has taken is MPI's, and ends with the base's next
 * repair, or with MPI. */
static void end_request(struct pending *p)
{
    struct mu_deadline deadline = mu_deadline_in_ms(CLOSE_DEADLINE_MS);
    int flag = 0;

    if (p->receives)
        MPI_Cancel(&p->request);
    do
        MPI_Test(&p->request, &flag, MPI_STATUS_IGNORE);
    while (!flag && p->receives && p->request != MPI_REQUEST_NULL && !mu_deadline_passed(deadline));
    if (flag || p->request == MPI_REQUEST_NULL) {
        mu_comm_close_request(p);
        return;
    }
    p->owner = NULL;
    if (p->receives)
        mu_log(MU_LOG_WARN, "a message to a group of ranks that is no more did not end within %d s",
               CLOSE_DEADLINE_MS / 1000);
}

void mu_comm_view_close(struct mu_comm *view)
{
    if (!view)
        return;
    if (view->base)
        for (struct pending *p = view->base->open.next, *next; p != &view->base->open; p = next) {
            next = p->next;
            if (p->owner == view)
                end_request(p);
        }
    free(view->name);
    free(view->place);
    free(view);
}
