/* Which ranks begin or leave which trial: what mu_pack says, carried out on the ranks that are
 * free. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep_run/master.h"

/* A trial that is moved does not train for about so long: steps, segment, data are taken up. */
static const double move_seconds = 1;
/* More at the start of a large sweep, in the next decision: each is to take a millisecond at most. */
enum { MOST_AT_ONCE = 100 };
/* While nobody is free, speeds that are learned change little. */
static const double interval_seconds = 1;
/* Before anything is measured only ratios count. */
static const double guessed_flops = 2e9;

static double seconds_of(const struct mu_sweep_master *m, uint32_t trial, double steps)
{
    const struct mu_sweep_trial *t = &m->stages.trials.item[trial];
    const double step = mu_sweep_master_step_seconds(m, trial);

    return steps *
           (isnan(step) ? fmax(t->flops_per_token * t->tokens_per_step, 1) / guessed_flops : step);
}

static double steps_left(const struct mu_sweep_master *m, uint32_t trial)
{
    const struct mu_sweep_trial *t = &m->stages.trials.item[trial];
    const struct mu_cell *c = &m->state.cell[trial];
    const int64_t done = c->step > 0 || c->phase == MU_CELL_TRAINS ? c->step : t->shared;

    return (double)(t->settings.run_steps > done ? t->settings.run_steps - done : 0);
}

/* ---- beginning ---- */
static void begin(struct mu_sweep_master *m, uint32_t trial, struct mu_sweep_member *const *who,
                  uint32_t count)
{
    struct mu_sweep_group *g = mu_sweep_master_add_group(m, m->next_group, trial);

    if (!g)
        return;
    mu_sweep_master_unkeep(m, trial);
    for (uint32_t i = 0; i < count; i++)
        mu_sweep_master_join(m, who[i], g);
    mu_sweep_master_tell(m, (struct mu_sweep_news){
                                .kind = MU_SWEEP_NEWS_ASSIGN, .trial = trial, .group = g->number});
}

/* The trial's own ranks and those that wait for it, once all have let go. */
static void begin_moved(struct mu_sweep_master *m, uint32_t trial, struct mu_sweep_member **who)
{
    const struct mu_sweep_side *side = &m->side[trial];
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->host[side->kept_host].ranks; i++) {
        struct mu_sweep_member *r = mu_sweep_master_rank(m, side->kept_host, i);

        if (r->kept != trial)
            continue;
        if (!r->waits_there)
            return;
        who[count++] = r;
    }
    begin(m, trial, who, side->moves_to < count ? side->moves_to : count);
}

static void begin_all_moved(struct mu_sweep_master *m, struct mu_sweep_member **who)
{
    for (uint32_t i = 0; i < m->known; i++)
        if (m->side[i].kept > 0 && m->state.cell[i].phase == MU_CELL_READY)
            begin_moved(m, i, who);
}

static uint32_t find_free(struct mu_sweep_master *m, uint32_t host, uint32_t count,
                          struct mu_sweep_member **who)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < m->host[host].ranks && found < count; i++)
        if (mu_sweep_master_rank(m, host, i)->is_free_there)
            who[found++] = mu_sweep_master_rank(m, host, i);
    return found;
}

static void make_way(struct mu_sweep_master *m, uint32_t trial, uint32_t workers,
                     struct mu_sweep_member **who)
{
    struct mu_cell *c = &m->state.cell[trial];
    struct mu_sweep_group *g = mu_sweep_master_group(m, c->group);
    uint32_t extra = 0;

    if (!g || g->makes_way || workers == c->workers)
        return;
    if (workers > c->workers)
        extra = find_free(m, c->host, workers - c->workers, who);
    for (uint32_t i = 0; i < extra; i++)
        mu_sweep_master_keep(m, who[i], trial);
    for (uint32_t i = 0; i < m->host[g->host].ranks; i++)
        if (mu_sweep_master_rank(m, g->host, i)->group == g->number)
            mu_sweep_master_keep(m, mu_sweep_master_rank(m, g->host, i), trial);
    g->makes_way = true;
    m->side[trial].moves_to = workers;
    c->phase = MU_CELL_MOVES;
    mu_sweep_master_tell(
        m,
        (struct mu_sweep_news){.kind = MU_SWEEP_NEWS_MAKE_WAY, .trial = trial, .group = g->number});
}

/* ---- the problem ----
 * A trial that has crashed goes to one rank until it has made a step: what is wrong with it alone
 * then costs that rank at most. */
struct packing {
    struct mu_pack_problem problem;
    struct mu_pack_trial *trial;
    uint32_t *of; /* index in the sweep, by index in the problem */
    struct mu_pack_host *host;
    struct mu_pack_command *command;
    double *tail; /* by trial of the sweep */
    uint32_t free;
};

static void free_packing(struct packing *p)
{
    free(p->trial);
    free(p->of);
    free(p->host);
    free(p->command);
    free(p->tail);
}

static bool make_packing(const struct mu_sweep_master *m, struct packing *p)
{
    const size_t n = m->known + 1;

    *p = (struct packing){.trial = calloc(n, sizeof *p->trial),
                          .of = calloc(n, sizeof *p->of),
                          .host = calloc(m->hosts + 1, sizeof *p->host),
                          .command = calloc(n, sizeof *p->command),
                          .tail = calloc(n, sizeof *p->tail)};
    return p->trial && p->of && p->host && p->command && p->tail;
}

static void fill_hosts(const struct mu_sweep_master *m, struct packing *p)
{
    for (uint32_t h = 0; h < m->hosts; h++) {
        p->host[h] = (struct mu_pack_host){m->host[h].alive, m->host[h].free, INFINITY};
        p->free += m->host[h].free;
    }
}

/* What a trunk's branches take once it has come so far, beyond what it takes itself from here. */
static void fill_tails(const struct mu_sweep_master *m, struct packing *p)
{
    for (uint32_t i = 0; i < m->known; i++) {
        const uint32_t trunk = mu_sweep_waits_for(&m->stages.trials, i);
        const struct mu_sweep_trial *t = &m->stages.trials.item[i];
        double before, chain, own;

        if (m->state.cell[i].phase != MU_CELL_WAITS || trunk == MU_TRIAL_ALONE)
            continue;
        before = fmax((double)(t->shared - m->state.cell[trunk].step), 0);
        chain = seconds_of(m, trunk, before) + seconds_of(m, i, steps_left(m, i));
        own = seconds_of(m, trunk, steps_left(m, trunk));
        p->tail[trunk] = fmax(p->tail[trunk], chain - own);
    }
}

/* Who is to be trained when nothing else is. */
static bool is_put_off(const struct mu_sweep_master *m, uint32_t trial)
{
    if (!m->side[trial].is_alone || m->state.cell[trial].phase != MU_CELL_READY)
        return false;
    for (uint32_t i = 0; i < m->known; i++) {
        const enum mu_cell_phase phase = m->state.cell[i].phase;

        if (phase == MU_CELL_TRAINS || phase == MU_CELL_MOVES ||
            (phase == MU_CELL_READY && (!m->side[i].is_alone || i < trial)))
            return true;
    }
    return false;
}

static uint32_t most_workers(const struct mu_sweep_master *m, uint32_t trial)
{
    const uint32_t shards = (uint32_t)m->stages.trials.item[trial].settings.batch_shards,
                   fits_on = m->side[trial].fits_on;

    if (m->state.cell[trial].crashes > 0 || m->side[trial].is_alone)
        return 1;
    return fits_on > 0 && fits_on < shards ? fits_on : shards;
}

/* Whether anything is measured: before, only the ratios of seconds mean something. */
static bool is_heard(const struct mu_sweep_master *m)
{
    for (uint32_t k = 0; k < m->kinds; k++)
        if (m->kind[k].speed.heard > 0)
            return true;
    return false;
}

static void fill_trials(struct mu_sweep_master *m, struct packing *p)
{
    double all = 0;

    for (uint32_t i = 0; i < m->known; i++) {
        struct mu_cell *c = &m->state.cell[i];
        const uint32_t n = p->problem.trials;

        if (mu_cell_has_ended(c->phase) || c->phase == MU_CELL_ELSEWHERE)
            continue;
        all += seconds_of(m, i, steps_left(m, i));
        if (c->phase == MU_CELL_WAITS || is_put_off(m, i)) {
            p->problem.later++;
            continue;
        }
        if (c->phase == MU_CELL_READY && c->host != UINT32_MAX && p->host[c->host].workers == 0)
            c->host = UINT32_MAX; /* nobody can reach its state in memory */
        p->of[n] = i;
        p->trial[n] = (struct mu_pack_trial){
            .work = seconds_of(m, i, steps_left(m, i)),
            .tail = p->tail[i],
            .serial = m->kind[m->side[i].kind].speed.serial,
            .most = most_workers(m, i),
            .least = 1,
            .workers = c->workers,
            .host = c->host,
            .moving = c->phase == MU_CELL_MOVES || m->side[i].kept > 0,
        };
        p->problem.trials++;
    }
    m->state.eta = m->state.ranks > 0 && is_heard(m) ? all / m->state.ranks : NAN;
    p->problem.later += !m->stages.complete;
}

static void carry_out(struct mu_sweep_master *m, const struct packing *p, uint32_t count,
                      struct mu_sweep_member **who)
{
    for (uint32_t i = 0; i < count && i < MOST_AT_ONCE; i++) {
        const struct mu_pack_command *c = &p->command[i];
        const uint32_t trial = p->of[c->trial];
        uint32_t found;

        if (m->state.cell[trial].phase == MU_CELL_TRAINS) {
            make_way(m, trial, c->workers, who);
        } else if (m->state.cell[trial].phase == MU_CELL_READY) {
            found = find_free(m, c->host, c->workers, who);
            if (found > 0)
                begin(m, trial, who, found);
        }
    }
    m->is_changed = m->is_changed || count > MOST_AT_ONCE;
}

/* All wait, and nothing that is left fits anywhere. */
static void give_up(struct mu_sweep_master *m)
{
    for (uint32_t i = 0; i < m->known; i++)
        if (m->state.cell[i].phase == MU_CELL_READY)
            mu_sweep_master_end(m, i, 0, MU_CELL_FAILED, "it fits on no host that is left");
}

static void pack(struct mu_sweep_master *m, struct mu_sweep_member **who)
{
    struct packing p;
    uint32_t count = 0;

    if (!make_packing(m, &p)) {
        m->status = MU_FAIL(MU_NO_MEMORY, "no memory to pack %u trials", m->known);
        free_packing(&p);
        return;
    }
    fill_hosts(m, &p);
    if (p.free > 0 || m->state.now - m->decided >= interval_seconds) {
        fill_tails(m, &p);
        fill_trials(m, &p);
        p.problem.trial = p.trial;
        p.problem.host = p.host;
        p.problem.hosts = m->hosts;
        p.problem.move_cost = move_seconds;
        m->status = mu_pack(&p.problem, p.command, &count);
        m->decided = m->state.now;
        m->is_changed = false;
        if (m->status == MU_OK)
            carry_out(m, &p, count, who);
        if (m->status == MU_OK && count == 0 && p.problem.trials > 0 && p.free == m->state.ranks)
            give_up(m);
    }
    free_packing(&p);
}

/* ---- a stop ---- */
/* One rank each: it takes the state up, hears of the stop, and saves. */
static void begin_to_save(struct mu_sweep_master *m, struct mu_sweep_member **who)
{
    for (uint32_t i = 0; i < m->known; i++)
        mu_sweep_master_unkeep(m, i);
    for (uint32_t i = 0; i < m->known; i++) {
        const struct mu_cell *c = &m->state.cell[i];

        if (!m->side[i].must_save || (c->phase == MU_CELL_READY && c->host != UINT32_MAX &&
                                      find_free(m, c->host, 1, who) == 0))
            continue;
        m->side[i].must_save = false;
        if (c->phase == MU_CELL_READY && c->host != UINT32_MAX)
            begin(m, i, who, 1);
    }
    m->is_changed = false;
}

static bool must_save(const struct mu_sweep_master *m)
{
    for (uint32_t i = 0; i < m->known; i++)
        if (m->side[i].must_save)
            return true;
    return false;
}

void mu_sweep_master_decide(struct mu_sweep_master *m)
{
    struct mu_sweep_member **who;

    if (m->status != MU_OK || !m->is_changed || (m->stops && !must_save(m)))
        return;
    who = calloc(m->members + 1, sizeof(struct mu_sweep_member *));
    if (!who) {
        m->status = MU_FAIL(MU_NO_MEMORY, "no memory for %u ranks", m->members);
        return;
    }
    if (m->stops) {
        begin_to_save(m, who);
    } else {
        begin_all_moved(m, who);
        pack(m, who);
    }
    free(who);
}

static bool is_own_work_done(const struct mu_sweep_master *m, bool *is_all_done)
{
    *is_all_done = true;
    for (uint32_t i = 0; i < m->known; i++) {
        if (m->state.cell[i].phase == MU_CELL_ELSEWHERE)
            *is_all_done = false;
        else if (!mu_cell_has_ended(m->state.cell[i].phase))
            return false;
    }
    return !m->has_results;
}

bool mu_sweep_master_is_done(const struct mu_sweep_master *m)
{
    bool is_all_done;

    return is_own_work_done(m, &is_all_done) && (is_all_done || m->stages.complete);
}

static bool is_quiet(const struct mu_sweep_master *m)
{
    return m->waiting == m->state.ranks && m->news_count == 0;
}

bool mu_sweep_master_is_over(const struct mu_sweep_master *m)
{
    if (!is_quiet(m))
        return false;
    if (m->stops || m->status != MU_OK)
        return m->status != MU_OK || !must_save(m);
    return mu_sweep_master_is_done(m);
}

bool mu_sweep_master_waits(const struct mu_sweep_master *m)
{
    bool is_all_done;

    return is_quiet(m) && m->status == MU_OK && !m->stops && is_own_work_done(m, &is_all_done) &&
           !is_all_done && !m->stages.complete;
}
