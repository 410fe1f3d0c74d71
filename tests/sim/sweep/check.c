#include <math.h>
#include <stdio.h>

#include "tests/sim/sweep/sweep_sim.h"

void check_failed(struct sim *s, const char *what, uint32_t trial)
{
    if (s->out.failure[0] == '\0')
        snprintf(s->out.failure, sizeof s->out.failure, "at %.3f s, trial %u: %s", s->now, trial,
                 what);
}

void check_command(struct sim *s, const struct mu_pack_command *c, uint32_t trial)
{
    const struct trial *t = &s->trial[trial];
    const struct host *h = &s->host[c->host];

    if (c->workers < t->least || c->workers > (t->most > t->least ? t->most : t->least))
        check_failed(s, "a number of workers that it cannot have", trial);
    if (t->state == TRIAL_WAITS) {
        if (c->workers > h->free)
            check_failed(s, "begins on more workers than are free", trial);
        if (t->bytes > h->bytes)
            check_failed(s, "begins where there is no memory for it", trial);
        if (t->host != NONE && t->host != c->host && s->host[t->host].alive >= t->least)
            check_failed(s, "leaves its state behind", trial);
        return;
    }
    if (t->state != TRIAL_TRAINS || !isinf(t->moves_until))
        check_failed(s, "is moved, and does not train, or moves already", trial);
    if (c->host != t->host)
        check_failed(s, "would span hosts", trial);
    if (c->workers == t->workers)
        check_failed(s, "is moved for nothing", trial);
    if (c->workers > t->workers + h->free)
        check_failed(s, "grows by more workers than are free", trial);
}

void check_fleet(struct sim *s)
{
    const uint32_t each = s->setup.host_workers;

    for (uint32_t h = 0; h < s->setup.hosts; h++) {
        uint32_t free = 0, alive = 0;

        for (uint32_t w = h * each; w < (h + 1) * each; w++) {
            free += s->owner[w] == NONE;
            alive += s->owner[w] != DEAD;
        }
        if (free != s->host[h].free || alive != s->host[h].alive)
            check_failed(s, "workers of a host are miscounted", NONE);
        if (s->host[h].bytes < -1e-3)
            check_failed(s, "a host has no memory left", NONE);
    }
    for (uint32_t n = 0; n < s->live_count; n++) {
        const struct trial *t = &s->trial[s->live[n]];
        uint32_t workers = 0;

        for (uint32_t w = t->host * each; w < (t->host + 1) * each; w++)
            workers += s->owner[w] == s->live[n];
        if (workers != (t->becomes > t->workers ? t->becomes : t->workers))
            check_failed(s, "a worker is in two trials, or in none", s->live[n]);
        if (t->workers < t->least)
            check_failed(s, "trains with too few workers", s->live[n]);
        if (t->done < t->kept)
            check_failed(s, "lost what its checkpoint has", s->live[n]);
    }
}
