#include <inttypes.h>
#include <string.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/sweep_run/lead.h"
#include "orchestrator/sweep_run/paths.h"

/* Of the trial's newest state in memory here; -1: there is none. */
static int64_t step_in_memory(const struct mu_segments *s, const char *run)
{
    const uint32_t key = (uint32_t)mu_hash_bytes(run, strlen(run), 0).low;
    int64_t newest = -1;

    for (int i = 0; i < s->count; i++) {
        uint32_t trial;
        const int64_t step = mu_segments_step(s, i, &trial);

        if (trial == key && step > newest)
            newest = step;
    }
    return newest;
}

/* Of a READY trial: the newest state that is in memory, and the host that has it; on other hosts as
 * was heard of in this start. -1: none is known of. */
static int64_t look(const struct mu_sweep_lead *lead, uint32_t trial,
                    const struct mu_segments *segments, uint32_t *host)
{
    const struct mu_sweep_master *m = &lead->master;
    const int own = mu_comm_name(lead->session->comm, mu_comm_rank(lead->session->comm));
    const struct mu_cell *c = &m->state.cell[trial];
    char run[MU_PATH_MAX];

    *host = mu_sweep_master_member(m, own)->host;
    if (c->host != UINT32_MAX && c->host != *host) {
        *host = c->host;
        return m->host[c->host].alive > 0 ? c->step : -1;
    }
    return mu_sweep_trial_path(run, lead->facts->path, m->stages.trials.item[trial].name) == MU_OK
               ? step_in_memory(segments, run)
               : -1;
}

static uint32_t mark(struct mu_sweep_lead *lead, const struct mu_segments *segments)
{
    struct mu_sweep_master *m = &lead->master;
    uint32_t marked = 0;

    for (uint32_t i = 0; i < m->known; i++) {
        uint32_t host;
        int64_t step;

        if (m->state.cell[i].phase != MU_CELL_READY)
            continue;
        step = look(lead, i, segments, &host);
        if (step <= 0 || mu_sweep_trial_has(lead->facts->path, m->stages.trials.item[i].name, step))
            continue;
        m->state.cell[i].host = host;
        m->side[i].must_save = m->is_changed = true;
        marked++;
    }
    return marked;
}

void mu_sweep_lead_look_for_unsaved(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_master *m = &lead->master;
    struct mu_segments segments;
    uint32_t marked;

    if (!m->stops || lead->makes_way || lead->has_looked || m->status != MU_OK ||
        m->waiting < m->state.ranks || m->news_count > 0)
        return;
    lead->has_looked = true;
    mu_segments_begin(&segments, lead->facts->path, true);
    mu_segments_hold(&segments);
    marked = mark(lead, &segments);
    mu_segments_end(&segments, false);
    if (marked > 0)
        mu_log(MU_LOG_INFO, "%" PRIu32 " trial%s, whose state is in memory alone, %s saved first",
               marked, marked == 1 ? "" : "s", marked == 1 ? "is" : "are");
}
