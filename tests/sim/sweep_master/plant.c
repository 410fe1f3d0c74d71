/* Known mistakes, between the master and the fleet: the checks must find each. */
#include <string.h>

#include "tests/sim/sweep_master/master_sim.h"

static const char *const names[PLANTS] = {
#define PLANT_NAME(name) #name,
    PLANT_TABLE(PLANT_NAME)
#undef PLANT_NAME
};

enum plant plant_named(const char *name)
{
    enum plant p = PLANT_nothing;

    while (p < PLANTS && strcmp(names[p], name) != 0)
        p++;
    return p;
}

void plant_words(struct sim *s, uint32_t words)
{
    for (uint32_t i = 0; i < words && s->setup.plant == PLANT_deaf; i++)
        if (s->word[i].group == 0)
            s->word[i].group = mu_sweep_master_member(&s->master, s->word[i].name)->group;
}

void plant_heard(struct sim *s, struct heard *h)
{
    struct mu_sweep_master *m = &s->master;

    if (!h->message.has_outcome)
        return;
    if (s->setup.plant == PLANT_mixed_up)
        h->outcome.valid_loss = h->outcome.train_loss + 1e-3 * (h->rank == 1);
    if (s->setup.plant != PLANT_early)
        return;
    mu_sweep_master_hear_outcome(m, h->message.group, &h->outcome);
    for (uint32_t i = 0; i < m->members; i++)
        if (m->member[i].group == h->message.group)
            mu_sweep_master_hear_ready(m, m->member[i].name, h->message.group);
}

void plant_before(struct sim *s)
{
    for (uint32_t i = 0; i < s->master.known; i++) {
        struct mu_cell *c = &s->master.state.cell[i];

        if (s->setup.plant == PLANT_no_state && c->phase == MU_CELL_READY)
            c->host = UINT32_MAX;
        if (s->setup.plant == PLANT_patient)
            c->crashes = 0;
    }
}

uint32_t plant_rank(struct sim *s, uint32_t rank)
{
    return s->setup.plant == PLANT_two_hosts ? (rank + s->setup.host_ranks) % s->ranks : rank;
}
