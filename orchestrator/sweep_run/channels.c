/* The master's end of everybody's line (line.h). What is due for a rank is kept as what it has to
 * know, not as messages, so that after a repair it is simply sent again where it still holds. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/sweep_run/lead.h"
#include "orchestrator/sweep_run/paths.h"

struct mu_sweep_channel {
    struct mu_request in, out;
    bool is_posted, is_sending;
    uint8_t in_bytes[MU_SWEEP_UP_BYTES];
    uint8_t *out_bytes; /* malloc'ed, while it is on its way */
    /* What is due, in this order. */
    uint64_t order, make_way; /* of these groups; 0: none */
    bool stop, end;
};

enum mu_status mu_sweep_channels_open(struct mu_sweep_lead *lead)
{
    lead->channel = calloc(lead->master.members, sizeof *lead->channel);
    return lead->channel ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the ranks' messages");
}

void mu_sweep_channels_close(struct mu_sweep_lead *lead)
{
    for (uint32_t i = 0; lead->channel && i < lead->master.members; i++)
        free(lead->channel[i].out_bytes);
    free(lead->channel);
    lead->channel = NULL;
}

void mu_sweep_channels_reset(struct mu_sweep_lead *lead)
{
    lead->is_broken = false;
    for (uint32_t i = 0; i < lead->master.members; i++) {
        struct mu_sweep_channel *c = &lead->channel[i];

        free(c->out_bytes);
        memset(c, 0, sizeof *c);
    }
    for (uint32_t i = 0; i < lead->master.groups; i++) {
        const struct mu_sweep_group *g = &lead->master.group[i];

        if (g->is_open && g->makes_way && !g->is_heard)
            mu_sweep_channels_make_way(lead, g->number);
    }
    if (lead->is_finished)
        mu_sweep_channels_end(lead);
    else if (lead->master.stops && !lead->makes_way)
        mu_sweep_channels_stop(lead);
}

void mu_sweep_channels_order(struct mu_sweep_lead *lead, uint64_t group)
{
    const struct mu_sweep_master *m = &lead->master;
    const uint32_t host = mu_sweep_master_group(m, group)->host;

    for (uint32_t i = 0; i < m->host[host].ranks; i++) {
        const struct mu_sweep_member *r = mu_sweep_master_rank(m, host, i);

        if (!r->lives || r->group != group)
            continue;
        lead->channel[r - m->member].order = group;
        lead->channel[r - m->member].stop = m->stops; /* it is begun to be saved */
    }
}

void mu_sweep_channels_make_way(struct mu_sweep_lead *lead, uint64_t group)
{
    const struct mu_sweep_member *leader =
        mu_sweep_master_member(&lead->master, mu_sweep_master_leader(&lead->master, group));

    if (leader)
        lead->channel[leader - lead->master.member].make_way = group;
}

void mu_sweep_channels_make_way_all(struct mu_sweep_lead *lead)
{
    for (uint32_t i = 0; i < lead->master.groups; i++) {
        struct mu_sweep_group *g = &lead->master.group[i];

        if (!g->is_open || g->is_heard)
            continue;
        g->makes_way = true;
        mu_sweep_channels_make_way(lead, g->number);
    }
}

void mu_sweep_channels_stop(struct mu_sweep_lead *lead)
{
    for (uint32_t i = 0; i < lead->master.members; i++)
        lead->channel[i].stop = lead->master.member[i].lives && lead->master.member[i].group != 0;
}

void mu_sweep_channels_end(struct mu_sweep_lead *lead)
{
    for (uint32_t i = 0; i < lead->master.members; i++)
        lead->channel[i].end = lead->master.member[i].lives;
}

/* ---- an order ---- */
static uint32_t count_branches(const struct mu_sweep_master *m, uint32_t trial)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->known; i++)
        count += m->state.cell[i].phase == MU_CELL_WAITS &&
                 mu_sweep_waits_for(&m->stages.trials, i) == trial;
    return count;
}

static enum mu_status list_branches(const struct mu_sweep_lead *lead, uint32_t trial,
                                    struct mu_trial_branch *branch)
{
    const struct mu_sweep_master *m = &lead->master;
    uint32_t n = 0;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < m->known && st == MU_OK; i++) {
        const struct mu_sweep_trial *t = &m->stages.trials.item[i];

        if (m->state.cell[i].phase != MU_CELL_WAITS ||
            mu_sweep_waits_for(&m->stages.trials, i) != trial)
            continue;
        branch[n].step = t->shared;
        st = mu_sweep_trial_path(branch[n++].run_path, lead->facts->path, t->name);
    }
    return st;
}

static uint8_t *make_order(const struct mu_sweep_lead *lead, uint64_t number, size_t *size)
{
    const struct mu_sweep_master *m = &lead->master;
    const struct mu_sweep_group *g = mu_sweep_master_group(m, number);
    const struct mu_sweep_trial *t = &m->stages.trials.item[g->trial];
    const uint32_t branches = count_branches(m, g->trial);
    struct mu_trial_branch *branch = calloc(branches + 1, sizeof *branch);
    int *names = calloc((size_t)g->size + 1, sizeof *names);
    struct mu_trial_order order = {.group = number,
                                   .trial = g->trial,
                                   .retries = (uint32_t)m->state.spec->retries,
                                   .names = names,
                                   .sweep_path = lead->facts->path,
                                   .branches = branch,
                                   .branch_count = branches};
    char path[MU_PATH_MAX], *config = NULL;
    uint8_t *bytes = NULL;
    enum mu_status st = branch && names ? MU_OK : MU_NO_MEMORY;

    for (uint32_t i = 0; names && i < m->host[g->host].ranks; i++) {
        const struct mu_sweep_member *r = mu_sweep_master_rank(m, g->host, i);

        if (r->lives && r->group == number)
            names[order.count++] = r->name;
    }
    if (st == MU_OK)
        st = mu_sweep_trial_path(path, lead->facts->path, t->name);
    if (st == MU_OK)
        st = mu_sweep_trial_config(t, lead->facts->path, &config);
    if (st == MU_OK)
        st = list_branches(lead, g->trial, branch);
    if (st == MU_OK) {
        order.config = config;
        order.run_path = path;
        bytes = mu_sweep_order_pack(&order, size);
    }
    free(config);
    free(names);
    free(branch);
    return bytes;
}

/* The next message that is due; NULL: none, or no memory. */
static uint8_t *next(struct mu_sweep_lead *lead, struct mu_sweep_channel *c, size_t *size)
{
    struct mu_sweep_down down = {0};
    uint8_t *bytes;

    if (c->order) {
        bytes = make_order(lead, c->order, size);
        if (!bytes)
            lead->master.status = MU_NO_MEMORY;
        c->order = 0;
        return bytes;
    }
    if (c->make_way) {
        down.kind = MU_SWEEP_SAY_MAKE_WAY;
        down.group = c->make_way;
        c->make_way = 0;
    } else if (c->stop) {
        down.kind = MU_SWEEP_SAY_STOP;
        c->stop = false;
    } else if (c->end) {
        down.kind = MU_SWEEP_SAY_END;
        down.over = lead->over;
        c->end = false;
    } else {
        return NULL;
    }
    bytes = malloc(MU_SWEEP_UP_BYTES);
    if (bytes)
        *size = mu_sweep_down_pack(&down, bytes);
    return bytes;
}

/* ---- messages ---- */
static bool test(struct mu_sweep_lead *lead, struct mu_request *request, size_t *size)
{
    bool done = false;

    lead->is_broken = mu_comm_test(lead->session->comm, request, &done, size) != MU_OK;
    return !lead->is_broken && done;
}

static void serve_own(struct mu_sweep_lead *lead, struct mu_sweep_channel *c, int name)
{
    struct mu_sweep_up up;
    uint8_t *bytes;
    size_t size;

    while (mu_sweep_line_take(lead->line, &up))
        mu_sweep_lead_hear(lead, name, &up);
    while ((bytes = next(lead, c, &size))) {
        mu_sweep_line_hear(lead->line, bytes, size);
        free(bytes);
    }
}

static void receive(struct mu_sweep_lead *lead, struct mu_sweep_channel *c, int name, int place)
{
    struct mu_sweep_up up;
    size_t size = 0;

    if (lead->is_broken)
        return;
    if (c->is_posted && test(lead, &c->in, &size)) {
        c->is_posted = false;
        if (mu_sweep_up_read(c->in_bytes, size, &up))
            mu_sweep_lead_hear(lead, name, &up);
        else
            mu_log(MU_LOG_WARN, "rank %d sent what cannot be read", name);
    }
    if (!c->is_posted && !lead->is_broken)
        c->is_posted = mu_comm_receive(lead->session->comm, c->in_bytes, sizeof c->in_bytes, place,
                                       MU_TAG_SWEEP, &c->in) == MU_OK;
}

static void send_due(struct mu_sweep_lead *lead, struct mu_sweep_channel *c, int place)
{
    size_t size;

    if (lead->is_broken)
        return;
    if (c->is_sending && test(lead, &c->out, NULL)) {
        c->is_sending = false;
        free(c->out_bytes);
        c->out_bytes = NULL;
    }
    if (c->is_sending || lead->is_broken)
        return;
    free(c->out_bytes); /* of a send that failed */
    c->out_bytes = next(lead, c, &size);
    if (c->out_bytes)
        c->is_sending = mu_comm_send(lead->session->comm, c->out_bytes, size, place, MU_TAG_SWEEP,
                                     &c->out) == MU_OK;
}

void mu_sweep_channels_serve(struct mu_sweep_lead *lead)
{
    const int own = mu_comm_rank(lead->session->comm), size = mu_comm_size(lead->session->comm);
    uint32_t i = 0;

    for (int place = 0; place < size; place++) {
        const int name = mu_comm_name(lead->session->comm, place);

        while (i < lead->master.members && lead->master.member[i].name < name)
            i++;
        if (i == lead->master.members)
            break;
        if (place == own) {
            serve_own(lead, &lead->channel[i], name);
        } else {
            receive(lead, &lead->channel[i], name, place);
            send_due(lead, &lead->channel[i], place);
        }
    }
}
