/* The order in which a launch is safe: signals are caught, the run is held, whatever an earlier
 * launcher left is fenced, and only then a generation starts; the next one only when nothing of the
 * last one lives. */
#include "orchestrator/launch/launch.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/cores.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"
#include "orchestrator/launch/resize.h"
#include "orchestrator/run/run_dir.h"

enum { FENCE_MS = 10000 };

static const double relaunch_guess_s = 3; /* until one was measured */

/* ---- before the first generation ---- */
static enum mu_status find_run(struct mu_launch *l)
{
    char *plain, control[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(l->run, "%s", l->request->folder), st, failed);
    MU_TRY(mu_path_format(control, "%s/control", l->run), st, failed);
    MU_TRY(mu_file_make_folders(control), st, failed);
    plain = realpath(l->run, NULL); /* names the segments */
    if (!plain)
        return MU_FAIL(MU_FAILED, "cannot find %s: %s", l->run, strerror(errno));
    st = mu_path_format(l->run, "%s", plain);
    free(plain);
failed:
    return st;
}

static enum mu_status catch_signals(struct mu_launch *l)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction now;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &now) != 0 || now.sa_handler != SIG_IGN ||
            numbers[i] != SIGHUP) /* nohup: to be ignored */
            sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed terminal is an error of write, not a death */
    l->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return l->signals >= 0 ? MU_OK
                           : MU_FAIL(MU_FAILED, "cannot catch signals: %s", strerror(errno));
}

/* What the last launcher of this run left on this machine, dead or alive. */
static enum mu_status fence(const struct mu_lease_record *before)
{
    char machine[256];
    enum mu_status st = MU_OK;

    mu_hold_machine(machine);
    if (!before->job[0] || strcmp(before->host, machine) != 0)
        return MU_OK;
    mu_log(MU_LOG_INFO,
           "taking over from a launcher that was killed (pid %" PRId64
           "): ending what is left of its ranks",
           before->pid);
    st = mu_ranks_fence(before->job, (pid_t)before->mpirun, before->mpirun_start, FENCE_MS);
    if (st == MU_OK) {
        mu_remains_remove_mpi_files(before->mpi_files);
        mu_remains_remove_folder(before->folder);
    }
    return st;
}

/* The bar of the ranks stands in the last line; they draw it again. */
static void take_bar_away(void *context, int begin)
{
    static const char clear_line[] = "\r\033[K";

    (void)context;
    if (begin && write(STDERR_FILENO, clear_line, sizeof clear_line - 1) < 0) {
        /* nobody watches */
    }
}

static bool wants_to_give_up(void *context)
{
    return mu_launch_take_signals(context);
}

static enum mu_status begin(struct mu_launch *l)
{
    const struct mu_launch_request *r = l->request;
    const char *term = getenv("TERM");
    struct mu_lease_record before;
    struct mu_outcome o;
    enum mu_status st;

    l->relaunch_s = relaunch_guess_s;
    l->with_bar = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    if (l->with_bar)
        mu_log_set_guard(take_bar_away, NULL);
    l->ladder = mu_ladder_begin(r->ranks > 0 ? (uint32_t)r->ranks : (uint32_t)mu_cores_usable(),
                                r->most_restarts, 0);
    l->ladder.most_still = r->most_still;
    l->ladder.cool_off_ms = 1000 * (uint64_t)r->cool_off_s;
    MU_TRY(mu_launch_read_hosts(l), st, failed);
    MU_TRY(find_run(l), st, failed);
    MU_TRY(catch_signals(l), st, failed);
    MU_TRY(mu_hold_take(l->run, wants_to_give_up, l, &before, &l->hold), st, failed);
    MU_TRY(fence(&before), st, failed);
    mu_resize_clear(l->run); /* asked of an earlier launcher, and so are: */
    mu_requests_drop(l->run);
    if (l->is_sweep)
        mu_run_dir_unask(l->run, MU_REQUEST_STOP_FILE);
    mu_segments_begin(&l->segments, l->run, l->is_sweep);
    o = mu_outcome_read(l->run, "");
    l->step = mu_launch_look_for_steps(l, o.step);
    l->ladder.best_step = l->step > 0 ? l->step : 0;
failed:
    return st;
}

/* ---- a generation ---- */
/* Whether the environment's faults are for this one: the first only, unless it is told
 * otherwise. */
static bool has_faults(int number)
{
    const char *last = getenv("MUSTER_FAULT_GENERATIONS");

    return number <= (last ? atoi(last) : 1);
}

/* "a:4,b:4"; malloc'ed, NULL: this machine. */
static char *host_words(const struct mu_launch *l, const struct mu_ladder_plan *plan)
{
    char *out = NULL;
    size_t size = 0;
    FILE *f;

    if (l->ladder.hosts == 0)
        return NULL;
    f = open_memstream(&out, &size);
    if (!f)
        return NULL;
    for (uint32_t i = 0, n = 0; i < l->ladder.hosts; i++)
        if (plan->use[i])
            fprintf(f, "%s%s:%u", n++ ? "," : "", l->ladder.host[i].name, l->ladder.host[i].slots);
    fclose(f);
    return out;
}

bool mu_launch_is_abroad(const struct mu_launch *l, const struct mu_ladder_plan *plan)
{
    for (uint32_t i = 0; i < l->ladder.hosts; i++)
        if (plan->use[i] && !mu_host_is_here(l->ladder.host[i].name))
            return true;
    return false;
}

static enum mu_status start(struct mu_launch *l, const struct mu_ladder_plan *plan)
{
    const struct mu_launch_request *r = l->request;
    char *hosts = host_words(l, plan);
    struct mu_mpirun_request request = {
        .mpirun = r->mpirun,
        .extra = r->mpirun_args,
        .hosts = hosts,
        .words = r->words,
        .word_count = r->word_count,
        .lease = mu_hold_is_shared(l->hold) || r->by_srun || mu_launch_is_abroad(l, plan)
                     ? mu_hold_path(l->hold)
                     : NULL,
        .by_slurm = mu_launch_is_by_slurm(r),
        .by_srun = r->by_srun,
        .time_limit_s = mu_launch_time_limit(l),
        .with_faults = has_faults(l->generations + 1),
        .with_bar = l->with_bar,
    };
    struct mu_lease_record lease;
    enum mu_status st;

    l->now = (struct mu_generation){.number = ++l->generations,
                                    .ranks_wanted = plan->ranks,
                                    .hosts = plan->hosts,
                                    .is_abroad = mu_launch_is_abroad(l, plan)};
    l->plan = *plan;
    l->wish = l->is_unsaved && l->wish == MU_WISH_STOP ? MU_WISH_STOP : MU_WISH_GO_ON;
    l->was_asked_to_make_way = false;
    l->pace_dead = 0;
    l->wish_ns = l->pace_ns = l->moved_ns = 0;
    l->start_hung = l->stalled = l->host_silent = l->lease_lost = false;
    MU_TRY(mu_generation_prepare(&l->now), st, done);
    lease = mu_generation_describe(&l->now);
    mu_hold_describe(l->hold, &lease); /* before there is anything to clear */
    mu_heartbeats_close(&l->beats);
    if (l->now.is_abroad) {
        mu_heartbeats_open(&l->beats, l->now.job, plan->ranks);
        request.heartbeat = l->beats.where;
    }
    MU_TRY(mu_generation_start(&l->now, &request), st, done);
    lease = mu_generation_describe(&l->now);
    mu_hold_describe(l->hold, &lease);
done:
    free(hosts);
    return st;
}

static void look_at_memory(struct mu_launch *l)
{
    l->memory_step = -1;
    l->memory_trials = 0;
    for (int i = 0; i < l->segments.count; i++) {
        uint32_t trial;
        const int64_t step = mu_segments_step(&l->segments, i, &trial);

        l->memory_step = step > l->memory_step ? step : l->memory_step;
        l->memory_trials += step > 0;
    }
}

static struct mu_ladder_end describe_end(struct mu_launch *l)
{
    const struct mu_generation *g = &l->now;
    struct mu_outcome o = mu_outcome_read(l->run, g->job);
    int64_t step = mu_launch_look_for_steps(l, o.is_of_job ? o.step : -1);

    look_at_memory(l);
    l->is_unsaved = ((l->was_asked_to_make_way && o.outcome == MU_LADDER_REQUEUE) ||
                     (l->is_unsaved && !g->is_training)) &&
                    !l->is_sweep && l->memory_step > mu_outcome_saved(l->run);
    l->was_told_to_stop = o.was_stopped;
    memcpy(l->waits_for, o.waits_for, sizeof l->waits_for);
    l->has_stopped = o.outcome == MU_LADDER_REQUEUE && !l->was_asked_to_make_way;
    l->step = step > l->step ? step : l->step;
    return (struct mu_ladder_end){
        .outcome = o.outcome,
        .agreed = o.agreed,
        .wish = o.was_stopped ? MU_WISH_STOP : l->wish, /* also while it was to change */
        .mpirun_signal = g->was_ended_here ? 0 : g->signal,
        .exit_code = g->was_ended_here ? -1 : g->exit_code,
        .seen = g->view.seen,
        .deaths = g->view.dead,
        .is_abroad = g->is_abroad,
        .has_started = g->has_started || o.is_of_job,
        .start_hung = l->start_hung,
        .stalled = l->stalled,
        .host_silent = l->host_silent,
        .lease_lost = l->lease_lost,
        .step = step,
    };
}

/* One generation from start to its clean end. */
static enum mu_status live(struct mu_launch *l, const struct mu_ladder_plan *plan,
                           struct mu_ladder_next *next)
{
    enum mu_status st = start(l, plan), cleared;
    struct mu_lease_record nothing = {.pid = 0};
    struct mu_ladder_end end;
    uint64_t lease_ms = 0;

    if (st == MU_OK)
        mu_launch_watch(l);
    cleared = mu_generation_clear(&l->now);
    if (l->was_asked_to_make_way)
        mu_relaunch_clear(l->run);
    if (cleared == MU_OK)
        mu_hold_describe(l->hold, &nothing);
    l->over_ns = mu_clock_ns();
    if (st != MU_OK || cleared != MU_OK)
        return st != MU_OK ? st : cleared;
    if (l->generations > 1 && l->now.is_training) {
        l->relaunch_s = 1e-9 * (double)(l->now.training_ns - l->ended_ns);
        l->lost_ns += l->now.training_ns - l->ended_ns;
    }
    l->ended_ns = l->now.end_ns;
    end = describe_end(l);
    *next = mu_ladder_after(&l->ladder, &end);
    l->count[next->cause]++;
    mu_launch_note_story(l, next, &end);
    if (l->now.is_abroad && next->relaunch && next->cause != MU_CAUSE_CHANGED)
        lease_ms = mu_launch_judge_hosts(l, next->cause);
    next->pause_ms = next->pause_ms > lease_ms ? next->pause_ms : lease_ms;
    return MU_OK;
}

/* ---- all of them ---- */
static void wait_for(struct mu_launch *l, uint64_t ms)
{
    struct mu_deadline end = mu_deadline_in_ms(ms);

    while (!mu_launch_take_signals(l) && !mu_deadline_passed(end))
        mu_launch_pause(l, (end.at_ns - mu_clock_ns()) / 1000000u + 1);
}

/* A launcher that was stopped for some time may find that nobody took the run: it needs a moment to
 * renew its lease. */
static bool holds_still(const struct mu_launch *l)
{
    struct mu_deadline end = mu_deadline_in_ms(3 * MU_LEASE_RENEW_MS);

    while (!mu_hold_is_good(l->hold) && !mu_deadline_passed(end))
        mu_clock_sleep_us(20000);
    return mu_hold_is_good(l->hold);
}

/* The ranks had left the state in memory when the wish to stop came: others are started to save
 * it. */
static bool must_save(const struct mu_launch *l, const struct mu_ladder_next *next)
{
    return next->cause == MU_CAUSE_STOPPED && l->was_asked_to_make_way && l->is_unsaved;
}

static enum mu_status run(struct mu_launch *l)
{
    struct mu_ladder_plan plan = mu_launch_plan(l);
    struct mu_ladder_next next = {.relaunch = true};
    enum mu_status st;

    for (;;) {
        if (mu_launch_take_signals(l) && !l->is_unsaved)
            return MU_REQUEUE; /* nothing runs */
        if (l->generations > 0 && l->request->allocation)
            mu_slurm_allocation_ask_again(l->request->allocation);
        MU_TRY(live(l, &plan, &next), st, failed);
        if (l->fatal)
            return MU_REQUEUE;
        if (!next.relaunch && !must_save(l, &next)) {
            if (next.no_progress || next.no_restart_left)
                mu_launch_tell_diagnosis(l, &next);
            return next.status;
        }
        if (!holds_still(l))
            return MU_FAIL(MU_FAILED,
                           "this launcher has lost the %s to another one, which goes on with it: "
                           "nothing is to be done here (%s says which one)",
                           mu_launch_word(l), mu_hold_path(l->hold));
        plan = mu_launch_plan(l);
        mu_launch_tell_relaunch(l, &plan, next.pause_ms + plan.pause_ms);
        wait_for(l, next.pause_ms + plan.pause_ms);
        plan = mu_launch_plan(l);
    }
failed:
    return st;
}

enum mu_status mu_launch_run(const struct mu_launch_request *request)
{
    struct mu_launch *l = calloc(1, sizeof *l);
    bool is_over;
    int fatal;
    enum mu_status st;

    if (!l)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a launch");
    l->request = request;
    l->is_sweep = request->is_sweep;
    l->now.pidfd = l->signals = -1;
    l->waits_for[0] = -1;
    l->step = l->steps = -1;
    l->left_s = NAN;
    MU_TRY(begin(l), st, done);
    st = run(l);
    /* Ranks of a sweep that stop cannot remove what is held here. What they have left for others,
     * when the wish to stop came, the same command takes up. */
    is_over = st != MU_REQUEUE || (l->is_sweep && l->has_stopped);
    if (is_over && st == MU_REQUEUE && l->memory_trials > 0)
        mu_log(
            MU_LOG_WARN,
            "%d trial%s waited for ranks, the state in memory alone: what was computed since the "
            "checkpoint is computed again",
            l->memory_trials, l->memory_trials == 1 ? "" : "s");
    mu_segments_end(&l->segments, is_over && mu_hold_is_good(l->hold));
    mu_launch_tell_end(l, st);
done:
    mu_log_set_guard(NULL, NULL);
    mu_hold_release(l->hold);
    mu_slurm_guard_end(&l->guard);
    if (l->signals >= 0)
        close(l->signals);
    if (st == MU_REQUEUE && request->requeue && request->allocation && !l->fatal &&
        !l->was_told_to_stop && mu_slurm_brings(request->allocation, l->waits_for))
        mu_slurm_requeue(request->allocation);
    fatal = l->fatal;
    mu_heartbeats_close(&l->beats);
    mu_trials_deinit(&l->trials);
    free(l);
    if (fatal) { /* as if it had never been caught */
        sigset_t set;

        signal(fatal, SIG_DFL);
        raise(fatal);
        sigemptyset(&set);
        sigaddset(&set, fatal);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return st;
}
