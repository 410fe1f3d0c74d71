/* What can be known of a job before it is queued. This is a login node: nothing is measured here,
 * and nothing is said of its memory and cores. A speed is known where the run, or the sweep, has
 * trained before. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/apart.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/slurm/submission.h"
#include "orchestrator/sweep/trials.h"
#include "orchestrator/sweep_run/records.h"
#include "worker/workload.h"

extern char **environ;

enum { RECENT = 64, QUEUE_MS = 10000 };

/* ---- how long it takes ---- */
struct work {
    double seconds; /* left; NAN: not known */
    bool is_from_here;
    double step_s; /* of a run; NAN */
    int64_t steps;
    int64_t ranks; /* that it was measured with; 0: not known */
};

struct recent {
    double step_ms[RECENT];
    uint64_t count;
};

static void take(void *context, const struct mu_metrics *m)
{
    struct recent *r = context;

    if (isfinite(m->step_ms) && m->step_ms > 0)
        r->step_ms[r->count++ % RECENT] = m->step_ms;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median: a death, or another program, makes some steps long. */
static double measured_step_s(const char *run)
{
    struct recent r = {.count = 0};
    struct mu_metrics_damage damage;
    size_t n;

    if (mu_metrics_read(run, take, &r, &damage) != MU_OK || r.count == 0)
        return NAN;
    n = r.count < RECENT ? (size_t)r.count : (size_t)RECENT;
    qsort(r.step_ms, n, sizeof *r.step_ms, compare);
    return 1e-3 * r.step_ms[n / 2];
}

static struct work work_of_run(const struct mu_plan *p)
{
    struct work w = {.seconds = NAN, .step_s = NAN};
    json_t *status = NULL;

    if (p->measured == MU_OK) {
        w.is_from_here = true;
        w.seconds = p->row[p->chosen].run_seconds;
        w.step_s = p->row[p->chosen].step_seconds;
        w.steps = p->settings.run_steps - p->done_steps;
        w.ranks = p->row[p->chosen].workers;
        return w;
    }
    if (p->standing != MU_PLAN_GOES_ON && p->standing != MU_PLAN_GOES_BACK)
        return w;
    w.step_s = measured_step_s(p->path);
    w.steps = p->settings.run_steps - p->done_steps;
    w.seconds = w.step_s * (double)w.steps;
    if (mu_run_dir_read_status(p->path, &status, NULL) == MU_OK)
        w.ranks = mu_json_get_integer(status, "ranks");
    json_decref(status);
    return w;
}

static struct work work_of_sweep(const char *folder)
{
    struct work w = {.seconds = NAN, .step_s = NAN};
    json_t *status = NULL;

    if (mu_file_exists_in(folder, "sweep.json") && mu_sweep_read_status(folder, &status) == MU_OK) {
        w.seconds = mu_json_get_real(status, "eta");
        w.ranks = mu_json_get_integer(json_object_get(status, "fleet"), "ranks");
    }
    json_decref(status);
    return w;
}

static void tell_work(const struct mu_submission *s, const struct work *w)
{
    const double each_s = (double)(s->time_s - mu_submit_warning_s(s));
    char speed[160] = "as its last start has estimated", ranks[64] = "";

    if (!(w->seconds > 0))
        return;
    if (w->ranks > 0)
        snprintf(ranks, sizeof ranks, ", with %lld rank%s%s", (long long)w->ranks,
                 mu_plural((uint64_t)w->ranks),
                 s->ranks > 0 && s->ranks != w->ranks ? ", other than now" : "");
    if (!s->is_sweep)
        snprintf(speed, sizeof speed, "%lld steps are left, of %.3g s each as measured %s",
                 (long long)w->steps, w->step_s,
                 w->is_from_here ? "on this machine" : "in this run");
    if (s->time_s > 0 && w->seconds > each_s)
        mu_log(MU_LOG_WARN, "it takes about %.0f jobs of %s: %s%s", ceil(w->seconds / each_s),
               mu_amount_duration((double)s->time_s).text, speed, ranks);
    else
        mu_log(MU_LOG_INFO, "it takes about %s: %s%s", mu_amount_duration(w->seconds).text, speed,
               ranks);
}

/* ---- the plan ---- */
static void warn(void *context, const char *line)
{
    (void)context;
    mu_log(MU_LOG_WARN, "%s", line);
}

static enum mu_status check_run(const struct mu_submission *s, struct mu_plan *plan)
{
    struct work work;
    enum mu_status st;

    MU_TRY(mu_plan_make(&s->settings, s->ranks, s->request->measure, plan), st, done);
    plan->is_elsewhere = true;
    if (s->ranks == 0)
        plan->ranks = plan->workers = 0;
    mu_plan_warnings(plan, &(struct mu_advice){warn, NULL});
    MU_TRY(mu_plan_verdict(plan), st, done);
    if (plan->disk.left < plan->disk.checkpoint)
        return MU_FAIL(MU_FAILED, "a checkpoint takes %s, and the disk of %s has %s left",
                       mu_amount_bytes(plan->disk.checkpoint).text, s->settings.run_dir,
                       mu_amount_bytes(plan->disk.left).text);
    if (plan->standing == MU_PLAN_COMPLETE)
        mu_log(MU_LOG_WARN, "%s is complete already: the job would have nothing to do", s->folder);
    work = work_of_run(plan);
    tell_work(s, &work);
done:
    return st;
}

/* Of each trial one checkpoint stays at least: weights and both moments. NAN: not known. */
static double least_bytes_of_sweep(const struct mu_submission *s)
{
    const struct mu_submit_request *r = s->request;
    const struct mu_config_source source = {.path = r->words[1],
                                            .overrides = r->words + 2,
                                            .override_count = r->word_count - 2,
                                            .environment = environ};
    struct mu_sweep_spec *spec = calloc(1, sizeof *spec);
    struct mu_settings *base = malloc(sizeof *base);
    struct mu_sweep_trials trials;
    double bytes = NAN;

    if (spec && base && mu_sweep_read(&source, base, spec) == MU_OK &&
        mu_sweep_trials_make(spec, base, source.path, &trials) == MU_OK) {
        bytes = 0;
        for (uint32_t i = 0; i < trials.count; i++)
            if (base->model_kind != MU_MODEL_SYNTHETIC)
                bytes +=
                    3 * sizeof(float) * (double)mu_workload_counts(&trials.item[i].settings).all;
        mu_sweep_trials_deinit(&trials);
    }
    free(spec);
    free(base);
    return bytes;
}

static void check_sweep(const struct mu_submission *s)
{
    const struct work work = work_of_sweep(s->folder);
    const double bytes = least_bytes_of_sweep(s), left = mu_plan_left_on_disk(s->folder);

    if (bytes > left)
        mu_log(MU_LOG_WARN,
               "checkpoints of its trials take %s at least, and the disk of %s has %s left",
               mu_amount_bytes(bytes).text, s->settings.run_dir, mu_amount_bytes(left).text);
    tell_work(s, &work);
}

enum mu_status mu_submit_check(struct mu_submission *s)
{
    struct mu_plan *plan;
    enum mu_status st;

    if (s->is_sweep) {
        check_sweep(s);
        return MU_OK;
    }
    plan = malloc(sizeof *plan);
    if (!plan)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a plan");
    st = check_run(s, plan);
    free(plan);
    return st;
}

/* ---- who has it ---- */
/* The job that was submitted last; "": none. */
static void read_job(const struct mu_submission *s, char job[64])
{
    char path[MU_PATH_MAX], *text = NULL;
    size_t size;

    job[0] = 0;
    if (mu_file_exists_in(s->folder, MU_SUBMITTED_FILE) &&
        mu_path_format(path, "%s/" MU_SUBMITTED_FILE, s->folder) == MU_OK &&
        mu_file_read(path, 64, &text, &size) == MU_OK)
        snprintf(job, 64, "%.*s", (int)strspn(text, "0123456789"), text);
    free(text);
}

/* What it is in, by squeue: "PENDING"; "": it is over. Whether it could be asked. */
static bool ask_state(const char *job, char state[32], char why[300])
{
    struct mu_apart *a = calloc(1, sizeof *a);
    bool known = false;

    state[0] = 0;
    if (!a)
        return false;
    mu_apart_start(a, (const char *const[]){"squeue", "-h", "-j", job, "-o", "%T", NULL}, QUEUE_MS);
    mu_apart_wait(&a, 1, NULL);
    known = mu_apart_succeeded(a) || strstr(a->text, "Invalid job id");
    if (mu_apart_succeeded(a))
        snprintf(state, 32, "%.*s", (int)strcspn(a->text, "\n"), a->text);
    mu_apart_explain(a, why, 300);
    free(a);
    return known;
}

enum mu_status mu_submit_check_free(const struct mu_submission *s)
{
    const char *word = s->is_sweep ? "sweep" : "run";
    char job[64], state[32] = "", why[300];

    if (mu_submit_option(s->request, "-d", "--dependency"))
        return MU_OK; /* one after the other */
    read_job(s, job);
    if (job[0] && !ask_state(job, state, why))
        mu_log(MU_LOG_WARN, "whether job %s of this %s is still queued is not known: squeue: %s",
               job, word, why);
    if (state[0])
        return MU_FAIL(MU_FAILED,
                       "job %s of this %s is %s, and two jobs cannot have one %s: cancel it "
                       "(scancel %s), or queue this one behind it (--dependency=afterany:%s)",
                       job, word, state, word, job, job);
    if (mu_run_dir_is_locked(s->folder) || mu_hold_is_taken(s->folder))
        return MU_FAIL(MU_FAILED,
                       "somebody trains %s now: stop it (muster stop %s), or queue this job behind "
                       "the one that does (--dependency=afterany:JOB)",
                       s->folder, s->folder);
    return MU_OK;
}
