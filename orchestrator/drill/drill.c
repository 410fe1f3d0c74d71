/* One thread: a case after the other, and 100 looks a second at the one that runs. Signals to the
 * drill are blocked and taken at these looks, so that there is one place where all is ended and
 * cleared away. */
#include "orchestrator/drill/drill.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/drill/cases.h"
#include "orchestrator/drill/child.h"
#include "orchestrator/drill/read.h"
#include "orchestrator/drill/tell.h"
#include "orchestrator/launch/remains.h"

enum {
    LOOK_MS = 10,
    LEAST_MS = 60000, /* for a case, besides MANY times what the undisturbed run took */
    MANY = 10,
    STOPPED_MS = 3500, /* after which a rank that is stopped has been ended by the others */
    MOST_LAUNCHES = 4,
    MOST_FOLDERS = 100,
    LOG_MAX = 256 << 20,
};

struct drill {
    const struct mu_drill_request *request;
    char folder[MU_PATH_MAX], config[MU_PATH_MAX];
    uint64_t deadline_ms;
    sigset_t signals;
    int fatal; /* the signal that ends the drill; 0: none has come */
};

/* ---- before the first run ---- */
/* Every duty of a long run comes to pass in a short one. */
static void make_short(struct mu_settings *s, int64_t steps)
{
    int64_t least_tokens = s->model_context > 4096 ? s->model_context : 4096;

    s->schedule_warmup = s->schedule_warmup * steps / s->run_steps;
    s->run_steps = s->run_hash_every = steps;
    s->run_log_every = 1;
    s->run_spares = s->run_time_limit = 0;
    s->eval_every = s->eval_every > 0 ? steps / 4 : 0;
    s->eval_tokens = s->eval_tokens > least_tokens ? least_tokens : s->eval_tokens;
    s->checkpoint_every = steps / 3;
    s->checkpoint_keep = 3;
    s->checkpoint_keep_every = 0;
}

static enum mu_status write_config(struct drill *d)
{
    struct mu_settings *s = malloc(sizeof *s);
    char *text = NULL;
    enum mu_status st;

    if (!s)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a configuration");
    *s = *d->request->settings;
    make_short(s, d->request->steps);
    snprintf(s->run_dir, sizeof s->run_dir, "%.2040s", d->folder);
    snprintf(s->run_name, sizeof s->run_name, "undisturbed");
    MU_TRY(mu_config_print(s, &text), st, done);
    MU_TRY(mu_path_format(d->config, "%s/drill.cfg", d->folder), st, done);
    st = mu_file_write_atomically(d->config, text, strlen(text));
done:
    free(text);
    free(s);
    return st;
}

/* One that was not there: a run that a killed drill has left would be gone on with. The plain path
 * names the state in memory. */
static enum mu_status make_folder(struct drill *d)
{
    const char *runs = d->request->settings->run_dir;
    char *plain = NULL;
    enum mu_status st;

    MU_TRY(mu_file_make_folders(runs), st, failed);
    plain = realpath(runs, NULL);
    if (!plain)
        return MU_FAIL(MU_FAILED, "cannot find %s: %s", runs, strerror(errno));
    for (int again = 0; again < MOST_FOLDERS; again++) {
        char number[16] = "";

        if (again > 0)
            snprintf(number, sizeof number, "-%d", again);
        MU_TRY(mu_path_format(d->folder, "%s/drill-%d%s", plain, (int)getpid(), number), st,
               failed);
        if (mkdir(d->folder, 0777) == 0)
            goto done;
        if (errno != EEXIST)
            break;
    }
    st = MU_FAIL(MU_FAILED, "cannot make the folder %s: %s", d->folder, strerror(errno));
failed:
    d->folder[0] = 0; /* not ours to remove */
done:
    free(plain);
    return st;
}

/* ---- a case ---- */
struct trial {
    struct drill *drill;
    const struct mu_drill_case *c;
    struct mu_drill_course course;
    char run[MU_PATH_MAX], log[MU_PATH_MAX];
    struct mu_drill_child child;
    struct mu_drill_family family; /* when the signals were sent */
    struct mu_deadline end, resume;
    bool has_signalled, is_stopped;
};

static void send_signals(struct trial *t)
{
    if (t->has_signalled || t->c->signals == 0 || mu_drill_count_records(t->run) < t->c->at_step)
        return;
    t->has_signalled = true;
    mu_drill_family_find(&t->child, &t->family);
    for (int i = 0; i < t->c->signals; i++)
        t->course.sent += mu_drill_family_signal(&t->family, &t->c->signal[i]);
    t->is_stopped = t->c->continue_late;
    t->resume = mu_deadline_in_ms(STOPPED_MS);
}

/* A signal that is to end the drill, or nothing, after LOOK_MS. */
static void pause_for_a_look(struct drill *d)
{
    const struct timespec wait = {.tv_nsec = LOOK_MS * 1000000};
    int number = sigtimedwait(&d->signals, NULL, &wait);

    if (number > 0)
        d->fatal = number;
}

/* Until the launch has ended, by itself or since it must. */
static void watch(struct trial *t)
{
    while (!mu_drill_child_has_ended(&t->child)) {
        send_signals(t);
        if (t->is_stopped && mu_deadline_passed(t->resume)) {
            mu_drill_family_continue(&t->family);
            t->is_stopped = false;
        }
        t->course.late = mu_deadline_passed(t->end);
        if (t->drill->fatal || t->course.late)
            mu_drill_child_end(&t->child);
        else
            pause_for_a_look(t->drill);
    }
    if (t->is_stopped)
        mu_drill_family_continue(&t->family);
    t->course.exit_code = WIFEXITED(t->child.status) ? WEXITSTATUS(t->child.status) : -1;
}

static enum mu_status launch(struct trial *t)
{
    const struct mu_drill_case *c = t->c;
    char ranks[24], name[64];
    const char *words[] = {"-n", ranks, "--", "train", t->drill->config, name, c->setting, NULL};
    enum mu_status st;

    snprintf(ranks, sizeof ranks, "%" PRId64, c->ranks);
    snprintf(name, sizeof name, "run.name=%s", c->name);
    MU_TRY(mu_drill_child_start(&t->child, words, t->log,
                                t->course.launches == 0   ? c->fault
                                : t->course.launches == 1 ? c->fault_after
                                                          : ""),
           st, failed);
    t->course.launches++;
    watch(t);
    t->course.requeued = t->course.requeued || t->course.exit_code == 75;
failed:
    return st;
}

static void forget_memory(const char *run)
{
    struct mu_segments segments;

    mu_segments_begin(&segments, run, false);
    mu_segments_hold(&segments);
    mu_segments_end(&segments, true);
}

/* The newest checkpoint loses the second half of its first part. */
static enum mu_status tear(const char *run, int64_t steps)
{
    for (int64_t step = steps; step > 0; step--) {
        char path[MU_PATH_MAX];
        struct stat file;
        enum mu_status st =
            mu_path_format(path, "%s/checkpoints/step-%08" PRId64 "/part-00000.h5", run, step);

        if (st != MU_OK)
            return st;
        if (stat(path, &file) != 0)
            continue;
        if (truncate(path, file.st_size / 2) != 0)
            return MU_FAIL(MU_FAILED, "cannot cut %s: %s", path, strerror(errno));
        return MU_OK;
    }
    return MU_OK; /* no checkpoint passed over: not reached */
}

/* Whoever was asked to stop, or was killed with its launcher, is started again, as a user or a
 * scheduler would. */
static bool is_to_go_on(const struct trial *t)
{
    bool killed = t->c->signals > 0 && t->c->signal[0].target == MU_DRILL_LAUNCHER &&
                  t->course.exit_code == -1;

    return !t->drill->fatal && !t->course.late && t->course.launches < MOST_LAUNCHES &&
           (t->course.exit_code == 75 || killed);
}

static enum mu_status try_case(struct drill *d, const struct mu_drill_case *c,
                               struct mu_drill_course *course)
{
    struct trial t = {.drill = d, .c = c, .end = mu_deadline_in_ms(d->deadline_ms)};
    double began_s = mu_clock_s();
    char *text = NULL;
    size_t size;
    enum mu_status st;

    MU_TRY(mu_path_format(t.run, "%s/%s", d->folder, c->name), st, done);
    MU_TRY(mu_path_format(t.log, "%s/%s.log", d->folder, c->name), st, done);
    do {
        if (t.course.launches == 1 && c->forget)
            forget_memory(t.run);
        if (t.course.launches == 1 && c->tear)
            MU_TRY(tear(t.run, d->request->steps), st, done);
        MU_TRY(launch(&t), st, done);
    } while (is_to_go_on(&t));
    t.course.seconds = mu_clock_s() - began_s;
    MU_TRY(mu_file_read(t.log, LOG_MAX, &text, &size), st, done);
    mu_drill_read_lines(text, &t.course.said);
    mu_drill_read_result(t.run, &t.course.result);
    forget_memory(t.run);
    if (!d->request->keep)
        st = mu_file_remove_tree(t.run);
done:
    *course = t.course;
    free(text);
    return st;
}

/* ---- all of them ---- */
/* What the run that nobody disturbs says for itself when it fails. */
static enum mu_status fail_undisturbed(const struct drill *d, const struct mu_drill_course *course)
{
    char path[MU_PATH_MAX], *text = NULL, *rest = NULL;
    size_t size;

    if (mu_path_format(path, "%s/undisturbed.log", d->folder) == MU_OK &&
        mu_file_read(path, LOG_MAX, &text, &size) == MU_OK)
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            if (strstr(line, "error: "))
                fprintf(stderr, "%s\n", line);
    free(text);
    return MU_FAIL(course->exit_code == 78 ? MU_CONFIG : MU_FAILED,
                   "the run that nobody disturbs %s: there is nothing to compare with",
                   course->late ? "does not end" : "fails");
}

static enum mu_status run_undisturbed(struct drill *d, struct mu_drill_tally *tally)
{
    const struct mu_drill_case c = {.name = "undisturbed", .ranks = d->request->ranks};
    struct mu_drill_course course;
    enum mu_status st;

    MU_TRY(try_case(d, &c, &course), st, done);
    if (d->fatal)
        goto done;
    if (course.exit_code != 0 || !course.result.complete || !course.result.hash[0])
        return fail_undisturbed(d, &course);
    d->deadline_ms = d->request->deadline_s > 0
                         ? 1000 * (uint64_t)d->request->deadline_s
                         : LEAST_MS + MANY * (uint64_t)(1e3 * course.seconds);
    mu_drill_tell_begin(tally, d->request, &course);
done:
    return st;
}

static enum mu_status run_all(struct drill *d)
{
    static struct mu_drill_case cases[MU_DRILL_CASES];
    int count = mu_drill_cases(d->request->ranks, d->request->steps, cases);
    struct mu_drill_tally tally = {.json = NULL};
    enum mu_status st;

    if (d->request->json) /* minutes are not to be lost on a path that cannot be written */
        MU_TRY(mu_file_write_atomically(d->request->json, "", 0), st, done);
    MU_TRY(run_undisturbed(d, &tally), st, done);
    for (int i = 0; i < count && !d->fatal; i++) {
        struct mu_drill_course course;

        if (!mu_drill_is_meant(&cases[i], d->request->only))
            continue;
        MU_TRY(try_case(d, &cases[i], &course), st, done);
        if (!d->fatal)
            mu_drill_tell_case(&tally, &cases[i], &course,
                               mu_drill_judge(&cases[i], &course, &tally.undisturbed));
    }
    if (!d->fatal)
        st = mu_drill_tell_end(&tally, d->request);
done:
    mu_drill_tally_deinit(&tally);
    return st;
}

static void die_by(int number)
{
    sigset_t set;

    signal(number, SIG_DFL);
    raise(number);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

enum mu_status mu_drill_run(const struct mu_drill_request *request)
{
    struct drill *d = calloc(1, sizeof *d);
    enum mu_status st, removed = MU_OK;
    int fatal;

    if (!d)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a drill");
    d->request = request;
    d->deadline_ms = 10 * LEAST_MS; /* of the first run, whose pace is not known */
    sigemptyset(&d->signals);
    sigaddset(&d->signals, SIGINT);
    sigaddset(&d->signals, SIGTERM);
    sigaddset(&d->signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &d->signals, NULL);
    MU_TRY(make_folder(d), st, done);
    MU_TRY(write_config(d), st, done);
    st = run_all(d);
done:
    if (d->folder[0] && !request->keep)
        removed = mu_file_remove_tree(d->folder);
    else if (d->folder[0])
        mu_log(MU_LOG_INFO, "runs and logs of the drill are in %s", d->folder);
    fatal = d->fatal;
    free(d);
    if (fatal)
        die_by(fatal);
    return st != MU_OK ? st : removed;
}
