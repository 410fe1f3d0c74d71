/* Each committed step is recorded once, in order, with the state it had, whoever was master. */
#include "tests/sim/sim.h"

void check_record(struct sim *s)
{
    const struct record *last = &s->disk.record[s->disk.records - 1];

    if (s->disk.records > 1 && last->step != last[-1].step + 1)
        sim_violation(s, "step %lld is recorded after step %lld", (long long)last->step,
                      (long long)last[-1].step);
    if (last->hash != model_hash(s, s->reference[last->step]))
        sim_violation(s, "step %lld is recorded with another state", (long long)last->step);
}

void check_records(struct sim *s)
{
    if (s->disk.records != s->steps)
        sim_violation(s, "%u steps are recorded of %u", s->disk.records, s->steps);
    for (uint32_t i = 0; i < s->disk.records; i++)
        if (s->disk.record[i].step != i + 1 || !s->disk.record[i].whole)
            sim_violation(s, "the record of step %u is missing", i + 1);
}
