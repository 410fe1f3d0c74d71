/* A master of a part: what it takes from the others, whom it waits for, and how the files of the
 * whole come about. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/sweep_run/lead.h"
#include "orchestrator/sweep_run/merge.h"
#include "orchestrator/sweep_run/paths.h"

static const double merge_seconds = 2, times = 20; /* merging takes a twentieth of the time */
enum { MOST_AT_END = 5 };

enum mu_status mu_sweep_lead_open_part(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_facts *f = lead->facts;
    enum mu_status st;

    lead->waits_since = mu_clock_s();
    MU_TRY(mu_sweep_part_plan(f->spec, &f->base, f->file, &lead->plan), st, failed);
    MU_TRY(mu_sweep_beside_open(&lead->beside, f->path), st, failed);
    lead->waits_for = calloc((size_t)lead->beside.own.of + 1, sizeof *lead->waits_for);
    if (!lead->waits_for)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u parts", lead->beside.own.of);
failed:
    return st;
}

void mu_sweep_lead_close_part(struct mu_sweep_lead *lead)
{
    mu_sweep_beside_close(&lead->beside);
    free(lead->waits_for);
    lead->waits_for = NULL;
}

/* Another part may have been begun with other values: its losses are no points of the same law. */
static bool take(struct mu_sweep_lead *lead, uint32_t trial)
{
    struct mu_sweep_master *m = &lead->master;
    const struct mu_sweep_trial *t = &m->stages.trials.item[trial];
    const struct mu_cell found = mu_sweep_beside_find(&lead->beside, t->name);

    if (!mu_sweep_master_hear_elsewhere(m, trial, &found))
        return false;
    m->status = mu_sweep_trial_compare(t, lead->facts->path);
    return true;
}

void mu_sweep_lead_look_beside(struct mu_sweep_lead *lead, bool at_once)
{
    struct mu_sweep_master *m = &lead->master;
    bool news = false;

    if (m->state.part.of == 0 || m->status != MU_OK)
        return;
    m->status = mu_sweep_beside_look(&lead->beside, at_once, &news);
    for (uint32_t i = 0; news && i < m->known && m->status == MU_OK; i++)
        if (m->state.cell[i].is_elsewhere)
            lead->has_new_results |= take(lead, i);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool somebody_brings_them(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_master *m = &lead->master;
    bool any = false;

    for (uint32_t i = 0; i < m->known; i++)
        lead->waits_for[m->side[i].owner] += m->state.cell[i].phase == MU_CELL_ELSEWHERE;
    for (uint32_t k = 0; k < m->state.part.of; k++)
        any = any || (lead->waits_for[k] > 0 && mu_sweep_beside_lives(&lead->beside, k));
    return any;
}

bool mu_sweep_lead_gives_up(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_master *m = &lead->master;

    for (uint32_t k = 0; k < m->state.part.of; k++)
        lead->waits_for[k] = 0;
    if (m->state.part.of == 0 || !mu_sweep_master_waits(m) || lead->makes_way)
        return false;
    if (somebody_brings_them(lead)) {
        lead->waits_since = mu_clock_s();
        return false;
    }
    return mu_clock_s() - lead->waits_since > MU_SWEEP_BESIDE_ALIVE_S;
}

void mu_sweep_lead_name_others(const struct mu_sweep_lead *lead, char *text, size_t size)
{
    const struct mu_sweep_part own = lead->beside.own;
    uint32_t parts = 0, trials = 0;
    char list[80] = "";
    size_t n = 0;

    for (uint32_t k = 0; k < own.of; k++) {
        if (lead->waits_for[k] == 0)
            continue;
        if (n < sizeof list - 20)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%u", parts > 0 ? ", " : "", k);
        parts++;
        trials += lead->waits_for[k];
    }
    snprintf(text, size,
             "waits for results of part%s %s of %u, which %s %u trial%s to do and do%s not run: "
             "start %s, then the same command goes on",
             parts == 1 ? "" : "s", list, own.of, parts == 1 ? "has" : "have", trials,
             trials == 1 ? "" : "s", parts == 1 ? "es" : "", parts == 1 ? "it" : "them");
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void merge(const struct mu_sweep_lead *lead)
{
    if (mu_sweep_merge_files(lead->beside.whole) != MU_OK)
        mu_log(MU_LOG_WARN,
               "the files of all parts could not be put together in %s; `muster fit` there does it",
               lead->beside.whole);
}

void mu_sweep_lead_merge(struct mu_sweep_lead *lead)
{
    const double begin = mu_clock_s();

    if (lead->beside.own.of == 0 || !lead->must_merge || begin < lead->merges)
        return;
    merge(lead);
    lead->must_merge = false;
    lead->merges = mu_clock_s() + fmax(merge_seconds, times * (mu_clock_s() - begin));
}

/* Two that end at the same time: each has written down its last result before it looks for those of
 * others, so that one of them sees all; and one that was overtaken sees that something is new. */
void mu_sweep_lead_merge_at_end(struct mu_sweep_lead *lead)
{
    if (lead->beside.own.of == 0)
        return;
    for (int i = 0; i < MOST_AT_END; i++) {
        lead->has_new_results = false;
        mu_sweep_lead_look_beside(lead, true);
        if (i > 0 && !lead->has_new_results)
            return;
        if (mu_sweep_write_results(&lead->master.state) != MU_OK ||
            mu_sweep_write_timing(&lead->master.state) != MU_OK ||
            mu_sweep_write_status(&lead->master.state) != MU_OK)
            mu_log(MU_LOG_WARN, "the tables of this part could not be written");
        merge(lead);
    }
}

bool mu_sweep_lead_reports(const struct mu_sweep_lead *lead, bool at_end)
{
    const struct mu_sweep_part own = lead->beside.own;

    for (uint32_t k = 0; k < (at_end ? own.of : own.number); k++)
        if (k != own.number && mu_sweep_beside_lives(&lead->beside, k) &&
            !mu_sweep_beside_has_ended(&lead->beside, k))
            return false;
    return true;
}
