/* Names follow https://prometheus.io/docs/practices/naming/: base units, _total for counters alone.
 * So tokens and steps are gauges without it: a run that goes on from a checkpoint takes some of
 * them again. What the account counts goes on over restarts, and only grows. */
#include "orchestrator/run/prometheus.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

struct page {
    FILE *out;
    const char *run;
};

/* Label values: backslash, quote and newline are escaped; what is not UTF-8 ('?' here) would void
 * the whole file. */
static void escape(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text && n + 3 < size; text++) {
        const unsigned char c = (unsigned char)*text;

        if (c == '\\' || c == '"' || c == '\n')
            out[n++] = '\\';
        out[n++] = c == '\n' ? 'n' : c < 0x80 ? (char)c : '?';
    }
    out[n] = 0;
}

static void describe(const struct page *p, const char *name, const char *type, const char *help)
{
    fprintf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* label: "" or "kind=\"wait\"". */
static void sample(const struct page *p, const char *name, const char *label, double value)
{
    fprintf(p->out, "%s{run=\"%s\"%s%s} ", name, p->run, label[0] ? "," : "", label);
    if (isinf(value))
        fprintf(p->out, value > 0 ? "+Inf\n" : "-Inf\n");
    else
        fprintf(p->out, "%.15g\n", value);
}

/* NaN: not known. */
static void gauge(const struct page *p, const char *name, const char *help, double value)
{
    if (isnan(value))
        return;
    describe(p, name, "gauge", help);
    sample(p, name, "", value);
}

static void print_state(const struct page *p, const struct mu_run_status *s)
{
    static const struct {
        enum mu_run_outcome outcome;
        const char *label;
    } outcomes[] = {{MU_OUTCOME_COMPLETE, "outcome=\"complete\""},
                    {MU_OUTCOME_REQUEUE, "outcome=\"requeue\""},
                    {MU_OUTCOME_FAILED, "outcome=\"failed\""}};

    gauge(p, "muster_running", "1 until the run ends, then 0; a run that was killed leaves 1.",
          s->state != MU_RUN_ENDED);
    describe(p, "muster_outcome", "gauge", "1 for how the run ended; 0 everywhere while it runs.");
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        sample(p, "muster_outcome", outcomes[i].label, s->outcome == outcomes[i].outcome);
    gauge(p, "muster_step", "Committed optimizer steps.", (double)s->step);
    gauge(p, "muster_target_steps", "Steps that the run is to take.", (double)s->steps);
    gauge(p, "muster_checkpoint_step", "Step of the newest checkpoint.",
          s->saved_step >= 0 ? (double)s->saved_step : NAN);
    gauge(p, "muster_generation", "Starts of the run, this one included.",
          s->generation > 0 ? (double)s->generation : NAN);
}

static void print_training(const struct page *p, const struct mu_run_status *s,
                           const struct mu_metrics *m)
{
    gauge(p, "muster_train_loss", "Training loss of the newest record, nats per token.", s->loss);
    gauge(p, "muster_valid_loss", "Newest validation loss, nats per token.", s->valid_loss);
    if (m->step <= 0)
        return;
    gauge(p, "muster_record_step", "Step of the newest record, which the values below are of.",
          (double)m->step);
    gauge(p, "muster_tokens", "Tokens trained on.", (double)m->tokens);
    gauge(p, "muster_tokens_per_second", "Tokens trained on per second.", m->tokens_per_s);
    gauge(p, "muster_step_seconds", "Wall time of a step.", 1e-3 * m->step_ms);
    gauge(p, "muster_learning_rate", "Learning rate.", m->lr);
    gauge(p, "muster_gradient_norm", "Norm of the gradient before clipping.", m->gradient_norm);
    gauge(p, "muster_peak_ratio",
          "Arithmetic of a step over what large matrix products reach, 0 to 1.", m->peak_share);
}

static void print_account(const struct page *p, const struct mu_ledger_sum *s)
{
    describe(p, "muster_rank_seconds_total", "counter",
             "Seconds of ranks by what they were spent on.");
    for (enum mu_ledger_kind k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
        char label[64];

        snprintf(label, sizeof label, "kind=\"%s\"", mu_ledger_word(k));
        sample(p, "muster_rank_seconds_total", label, (double)s->us[k] / 1e6);
    }
    for (enum mu_ledger_event e = 0; e < MU_LEDGER_EVENT_COUNT; e++) {
        char name[64], help[96];

        snprintf(name, sizeof name, "muster_%s_total", mu_ledger_event_key(e));
        snprintf(help, sizeof help, "Count of %s.", mu_ledger_event_text(e));
        describe(p, name, "counter", help);
        sample(p, name, "", (double)s->events[e]);
    }
}

char *mu_prometheus_print(const struct mu_prometheus *p, const struct mu_run_status *s,
                          double now_s)
{
    char *text = NULL;
    size_t size = 0;
    struct page page = {.out = open_memstream(&text, &size), .run = p->run};
    bool failed;

    if (!page.out)
        return NULL;
    print_state(&page, s);
    print_training(&page, s, &p->metrics);
    describe(&page, "muster_ranks", "gauge", "Live ranks; the master is one of the workers.");
    sample(&page, "muster_ranks", "role=\"worker\"", s->workers);
    sample(&page, "muster_ranks", "role=\"spare\"",
           s->ranks > s->workers ? s->ranks - s->workers : 0);
    gauge(&page, "muster_hosts", "Hosts of the live ranks.", s->hosts);
    print_account(&page, &s->goodput);
    gauge(&page, "muster_started_timestamp_seconds", "When this start of the run began.",
          p->began_s);
    gauge(&page, "muster_updated_timestamp_seconds", "When this file was written.", now_s);
    failed = ferror(page.out) != 0;
    if (fclose(page.out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

/* "NAME"; of a trial "SWEEP/NAME", as trials of several sweeps share their names. */
static void name_run(const char *path, char *out, size_t size)
{
    const char *trial = mu_run_dir_trial(path);
    char copy[MU_PATH_MAX], name[MU_PATH_MAX];
    size_t length = trial ? (size_t)(trial - path) - strlen("/trials/") : strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    snprintf(copy, sizeof copy, "%.*s", (int)length, path);
    snprintf(name, sizeof name, "%.2000s%s%.2000s",
             strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy, trial ? "/" : "",
             trial ? trial : "");
    escape(name, out, size);
}

enum mu_status mu_prometheus_open(struct mu_prometheus *p, const char *path)
{
    enum mu_status st;

    *p = (struct mu_prometheus){.began_s = mu_clock_date_s()};
    MU_TRY(mu_path_format(p->path, "%s/prometheus.prom", path), st, done);
    MU_TRY(mu_path_format(p->beside, "%s/prometheus.prom.tmp", path), st, done);
    name_run(path, p->run, sizeof p->run);
done:
    return st;
}

void mu_prometheus_note(struct mu_prometheus *p, const struct mu_metrics *m)
{
    p->metrics = *m;
}

void mu_prometheus_write(struct mu_prometheus *p, const struct mu_run_status *s)
{
    char *text = mu_prometheus_print(p, s, mu_clock_date_s());
    int error = text ? mu_file_replace(p->path, p->beside, text) : ENOMEM;

    free(text);
    if (error != 0 && !p->warned) {
        p->warned = true;
        mu_log(MU_LOG_WARN, "cannot write %s: %s; training goes on without it", p->path,
               strerror(error));
    }
}
