/* Known mistakes, between the packing and the fleet: the checks must find each. */
#include <math.h>
#include <string.h>

#include "tests/sim/sweep/sweep_sim.h"

static const char *const names[PLANTS] = {
#define PLANT_NAME(name) #name,
    PLANT_TABLE(PLANT_NAME)
#undef PLANT_NAME
};

enum plant plant_named(const char *name)
{
    enum plant p = PLANT_NOTHING;

    while (p < PLANTS && strcmp(names[p], name) != 0)
        p++;
    return p;
}

/* What the packing is told. */
uint32_t plant_problem(struct sim *s, uint32_t trials)
{
    for (uint32_t h = 0; h < s->setup.hosts && s->setup.plant == PLANT_no_memory; h++)
        s->seen[h].bytes_left = INFINITY;
    for (uint32_t h = 0; h < s->setup.hosts && s->setup.plant == PLANT_dead_host; h++)
        s->seen[h].free += s->setup.host_workers - s->seen[h].workers;
    for (uint32_t n = 0; n < trials; n++) {
        if (s->setup.plant == PLANT_no_state && s->listed[n].workers == 0)
            s->listed[n].host = NONE;
        if (s->setup.plant == PLANT_no_move)
            s->listed[n].moving = false;
    }
    return s->setup.plant == PLANT_forgotten && s->listed_trial[0] == 0 ? 0 : trials;
}

/* What it says. */
void plant_commands(struct sim *s, uint32_t trials, uint32_t *count)
{
    for (uint32_t n = 0; n < *count; n++) {
        const struct mu_pack_trial *t = &s->listed[s->command[n].trial];

        if (s->setup.plant == PLANT_too_narrow && t->least > 1)
            s->command[n].workers = t->least - 1;
        if (s->setup.plant == PLANT_too_wide && t->workers > 0)
            s->command[n].workers += s->setup.host_workers;
        if (s->setup.plant == PLANT_two_hosts && t->workers > 0)
            s->command[n].host = (s->command[n].host + 1) % s->setup.hosts;
    }
    for (uint32_t n = 0; n < trials && *count == 0 && s->setup.plant == PLANT_restless; n++)
        if (!s->listed[n].moving && s->listed[n].workers > s->listed[n].least)
            s->command[(*count)++] =
                (struct mu_pack_command){n, s->listed[n].host, s->listed[n].workers - 1};
}
