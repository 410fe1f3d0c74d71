/* Fields are printed one by one with their importance; a bar takes as many as fit. */
#include "orchestrator/run/progress_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BAR_LEAST = 10, BAR_MOST = 40, RATE_FORGETS_S = 60 };

/* In the order of the line. Importance: 0 is kept longest. */
enum field { LOSS, NORM, LR, TIME, TOKENS, PEAK, ETA, FIELD_COUNT };
static const int importance[FIELD_COUNT] = {
    [LOSS] = 0, [ETA] = 1, [TIME] = 2, [TOKENS] = 3, [LR] = 4, [PEAK] = 5, [NORM] = 6,
};

struct fields {
    char text[FIELD_COUNT][40]; /* empty: no value */
};

struct mu_progress_text mu_progress_duration(double seconds)
{
    struct mu_progress_text out;
    uint64_t s = seconds > 0 ? (uint64_t)fmin(seconds + 0.5, 1e15) : 0;
    uint64_t days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;

    if (days > 0)
        snprintf(out.text, sizeof out.text, "%" PRIu64 "d %02" PRIu64 ":%02" PRIu64, days, hours,
                 minutes);
    else if (hours > 0)
        snprintf(out.text, sizeof out.text, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, hours, minutes,
                 s % 60);
    else
        snprintf(out.text, sizeof out.text, "%" PRIu64 ":%02" PRIu64, minutes, s % 60);
    return out;
}

static void print_time(double ms, char *out, size_t size)
{
    if (ms < 9.995)
        snprintf(out, size, "%.2f ms", ms);
    else if (ms < 999.95)
        snprintf(out, size, "%.1f ms", ms);
    else
        snprintf(out, size, ms < 9995 ? "%.2f s" : "%.1f s", ms / 1000);
}

struct mu_progress_text mu_progress_count(double n)
{
    static const char units[] = {0, 'k', 'M', 'G', 'T'};
    struct mu_progress_text out;
    size_t unit = 0;

    while (n >= 999.5 && unit + 1 < sizeof units) {
        n /= 1000;
        unit++;
    }
    snprintf(out.text, sizeof out.text, unit > 0 && n < 9.95 ? "%.1f%.1s" : "%.0f%.1s", n,
             &units[unit]);
    return out;
}

static struct fields print_fields(const struct mu_metrics *m, double eta_s)
{
    struct fields f = {0};
    double norm = m->gradient_norm;

    snprintf(f.text[LOSS], sizeof f.text[LOSS], "loss %.4f", m->loss); /* "nan" is news */
    if (!isnan(norm))
        snprintf(f.text[NORM], sizeof f.text[NORM],
                 norm != 0 && (norm < 0.01 || norm >= 1000) ? "norm %.1e" : "norm %.2f", norm);
    if (!isnan(m->lr))
        snprintf(f.text[LR], sizeof f.text[LR], "lr %.1e", m->lr);
    if (!isnan(m->step_ms))
        print_time(m->step_ms, f.text[TIME], sizeof f.text[TIME]);
    if (!isnan(m->tokens_per_s))
        snprintf(f.text[TOKENS], sizeof f.text[TOKENS], "%.30s tok/s",
                 mu_progress_count(m->tokens_per_s).text);
    if (!isnan(m->peak_share))
        snprintf(f.text[PEAK], sizeof f.text[PEAK], "%.0f%% of peak", 100 * m->peak_share);
    if (!isnan(eta_s))
        snprintf(f.text[ETA], sizeof f.text[ETA], "ETA %.30s", mu_progress_duration(eta_s).text);
    return f;
}

/* Appends the fields of at most this importance. */
static void append_fields(struct mu_progress_text *out, const struct fields *f, int least)
{
    size_t used = strlen(out->text);

    for (int i = 0; i < FIELD_COUNT; i++)
        if (f->text[i][0] && importance[i] <= least)
            used += (size_t)snprintf(out->text + used, sizeof out->text - used, "%s%s",
                                     used ? "  " : "", f->text[i]);
}

struct mu_progress_text mu_progress_line(const struct mu_metrics *m, int64_t steps, double eta_s)
{
    struct mu_progress_text out;
    struct fields f = print_fields(m, eta_s);

    snprintf(out.text, sizeof out.text, "step %" PRId64 "/%" PRId64, m->step, steps);
    append_fields(&out, &f, FIELD_COUNT);
    return out;
}

struct mu_progress_text mu_progress_bar(const struct mu_metrics *m, int64_t steps, double eta_s,
                                        int width)
{
    struct mu_progress_text out = {""}, words = {""};
    struct fields f = print_fields(m, eta_s);
    double share = steps > 0 ? fmin(1, fmax(0, (double)m->step / (double)steps)) : 1;
    int least = FIELD_COUNT, bar, filled;

    if (width > MU_PROGRESS_LINE_MAX - 1)
        width = MU_PROGRESS_LINE_MAX - 1;
    do {
        snprintf(words.text, sizeof words.text, "%3d%% %" PRId64 "/%" PRId64, (int)(100 * share),
                 m->step, steps);
        append_fields(&words, &f, least);
        bar = width - (int)strlen(words.text) - 3; /* "[", "] " */
    } while (bar < BAR_LEAST && least-- >= 0);
    if (bar < BAR_LEAST) { /* not even "30% 120/400" and a bar */
        snprintf(out.text, sizeof out.text, "%.*s", width > 0 ? width : 0, words.text);
        return out;
    }
    bar = bar > BAR_MOST ? BAR_MOST : bar;
    filled = (int)(share * bar);
    out.text[0] = '[';
    for (int i = 0; i < bar; i++)
        out.text[1 + i] = i < filled ? '=' : i == filled ? '>' : ' ';
    snprintf(out.text + 1 + bar, sizeof out.text - 1 - (size_t)bar, "] %.*s",
             (int)sizeof out.text - bar - 4, words.text);
    return out;
}

struct mu_progress_text mu_progress_eval_line(const struct mu_metrics *m, int64_t steps)
{
    struct mu_progress_text out;
    int n = snprintf(out.text, sizeof out.text, "step %" PRId64 "/%" PRId64 "  valid loss %.4f",
                     m->step, steps, m->valid_loss);

    if (!isnan(m->valid_bits_per_byte))
        snprintf(out.text + n, sizeof out.text - (size_t)n, "  %.3f bits per byte",
                 m->valid_bits_per_byte);
    return out;
}

void mu_progress_rate_start(struct mu_progress_rate *r, double now_s, int64_t step)
{
    *r = (struct mu_progress_rate){.last_s = now_s, .last_step = step};
}

void mu_progress_rate_step(struct mu_progress_rate *r, double now_s, int64_t step)
{
    double passed = now_s - r->last_s, kept;

    if (step <= r->last_step || passed < 0)
        return;
    kept = exp(-passed / RATE_FORGETS_S);
    r->time_s = r->time_s * kept + passed;
    r->steps = r->steps * kept + (double)(step - r->last_step);
    r->last_s = now_s;
    r->last_step = step;
}

double mu_progress_rate_left(const struct mu_progress_rate *r, int64_t steps)
{
    return r->steps > 0 ? (double)(steps - r->last_step) * r->time_s / r->steps : NAN;
}
