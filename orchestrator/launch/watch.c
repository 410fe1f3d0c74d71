/* One thread looks at everything in turn: signals and mpirun's end wake it at once, the rest is
 * looked at 50 times a second during a start and 10 times later; files twice a second. */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/core/recovery.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"
#include "orchestrator/launch/resize.h"
#include "orchestrator/run/run_dir.h"

enum {
    START_LOOK_MS = 20,
    LOOK_MS = 100,
    FILES_MS = 500,
    STEP_MS = 500,     /* for an srun without ranks here to end */
    NEWS_MS = 1500,    /* for ranks to tell of a death during the start, and to leave */
    NOBODY_MS = 15000, /* for an mpirun without ranks to end */
    STOP_MS = 3600000, /* for ranks to save and stop */
    /* A sweep's work is dealt to any number of ranks alike. */
    SWEEP_SHARDS = 1 << 20,
};

static bool is_past(uint64_t since_ns, uint64_t ms)
{
    return since_ns != 0 && mu_clock_ns() - since_ns >= ms * 1000000u;
}

bool mu_launch_take_signals(struct mu_launch *l)
{
    struct signalfd_siginfo s;

    while (read(l->signals, &s, sizeof s) == (ssize_t)sizeof s) {
        int number = (int)s.ssi_signo;

        if (number == SIGUSR2) {
            if (l->now.has_started)
                mu_generation_signal(&l->now, SIGUSR2);
        } else if (l->wish != MU_WISH_STOP) {
            l->wish = MU_WISH_STOP;
            l->wish_ns = 0;
        } else if (number == SIGTERM || number == SIGINT) {
            l->fatal = number;
        }
    }
    return l->wish == MU_WISH_STOP;
}

void mu_launch_pause(struct mu_launch *l, uint64_t ms)
{
    struct pollfd p[2] = {{.fd = l->signals, .events = POLLIN},
                          {.fd = l->now.pidfd, .events = POLLIN}};

    poll(p, l->now.pidfd >= 0 ? 2 : 1, (int)(ms < 60000 ? ms : 60000));
}

/* For another generation on this machine alone, the ranks need not save. */
static bool ask_to_make_way(struct mu_launch *l)
{
    struct mu_ladder_plan plan = mu_launch_plan(l);

    if (l->wish != MU_WISH_CHANGE || l->now.is_abroad || mu_launch_is_abroad(l, &plan) ||
        mu_relaunch_ask(l->run) != MU_OK)
        return false;
    l->was_asked_to_make_way = true;
    return true;
}

/* The ranks save and leave at the next step boundary; before they train there is nothing to save,
 * but for what a generation has left in memory. */
static void ask_to_stop(struct mu_launch *l)
{
    if (l->wish_ns != 0 || (l->is_unsaved && !l->now.is_training))
        return;
    l->wish_ns = mu_clock_ns();
    if (!l->now.has_started) {
        mu_generation_end(&l->now, false);
        return;
    }
    if (ask_to_make_way(l))
        return;
    mu_log(MU_LOG_INFO, "asking %u rank%s to save and stop", l->now.ranks_wanted,
           l->now.ranks_wanted == 1 ? "" : "s");
    mu_generation_signal(&l->now, SIGUSR1);
}

const char *mu_launch_word(const struct mu_launch *l)
{
    return l->is_sweep ? "sweep" : "run";
}

int64_t mu_launch_look_for_steps(struct mu_launch *l, int64_t told)
{
    int64_t held = mu_segments_hold(&l->segments);

    if (l->is_sweep)
        return mu_trials_look(&l->trials, l->run, &l->segments);
    return told > held ? told : held;
}

static void measure(struct mu_launch *l)
{
    struct mu_outcome o = mu_outcome_read(l->run, l->now.job);
    int64_t step = mu_launch_look_for_steps(l, o.is_of_job ? o.step : -1);
    uint64_t now_ns = mu_clock_ns(), signs = o.signs ^ l->now.view.marks ^ ((uint64_t)step << 32);

    if (l->moved_ns == 0 || signs != l->signs) {
        l->signs = signs;
        l->moved_ns = now_ns;
    }
    if (o.is_there)
        l->steps = o.steps;
    l->left_s = o.left_s;
    if (mu_launch_is_out_of_time(l) && l->wish == MU_WISH_GO_ON) {
        mu_log(MU_LOG_INFO, "the time of the allocation ends: stopping the sweep");
        l->wish = MU_WISH_STOP;
        l->wish_ns = 0;
    }
    if (step > l->step)
        l->step = step;
    if (!o.is_running)
        return;
    if (l->pace_ns == 0 || step < l->pace_step || l->pace_dead != l->now.view.dead) {
        l->pace_ns = now_ns;
        l->pace_step = step;
        l->pace_dead = l->now.view.dead;
    } else if (step > l->pace_step) {
        l->step_s = 1e-9 * (double)(now_ns - l->pace_ns) / (double)(step - l->pace_step);
        mu_launch_forecast(l);
    }
}

enum mu_status mu_launch_read_hosts(struct mu_launch *l)
{
    static struct mu_ladder_host host[MU_LADDER_HOSTS];
    const struct mu_launch_request *r = l->request;
    struct stat file;
    uint32_t count = 0;
    enum mu_status st = MU_OK;

    if (r->hostfile) {
        if (stat(r->hostfile, &file) == 0)
            l->hosts_changed = file.st_mtim;
        MU_TRY(mu_hosts_read_file(r->hostfile, host, &count), st, failed);
    } else if (r->hosts) {
        MU_TRY(mu_hosts_parse_list(r->hosts, host, &count), st, failed);
    } else if (r->allocation) {
        count = r->allocation->hosts;
        memcpy(host, r->allocation->host, count * sizeof *host);
    }
    mu_ladder_set_hosts(&l->ladder, host, count);
    if (count > 0 && r->ranks == 0)
        l->ladder.wanted = mu_hosts_slots(host, count);
failed:
    return st;
}

static void look_at_hostfile(struct mu_launch *l)
{
    struct stat file;

    if (!l->request->hostfile || stat(l->request->hostfile, &file) != 0 ||
        (file.st_mtim.tv_sec == l->hosts_changed.tv_sec &&
         file.st_mtim.tv_nsec == l->hosts_changed.tv_nsec))
        return;
    if (mu_launch_read_hosts(l) == MU_OK)
        mu_log(MU_LOG_INFO, "the host file %s has changed: %u host%s", l->request->hostfile,
               l->ladder.hosts, l->ladder.hosts == 1 ? "" : "s");
    else
        mu_log(MU_LOG_WARN, "the host file has changed and cannot be used: going on as before");
}

/* Of the run as it stands: for whether more ranks pay. */
static void read_shards(struct mu_launch *l)
{
    struct mu_settings *s = malloc(sizeof *s);
    char *text = NULL;

    if (s && mu_run_dir_read_config(l->run, &text) == MU_OK &&
        mu_config_parse_text(text, strlen(text), "config.cfg of the run directory", s) == MU_OK &&
        s->batch_shards > 0) {
        l->shards = (uint32_t)s->batch_shards;
        l->spares = (uint32_t)s->run_spares;
        l->dedicated = s->run_master == MU_MASTER_DEDICATED;
    }
    free(text);
    free(s);
}

/* How many ranks there are to count on: fewer than were started, when some have died and the others
 * went on without them for some time. */
static uint32_t ranks_at_work(const struct mu_launch *l)
{
    const struct mu_generation *g = &l->now;

    return is_past(g->thinned_ns, mu_ladder_patience_ms(&l->ladder, mu_clock_ns()))
               ? g->ranks_wanted - g->view.dead
               : g->ranks_wanted;
}

/* How many of so many compute. While spares are left they take the places of the dead. */
static uint32_t workers_of(const struct mu_launch *l, uint32_t ranks)
{
    return mu_recovery_crew(ranks, l->spares, l->shards, l->dedicated).count;
}

/* What a relaunch by that plan would bring. */
static struct mu_ladder_gain expect(const struct mu_launch *l, const struct mu_ladder_plan *plan)
{
    uint32_t at_work = ranks_at_work(l), workers = workers_of(l, l->now.ranks_wanted);
    int64_t seconds_left = l->left_s > 0 ? (int64_t)fmin(l->left_s, 1e12) : 0;

    return (struct mu_ladder_gain){
        .steps_left = l->is_sweep ? seconds_left : l->steps - l->step,
        .step_s = l->is_sweep ? 1 : l->step_s,
        .relaunch_s = l->relaunch_s,
        .ranks_now = workers < at_work ? workers : at_work,
        .ranks_then = workers_of(l, plan->ranks),
        .shards = l->shards,
    };
}

/* A planned relaunch: because it was asked for, or since there is room for more ranks and enough
 * left to do. */
static void look_for_change(struct mu_launch *l)
{
    uint32_t asked = mu_resize_read(l->run);
    struct mu_ladder_plan plan;
    struct mu_ladder_gain gain;

    look_at_hostfile(l);
    if (asked > 0) {
        mu_resize_clear(l->run);
        l->resize_to = asked;
    }
    if (!l->now.is_training || l->wish != MU_WISH_GO_ON)
        return;
    if (l->resize_to > 0 && l->resize_to == ranks_at_work(l)) {
        mu_log(MU_LOG_INFO, "this %s has %u ranks already", mu_launch_word(l), l->resize_to);
        l->resize_to = 0;
    }
    if (l->shards == 0 && l->is_sweep)
        l->shards = SWEEP_SHARDS;
    if (l->shards == 0)
        read_shards(l);
    plan = mu_launch_plan(l);
    gain = expect(l, &plan);
    if (l->resize_to == 0 && !mu_ladder_pays(&gain))
        return;
    if (l->resize_to > 0) {
        l->ladder.wanted = l->resize_to;
        l->resize_to = 0;
    } else if (ranks_at_work(l) < l->now.ranks_wanted) {
        mu_ladder_replenish(&l->ladder, mu_clock_ns());
        mu_log(MU_LOG_INFO, "%u of %u ranks have died: making room for new ones", l->now.view.dead,
               l->now.ranks_wanted);
    }
    l->wish = MU_WISH_CHANGE;
    l->wish_ns = 0;
}

/* Reasons for the launcher to end the generation. */
static void look_for_trouble(struct mu_launch *l)
{
    struct mu_generation *g = &l->now;

    if (!mu_hold_is_good(l->hold)) {
        l->lease_lost = true;
        mu_log(MU_LOG_ERROR,
               "the lock of this %s could not be renewed for %d s (%s): ending the ranks, since "
               "another launcher may take it over soon",
               mu_launch_word(l), MU_LEASE_END_MS / 1000, mu_hold_path(l->hold));
        mu_generation_end(g, true);
    } else if (!g->has_started &&
               is_past(g->start_ns, (uint64_t)l->request->start_deadline_s * 1000)) {
        l->start_hung = true;
        mu_generation_end(g, false);
    } else if (g->has_started && l->request->stall_deadline_s > 0 &&
               is_past(l->moved_ns, (uint64_t)l->request->stall_deadline_s * 1000)) {
        l->stalled = true;
        mu_generation_end(g, false);
    } else if (mu_launch_has_silent_host(l)) {
        l->host_silent = true;
        mu_generation_end(g, true); /* mpirun would wait for it */
    } else if (g->by_srun && g->view.dead > 0 && is_past(g->nobody_ns, STEP_MS)) {
        mu_generation_end(g, true); /* srun would wait for a dead node, some seconds */
    } else if ((!g->has_started && is_past(g->death_ns, NEWS_MS)) ||
               (!g->is_abroad && is_past(g->nobody_ns, NOBODY_MS)) ||
               (l->wish != MU_WISH_GO_ON && is_past(l->wish_ns, STOP_MS))) {
        mu_generation_end(g, false);
    }
}

static void look_again(struct mu_launch *l)
{
    bool was_training = l->now.is_training, knew_files = l->now.mpi_files[0];

    mu_generation_look(&l->now, l->run);
    mu_heartbeats_look(&l->beats);
    if (l->now.is_training && !was_training)
        mu_launch_tell_training(l);
    if (l->now.mpi_files[0] && !knew_files) {
        struct mu_lease_record r = mu_generation_describe(&l->now);

        mu_hold_describe(l->hold, &r);
    }
}

void mu_launch_watch(struct mu_launch *l)
{
    struct mu_deadline files = mu_deadline_in_ms(FILES_MS);

    for (;;) {
        look_again(l);
        if (l->now.has_ended)
            return;
        if (mu_deadline_passed(files)) {
            measure(l);
            look_for_change(l);
            if (l->now.is_abroad && mu_launch_is_by_slurm(l->request))
                mu_slurm_guard_keep(&l->guard, l->request->allocation, l->plan.use,
                                    mu_hold_path(l->hold), l->request->requeue);
            files = mu_deadline_in_ms(FILES_MS);
        }
        mu_launch_take_signals(l);
        if (l->fatal)
            mu_generation_end(&l->now, true);
        else if (l->wish != MU_WISH_GO_ON)
            ask_to_stop(l);
        look_for_trouble(l);
        if (!l->now.has_ended)
            mu_launch_pause(l, l->now.is_training ? LOOK_MS : START_LOOK_MS);
    }
}
