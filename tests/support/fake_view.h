/* Views of the communicator in memory (fake_comm.h, which includes this). */
#ifndef MUSTER_TESTS_FAKE_VIEW_H
#define MUSTER_TESTS_FAKE_VIEW_H

#include "tests/support/fake_comm.h"

static inline void fake_locate(struct mu_comm *view, const int *names, int count)
{
    view->place = -1;
    view->size = count;
    view->epoch = view->base->epoch;
    for (int i = 0; i < count; i++) {
        MU_ASSERT(i == 0 || names[i] > names[i - 1]);
        view->name[i] = names[i];
        if (names[i] == view->self)
            view->place = i;
    }
    MU_ASSERT(view->place >= 0);
}

enum mu_status mu_comm_view(struct mu_comm *base, const int *names, int count, uint32_t number,
                            struct mu_comm **out)
{
    struct mu_comm *view;

    *out = NULL;
    for (int i = 0, at = 0; i < count; i++) {
        while (at < base->size && base->name[at] != names[i])
            at++;
        if (at == base->size)
            return MU_PEER_LOST;
    }
    view = calloc(1, sizeof *view);
    MU_ASSERT(view && !base->base && count > 0 && count <= FAKE_RANKS);
    *view = (struct mu_comm){
        .base = base, .self = base->self, .first_tag = (int)(1 + number % 1000) * 2000};
    fake_locate(view, names, count);
    *out = view;
    return MU_OK;
}

enum mu_status mu_comm_view_keep(struct mu_comm *view, const int *names, int count)
{
    MU_ASSERT(view->base && count > 0 && count <= view->size);
    fake_locate(view, names, count);
    return MU_OK;
}

void mu_comm_view_close(struct mu_comm *view)
{
    free(view);
}

#endif
