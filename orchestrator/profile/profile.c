#include "orchestrator/profile/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/session.h"
#include "orchestrator/master/trial_job.h"
#include "orchestrator/profile/found.h"
#include "worker/segment.h"
#include "worker/workload.h"

extern char **environ;

enum { CONFIG_TEXT_MAX = 1 << 18, ROUND_DEADLINE_MS = 600000, REPAIR_DEADLINE_MS = 60000 };

/* What a rank has of it. */
struct profile {
    struct mu_session session;
    const struct mu_profile_request *request;
    bool is_master;
    struct mu_timed_plan plan;
    struct mu_timed *timed;
    struct mu_settings settings;
    char scratch[MU_PATH_MAX]; /* the master's folder; a name that all know. "": there is none */
    char text[CONFIG_TEXT_MAX];
    struct mu_profile_found found;
};

/* ---- before anything is made: the master's ---- */
/* The loop is the run's own, but for what comes now and then and is no part of a step. The schedule
 * stays the run's. */
static void make_short(struct mu_settings *s, int64_t steps)
{
    s->run_steps = s->run_steps > steps ? s->run_steps : steps;
    s->eval_every = s->checkpoint_every = s->checkpoint_keep_every = 0;
    s->run_time_limit = s->device_snapshot_every = 0;
}

static enum mu_status check_trace_path(const char *path)
{
    char folder[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    if (!path)
        return MU_OK;
    MU_TRY(mu_path_format(folder, "%s", path), st, failed);
    mu_path_go_up(folder);
    if (mu_file_exists(path))
        st = MU_FAIL(MU_USAGE,
                     "--trace %s: there is such a file, which is left alone; give another "
                     "name, or remove it",
                     path);
    else if (access(folder, W_OK | X_OK) != 0)
        st = MU_FAIL(MU_USAGE, "--trace %s: nothing can be written in %s (%s)", path, folder,
                     strerror(errno));
failed:
    return st;
}

static enum mu_status make_scratch(struct profile *p)
{
    const char *where = getenv("TMPDIR");
    enum mu_status st;

    MU_TRY(mu_path_format(p->scratch, "%s/muster-profile-XXXXXX", where && *where ? where : "/tmp"),
           st, failed);
    if (mkdtemp(p->scratch))
        return MU_OK;
    st = MU_FAIL(MU_FAILED, "the folder %s cannot be made (%s); TMPDIR names the place for it",
                 p->scratch, strerror(errno));
failed:
    p->scratch[0] = 0;
    return st;
}

/* For the table's head; and mistakes in the data are told before anything else is done. */
static enum mu_status look_at_workload(struct profile *p)
{
    struct mu_workload *workload = NULL;
    enum mu_status st = mu_workload_resolve(&p->settings);

    if (st == MU_OK)
        st = mu_workload_open(&p->settings, NULL, &workload);
    if (st == MU_OK) {
        snprintf(p->found.summary, sizeof p->found.summary, "%s", workload->facts.summary);
        p->found.tokens_per_step = (double)workload->facts.tokens_per_step;
    }
    mu_workload_close(workload);
    return mu_workload_blame_data(st, &p->settings);
}

static enum mu_status read_config(struct profile *p)
{
    const struct mu_config_source source = {.path = p->request->config_path,
                                            .overrides = p->request->overrides,
                                            .override_count = p->request->override_count,
                                            .environment = environ};
    char *text = NULL;
    enum mu_status st;

    MU_TRY(check_trace_path(p->request->trace_path), st, failed);
    MU_TRY(mu_config_load(&source, &p->settings), st, failed);
    make_short(&p->settings, mu_timed_steps_in_all(&p->plan));
    MU_TRY(look_at_workload(p), st, failed);
    MU_TRY(mu_config_print(&p->settings, &text), st, failed);
    if (strlen(text) < sizeof p->text)
        snprintf(p->text, sizeof p->text, "%s", text);
    else
        st = MU_FAIL(MU_CONFIG, "the configuration is too long");
    free(text);
    if (st == MU_OK)
        st = make_scratch(p);
failed:
    return st;
}

/* ---- all ranks ---- */
static struct mu_control control_of(struct profile *p)
{
    mu_poller_accept(&p->session.poller);
    return mu_control_init(p->session.comm, &p->session.poller, p->session.epoch,
                           ROUND_DEADLINE_MS);
}

static enum mu_status take_welcome(struct profile *p, struct mu_wire_reader *r)
{
    enum mu_status st = mu_control_get_status(r);

    if (st != MU_OK)
        return st;
    mu_wire_get_string(r, p->scratch, sizeof p->scratch);
    mu_wire_get_string(r, p->text, sizeof p->text);
    if (!mu_wire_finished(r))
        return MU_FAIL(MU_INTERNAL, "the master's welcome cannot be read");
    return p->is_master ? MU_OK
                        : mu_config_parse_text(p->text, strlen(p->text),
                                               "configuration of the master", &p->settings);
}

/* Every rank has the configuration, and the name of the scratch folder. */
static enum mu_status meet(struct profile *p)
{
    enum { WELCOME_MAX = CONFIG_TEXT_MAX + MU_PATH_MAX + 64 };
    uint8_t *welcome = malloc(WELCOME_MAX);
    struct mu_wire_writer w;
    struct mu_wire_reader r;
    struct mu_control control = control_of(p);
    size_t size = 0;
    enum mu_status st;

    MU_TRY(mu_control_agree(&control, welcome ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory to meet")),
           st, done);
    if (p->is_master) {
        st = read_config(p);
        w = mu_wire_write(welcome, WELCOME_MAX);
        mu_wire_put_u32(&w, (uint32_t)st);
        if (st == MU_OK) {
            mu_wire_put_string(&w, p->scratch);
            mu_wire_put_string(&w, p->text);
        }
        MU_ASSERT(w.ok);
        size = w.size;
    }
    MU_TRY(mu_control_announce(&control, MU_MESSAGE_WELCOME, welcome, WELCOME_MAX, &size), st,
           done);
    r = mu_wire_read(welcome, size);
    st = mu_control_agree(&control, take_welcome(p, &r));
done:
    free(welcome);
    return st;
}

/* A rank more than GPUs has left: the others go on once that is repaired. */
static enum mu_status deal_gpus(struct profile *p)
{
    const struct mu_deadline deadline = mu_deadline_in_ms(REPAIR_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_status st = mu_trial_deal_gpus(&p->session, &p->settings);

    while (st == MU_OK && p->session.gpu.leaver >= 0) {
        st = mu_poll(&p->session.poller);
        if (st == MU_OK && mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT, "the rank without a GPU has not left");
        mu_backoff_pause(&pause);
    }
    return st == MU_RECOVERED ? MU_OK : st;
}

static enum mu_status outcome_status(const struct mu_trial_outcome *out)
{
    switch (out->end) {
    case MU_TRIAL_COMPLETE:
        return MU_OK;
    case MU_TRIAL_REFUSED:
        return MU_CONFIG;
    case MU_TRIAL_OUT_OF_MEMORY:
        return MU_NO_MEMORY;
    default:
        return MU_FAILED;
    }
}

/* The real loop, as a trial of all ranks. */
static enum mu_status train(struct profile *p)
{
    const int count = mu_comm_size(p->session.comm);
    int *names = calloc((size_t)count, sizeof *names);
    char run[MU_PATH_MAX];
    struct mu_trial_order order = {.group = 2, /* 1 is of all ranks, at the end */
                                   .epoch = p->session.epoch,
                                   .names = names,
                                   .count = count,
                                   .config = p->text,
                                   .sweep_path = p->scratch,
                                   .run_path = run,
                                   .steps = mu_timed_steps_in_all(&p->plan)};
    struct mu_trial_outcome out;
    enum mu_status st;

    if (!names)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the names of %d ranks", count);
    for (int i = 0; i < count; i++)
        names[i] = mu_comm_name(p->session.comm, i);
    MU_TRY(mu_path_format(run, "%s/run", p->scratch), st, failed);
    mu_board_set_phase(p->session.board, MU_PHASE_RUNNING);
    MU_TRY(mu_trial_run(&p->session, &order, &out), st, failed);
    mu_board_set_phase(p->session.board, MU_PHASE_RUNNING);
    st = outcome_status(&out);
    if (st != MU_OK && p->is_master)
        mu_log(MU_LOG_ERROR, "no profile: the steps ended after %lld of %lld: %s",
               (long long)out.step, (long long)order.steps,
               out.end == MU_TRIAL_STOPPED ? "stopped on request"
               : *out.message              ? out.message
                                           : mu_trial_end_word(out.end));
    p->found.last_step = out.step;
    p->found.hash = out.hash;
failed:
    free(names);
    return st;
}

static enum mu_status tell(struct profile *p)
{
    static const char *const devices[] = {
#define WORD(list, identifier, word) [MU_##list##_##identifier] = word,
        MU_CHOICE_DEVICE(WORD)};
    static const char *const precisions[] = {MU_CHOICE_PRECISION(WORD)};
#undef WORD
    struct mu_profile_found *f = &p->found;
    struct mu_profile_sums sums;
    enum mu_status st = MU_OK;

    f->device = devices[p->settings.device_kind];
    f->precision = precisions[p->settings.device_precision];
    f->threads = (int)p->settings.device_threads;
    f->waits_for_operations = p->timed->inner->wait != NULL;
    f->steps = p->plan.steps;
    sums = mu_profile_add_up(f);
    if (p->session.epoch > 1 && p->session.gpu.leaver < 0)
        mu_log(MU_LOG_WARN, "a rank died meanwhile: its repair is in the figures");
    if (p->request->trace_path)
        st = mu_profile_write_trace(f, p->request->trace_path);
    if (st == MU_OK && p->request->json)
        st = mu_profile_print_json(f, &sums);
    else if (st == MU_OK)
        mu_profile_show(f, &sums);
    if (st == MU_OK && fflush(stdout) != 0)
        st = MU_FAIL(MU_FAILED, "the profile could not be printed (%s)", strerror(errno));
    return st;
}

static enum mu_status live(struct profile *p)
{
    struct mu_control control;
    enum mu_status st;

    MU_TRY(meet(p), st, failed);
    mu_watchdog_set_timeout(p->session.watchdog, p->settings.run_hang_timeout);
    MU_TRY(deal_gpus(p), st, failed);
    control = control_of(p);
    MU_TRY(mu_control_agree(&control, mu_timed_open(&p->plan, &p->timed)), st, failed);
    p->session.timed = p->session.poller.timed = p->timed;
    MU_TRY(train(p), st, failed);
    control = control_of(p);
    MU_TRY(mu_profile_gather(&control, p->timed, &p->found), st, failed);
    if (mu_comm_rank(p->session.comm) == 0) {
        enum mu_phase before = mu_board_set_phase(p->session.board, MU_PHASE_RECORDING);

        st = tell(p);
        mu_board_set_phase(p->session.board, before);
    }
failed:
    p->session.timed = p->session.poller.timed = NULL;
    return st;
}

static void clean_up(struct profile *p)
{
    if (!p->scratch[0])
        return;
    mu_segment_remove_sweep(mu_trial_sweep_key(p->scratch));
    if (p->is_master)
        (void)!mu_file_remove_tree(p->scratch);
}

/* This rank alone cannot go on. */
static _Noreturn void leave(struct profile *p, enum mu_status st)
{
    mu_log(MU_LOG_ERROR, "rank %d failed: %s; there is no profile",
           mu_board_own_rank(p->session.board), mu_status_meaning(st));
    clean_up(p);
    mu_watchdog_end(p->session.watchdog);
    mu_board_abandon(p->session.board);
    mu_comm_leave(p->session.comm, mu_status_exit_code(st));
}

enum mu_status mu_profile_run(const struct mu_profile_request *request)
{
    static struct profile profile; /* its poller is the device's hook for ever */
    struct profile *p = &profile;
    enum mu_status st = mu_session_open(&p->session);

    if (st != MU_OK)
        return st;
    p->request = request;
    p->plan = (struct mu_timed_plan){request->warm_up, request->steps, request->trace_path != NULL};
    p->is_master = mu_comm_rank(p->session.comm) == 0;
    if (mu_comm_is_fault_tolerant(p->session.comm)) {
        p->session.poller.repair = mu_session_recover;
        p->session.poller.repair_context = &p->session;
    }
    st = live(p);
    if (mu_control_is_broken(st) || mu_session_part(&p->session) != MU_OK)
        leave(p, st);
    mu_poller_hold(&p->session.poller); /* from here on others leave, and nobody dies of it */
    clean_up(p);
    mu_profile_found_deinit(&p->found);
    mu_timed_close(p->timed);
    /* The first rank's exit code is mpirun's (master/job.c). */
    if (mu_comm_rank(p->session.comm) != 0)
        st = MU_OK;
    mu_session_close(&p->session, st);
    return st;
}
