/* What lies between two steps. Nobody may go on to a later step before the duties of this one are
 * done; that a master has entered the next turn says so. After a repair the master may be another,
 * that has entered it already: then the duties end with a round of all. Everything here may be done
 * again: what stands already is left. */
#include <string.h>

#include "tests/sim/sim.h"

int64_t last_record(const struct sim *s)
{
    uint32_t n = s->disk.records;

    while (n > 0 && !s->disk.record[n - 1].whole)
        n--;
    return n > 0 ? s->disk.record[n - 1].step : 0;
}

int64_t newest_checkpoint(struct sim *s)
{
    for (int64_t k = s->steps; k > 0; k--) {
        const struct checkpoint *c = &s->disk.checkpoint[k];
        bool whole = c->published;

        for (uint32_t i = 0; i < s->chunks; i++)
            whole = whole && c->part[i].whole;
        if (whole)
            return k;
    }
    return 0;
}

static void record(struct rank *r, int64_t step)
{
    struct sim *s = r->sim;
    struct disk *d = &s->disk;
    const struct segment *g = segment_of(r);

    act(r, "looks at the records");
    if (d->records > 0 && !d->record[d->records - 1].whole)
        d->records--; /* torn */
    if (last_record(s) >= step && !planted(s, PLANT_blind_record))
        return;
    act(r, "begins to record step %lld", (long long)step);
    if (d->records == sizeof d->record / sizeof *d->record)
        return;
    d->record[d->records++] = (struct record){step, model_hash(s, g->half[g->state & 1]), false};
    act(r, "records step %lld", (long long)step);
    d->record[d->records - 1].whole = true;
    check_record(s);
}

static void write_part(struct rank *r, uint32_t c, int64_t step)
{
    struct sim *s = r->sim;
    struct part *p = &s->disk.checkpoint[step].part[c];
    const struct segment *g = segment_of(r);

    if (p->whole && p->synced)
        return;
    act(r, "begins part %u of the checkpoint of step %lld", c, (long long)step);
    *p = (struct part){.step = step, .host = r->host};
    act(r, "writes part %u", c);
    memcpy(p->value, g->half[g->state & 1] + c * CHUNK, sizeof p->value);
    p->whole = true;
    if (planted(s, PLANT_publish_unsynced))
        return;
    act(r, "syncs part %u", c);
    p->synced = p->whole;
}

/* Parts are dealt over the hosts, and on a host over its ranks. */
static bool save(struct rank *r, int64_t step)
{
    const struct mu_roll *roll = &r->comm->roll;
    struct sim *s = r->sim;
    struct gather all;

    for (uint32_t c = 0; c < s->chunks; c++)
        if (mu_roll_owner(roll, c % roll->hosts, c) == r->place) {
            write_part(r, c, step);
            if (poll(r))
                return false;
        }
    if (!gather(r, 0, &all))
        return false;
    if (r->place == 0 && !s->disk.checkpoint[step].published) {
        act(r, "publishes the checkpoint of step %lld", (long long)step);
        s->disk.checkpoint[step].published = true;
        check_checkpoints(s);
    }
    return gather(r, 0, &all);
}

static bool hash(struct rank *r)
{
    const struct segment *g = segment_of(r);
    struct gather all;

    act(r, "hashes");
    if (!gather(r, model_hash(r->sim, g->half[g->state & 1]), &all))
        return false;
    if (all.min != all.max)
        sim_violation(r->sim, "hosts do not hold the same state");
    return true;
}

bool duties(struct rank *r, int64_t step)
{
    struct mu_duties due = mu_duties_at(&r->sim->duty, step, false, false);
    struct gather all;

    r->duties = r->duties < step - 1 ? step - 1 : r->duties;
    if ((due.evaluate || due.hash) && !hash(r))
        return false;
    if (due.log && r->place == 0)
        record(r, step);
    if (due.save && !save(r, step))
        return false;
    if (r->place == 0)
        r->duties = step;
    if (r->settle || due.end) {
        if (!gather(r, 0, &all))
            return false;
        r->settle = false;
        r->duties = step;
    }
    return !poll(r);
}
