/* Asking, and waiting: the file of a request goes when it has its answer (request.h), so that a
 * wait is a look at one name; now and then at whether anybody is left who would answer. */
#include "orchestrator/steer/steer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/resize.h"
#include "orchestrator/run/no_path.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/steer/standing.h"
#include "orchestrator/sweep_run/show.h"

enum { LOOK_US = 50000, ALIVE_MS = 500, GONE_LOOKS = 4, PART_MS = 15000 };

/* One order as it is carried out. */
struct asking {
    const struct mu_steer_order *order;
    char run[MU_PATH_MAX]; /* without a slash at its end */
    enum mu_steer_folder folder;
    struct mu_steer_standing standing; /* as of the last look */
    struct mu_steer_request request;
    struct mu_deadline end, alive;
    int gone; /* looks in a row that found nobody */
};

static enum mu_status say(const char *text)
{
    return printf("%s\n", text) < 0 || fflush(stdout) != 0
               ? MU_FAIL(MU_FAILED, "cannot write to standard output")
               : MU_OK;
}

/* ---- before anything is written -------------------------------------------------------------- */

static enum mu_status check_folder(struct asking *a)
{
    struct stat s;

    if (stat(a->run, &s) != 0)
        return mu_no_path(a->run, "; expected the folder of a run, such as runs/NAME");
    a->folder = S_ISDIR(s.st_mode) ? mu_steer_folder_kind(a->run) : MU_STEER_NO_FOLDER;
    if (a->folder == MU_STEER_NO_FOLDER)
        return MU_FAIL(MU_NOT_FOUND,
                       "%s is not a run directory; expected its path, such as "
                       "runs/NAME",
                       a->run);
    if (a->folder == MU_STEER_TRIAL)
        return MU_FAIL(MU_FAILED,
                       "%s is a trial of a sweep, which goes as the sweep does: `muster stop "
                       "SWEEP` stops all of them, each with a checkpoint",
                       a->run);
    return MU_OK;
}

static enum mu_status open_run(struct asking *a, const struct mu_steer_order *order)
{
    enum mu_status st = mu_path_format(a->run, "%s", order->run);

    a->order = order;
    a->end = mu_deadline_in_ms(1000 * (uint64_t)order->timeout_s);
    a->alive = mu_deadline_in_ms(ALIVE_MS);
    if (st != MU_OK)
        return st;
    mu_path_trim(a->run);
    return check_folder(a);
}

static enum mu_status refuse_sweep(const struct asking *a)
{
    return MU_FAIL(
        MU_FAILED,
        "%s is a sweep, which saves its trials by itself; `muster stop %s` stops it, each trial "
        "with a checkpoint",
        a->run, a->run);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* On several hosts the lock may be nobody's for as long as a repair takes: once is no proof. */
static bool is_abandoned(struct asking *a)
{
    if (!mu_deadline_passed(a->alive))
        return false;
    a->standing = mu_steer_standing(a->run);
    a->alive = mu_deadline_in_ms(ALIVE_MS);
    a->gone = mu_steer_is_alive(&a->standing) ? 0 : a->gone + 1;
    return a->gone > 0 && (a->gone >= GONE_LOOKS || strcmp(a->standing.state, "ended") == 0);
}

static enum mu_status give_up(struct asking *a, const char *file)
{
    a->standing = mu_steer_standing(a->run);
    return MU_FAIL(
        MU_FAILED,
        "no answer within %" PRId64 " s. The request stays (%s/control/%s) and is obeyed at the "
        "end of a step; remove that file to take it back. The last sign is %s %" PRId64
        " of %" PRId64 " (%s, on %s). What to look for: a step, or a save, that takes longer "
        "(--timeout); ranks that were stopped or hang (`muster status %s --pid 0`)%s",
        a->order->timeout_s, a->run, file, a->standing.is_sweep ? "ended trial" : "step",
        a->standing.step, a->standing.steps,
        a->standing.updated[0] ? a->standing.updated : "no date",
        a->standing.host[0] ? a->standing.host : "an unknown host", a->run,
        a->standing.is_abroad ? "; whether it lives still, as that cannot be seen from this host"
                              : "");
}

/* Who starts the run again right away shall find it free. */
static void wait_for_parting(struct asking *a)
{
    struct mu_deadline end = mu_deadline_in_ms(PART_MS);

    while (!mu_deadline_passed(end) && !mu_deadline_passed(a->end) &&
           (mu_run_dir_is_locked(a->run) || mu_steer_standing(a->run).is_launched))
        mu_clock_sleep_us(LOOK_US);
}

static enum mu_status tell_answer(struct asking *a, const struct mu_steer_answer *answer)
{
    const struct mu_steer_text t = mu_steer_answer_tell(a->run, a->request.kind, answer);

    if (answer->result == MU_STEER_FAILED || answer->result == MU_STEER_OUTDATED)
        return MU_FAIL(MU_FAILED, "%s", t.text);
    if (a->request.kind == MU_STEER_STOP)
        wait_for_parting(a);
    return say(t.text);
}

/* All are gone, and none has answered: the disk may be full. Its status says how it ended. */
static enum mu_status tell_without_answer(struct asking *a)
{
    const struct mu_steer_standing *s = &a->standing;
    struct mu_steer_answer answer = {.step = s->step, .saved = s->step};

    if (!mu_steer_remove(a->run, a->request.name))
        mu_log(MU_LOG_WARN, "cannot remove %s/control/%s: %s", a->run, a->request.name,
               strerror(errno));
    if (mu_steer_has_ended(s, "complete"))
        answer.result = MU_STEER_LATE;
    else if (!mu_steer_has_ended(s, "requeue") || a->request.kind != MU_STEER_STOP)
        return MU_FAIL(MU_FAILED,
                       "nobody trains %s any more, and the request was not answered (it is taken "
                       "back): %s",
                       a->run, mu_steer_tell_end(s).text);
    return say(mu_steer_answer_tell(a->run, a->request.kind, &answer).text);
}

static enum mu_status look_for_answer(struct asking *a)
{
    struct mu_steer_answer answer;

    if (mu_steer_answer_find(a->run, &a->request, &answer))
        return tell_answer(a, &answer);
    return MU_FAIL(MU_FAILED,
                   "the request was taken away without an answer (%s/control/%s): by hand, or by "
                   "a new start of the run, which does not obey what was asked of another one",
                   a->run, a->request.name);
}

static enum mu_status wait_for_answer(struct asking *a)
{
    struct mu_steer_answer answer;

    for (;;) {
        if (!mu_steer_is_there(a->run, a->request.name))
            return look_for_answer(a);
        if (is_abandoned(a)) {
            if (!mu_steer_is_there(a->run, a->request.name))
                return look_for_answer(a);
            if (mu_steer_answer_find(a->run, &a->request, &answer)) {
                (void)mu_steer_remove(a->run, a->request.name);
                return tell_answer(a, &answer);
            }
            return tell_without_answer(a);
        }
        if (mu_deadline_passed(a->end))
            return give_up(a, a->request.name);
        mu_clock_sleep_us(LOOK_US);
    }
}

/* ---- a sweep --------------------------------------------------------------------------------- */

static enum mu_status write_stop(const struct asking *a)
{
    char path[MU_PATH_MAX];
    enum mu_status st = mu_path_format(path, "%s/control/%s", a->run, MU_REQUEST_STOP_FILE);

    return st == MU_OK ? mu_file_write_durably(path, "", 0) : st;
}

static enum mu_status tell_sweep(const struct asking *a)
{
    struct mu_sweep_view *view = NULL;
    enum mu_sweep_standing standing = MU_SWEEP_WAS_KILLED;
    char text[MU_PATH_MAX + 100];

    if (mu_sweep_view_read(a->run, &view) == MU_OK)
        standing = mu_sweep_view_standing(view);
    mu_sweep_view_free(view);
    if (standing == MU_SWEEP_COMPLETE || standing == MU_SWEEP_HAS_FAILURES)
        return say("it had ended before the request was seen");
    if (standing != MU_SWEEP_STOPPED)
        return MU_FAIL(MU_FAILED,
                       "nobody trains the sweep %s any more: it was killed; the same command goes "
                       "on",
                       a->run);
    snprintf(text, sizeof text,
             "the sweep %s has stopped, each trial with a checkpoint; the same command goes on",
             a->run);
    return say(text);
}

/* Between two generations its launcher alone has it. */
static bool is_busy(struct asking *a)
{
    if (mu_run_dir_is_locked(a->run) || mu_hold_is_taken(a->run))
        return true;
    a->standing = mu_steer_standing(a->run);
    return a->standing.is_abroad;
}

static void tell_abroad(const struct asking *a)
{
    if (a->standing.is_abroad)
        mu_log(MU_LOG_INFO,
               "%s is to run on %s; whether it still lives cannot be seen from this host", a->run,
               a->standing.host);
}

static enum mu_status stop_sweep(struct asking *a)
{
    enum mu_status st;

    if (!is_busy(a))
        return MU_FAIL(MU_FAILED, "nobody trains the sweep %s: there is nothing to stop", a->run);
    tell_abroad(a);
    MU_TRY(write_stop(a), st, failed);
    if (a->order->no_wait)
        return say("asked for: control/stop");
    while (is_busy(a)) {
        if (mu_deadline_passed(a->end))
            return give_up(a, MU_REQUEST_STOP_FILE);
        mu_clock_sleep_us(LOOK_US);
    }
    mu_run_dir_unask(a->run, MU_REQUEST_STOP_FILE);
    return tell_sweep(a);
failed:
    return st;
}

/* ---- a run ----------------------------------------------------------------------------------- */

enum mu_status mu_steer_ask(const struct mu_steer_order *order, enum mu_steer_kind kind)
{
    struct asking a = {.gone = 0};
    char text[MU_STEER_NAME_MAX + 32];
    enum mu_status st;

    MU_TRY(open_run(&a, order), st, failed);
    if (a.folder == MU_STEER_SWEEP)
        return kind == MU_STEER_STOP ? stop_sweep(&a) : refuse_sweep(&a);
    a.standing = mu_steer_standing(a.run);
    if (!mu_steer_is_alive(&a.standing))
        return MU_FAIL(MU_FAILED, "nobody trains %s: %s", a.run,
                       mu_steer_tell_end(&a.standing).text);
    tell_abroad(&a);
    MU_TRY(mu_steer_write(a.run, kind, &a.request), st, failed);
    if (!order->no_wait)
        return wait_for_answer(&a);
    snprintf(text, sizeof text, "asked for: control/%s", a.request.name);
    return say(text);
failed:
    return st;
}

/* ---- another number of ranks ----------------------------------------------------------------- */

int64_t mu_steer_ranks(const char *run)
{
    const enum mu_steer_folder kind = mu_steer_folder_kind(run);

    return kind == MU_STEER_RUN || kind == MU_STEER_SWEEP ? mu_steer_standing(run).ranks : 0;
}

static bool trains(const struct mu_steer_standing *s)
{
    return strcmp(s->state, "running") == 0 || strcmp(s->state, "saving") == 0;
}

static enum mu_status tell_ranks(const struct mu_steer_standing *s, int64_t wanted, bool is_new)
{
    char text[160];

    if (s->ranks != wanted)
        return MU_FAIL(MU_FAILED,
                       "%" PRId64 " ranks go on, not %" PRId64
                       ": its hosts have no more slots (--hosts of muster launch), or some died "
                       "at once",
                       s->ranks, wanted);
    if (s->is_sweep)
        snprintf(text, sizeof text,
                 is_new ? "%" PRId64 " ranks go on" : "it has %" PRId64 " ranks already", s->ranks);
    else
        snprintf(text, sizeof text,
                 is_new ? "%" PRId64 " ranks go on, from step %" PRId64
                        : "it has %" PRId64 " ranks already, at step %" PRId64,
                 s->ranks, s->step);
    return say(text);
}

/* Another generation than the one before, or the launcher has nothing to do. */
static enum mu_status wait_for_ranks(struct asking *a, int64_t wanted)
{
    const struct mu_steer_standing before = a->standing;

    for (;;) {
        const bool is_seen = !mu_steer_is_there(a->run, MU_REQUEST_RESIZE);

        a->standing = mu_steer_standing(a->run);
        if (is_seen && trains(&a->standing)) {
            const bool is_new = strcmp(a->standing.launch, before.launch) != 0;

            if (is_new || a->standing.ranks == wanted)
                return tell_ranks(&a->standing, wanted, is_new);
        }
        if (mu_steer_has_ended(&a->standing, "complete")) {
            mu_resize_clear(a->run);
            return say("it was complete before the request was seen");
        }
        if (!a->standing.is_launched) {
            mu_resize_clear(a->run);
            return MU_FAIL(MU_FAILED, "the launcher of %s has ended: %s", a->run,
                           mu_steer_tell_end(&a->standing).text);
        }
        if (mu_deadline_passed(a->end))
            return give_up(a, MU_REQUEST_RESIZE);
        mu_clock_sleep_us(LOOK_US);
    }
}

enum mu_status mu_steer_resize(const struct mu_steer_order *order, uint32_t ranks)
{
    struct asking a = {.gone = 0};
    const char *what, *verb;
    enum mu_status st;

    MU_TRY(open_run(&a, order), st, failed);
    a.standing = mu_steer_standing(a.run);
    what = a.folder == MU_STEER_SWEEP ? "sweep" : "run";
    verb = a.folder == MU_STEER_SWEEP ? "sweep" : "train";
    if (!a.standing.is_launched && a.standing.is_locked)
        return MU_FAIL(MU_FAILED,
                       "nobody would obey: no launcher has the %s %s. It was started without one, "
                       "and its ranks stay as they are: `muster stop %s`, then `muster launch -n "
                       "%u %s ...`",
                       what, a.run, a.run, ranks, verb);
    if (!a.standing.is_launched)
        return MU_FAIL(MU_FAILED,
                       "nobody would obey: no launcher has the %s %s. Start it with `muster launch "
                       "-n %u %s ...`",
                       what, a.run, ranks, verb);
    MU_TRY(mu_resize_write(a.run, ranks), st, failed);
    mu_log(MU_LOG_INFO, "asked for %u ranks", ranks);
    return order->no_wait ? MU_OK : wait_for_ranks(&a, ranks);
failed:
    return st;
}
