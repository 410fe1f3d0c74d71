/* The table on the terminal, 100 columns at most. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "orchestrator/base/text_wrap.h"
#include "orchestrator/profile/found.h"

/* Tenths of a percent that add up to exactly 1000: what is lost by rounding down goes to the rows
 * that lose most. */
static void tenths(const double *share, int count, int *out)
{
    double lost[MU_TIMED_ROW_COUNT];
    int left = 1000;

    for (int i = 0; i < count; i++) {
        out[i] = (int)(1000 * share[i]);
        lost[i] = 1000 * share[i] - out[i];
        left -= out[i];
    }
    for (; left > 0 && count > 0; left--) {
        int most = 0;

        for (int i = 1; i < count; i++)
            most = lost[i] > lost[most] ? i : most;
        out[most]++;
        lost[most] = -1;
    }
}

static void cell(int width, int digits, double value)
{
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, value);
}

static void show_rows(const struct mu_profile_sums *s)
{
    double share[MU_TIMED_ROW_COUNT];
    int of_1000[MU_TIMED_ROW_COUNT];

    for (int i = 0; i < s->rows; i++)
        share[i] = s->row[i].share;
    tenths(share, s->rows, of_1000);
    printf("%-29s %7s %9s %6s %9s %6s %7s %8s  %s\n", "operation", "calls", "ms", "%", "GFLOP/s",
           "% peak", "GB/s", "% memory", "near");
    for (int i = 0; i < s->rows; i++) {
        const struct mu_profile_row *r = &s->row[i];

        printf("%-29s %7.*f %9.3f %6.1f", mu_timed_word(r->row), r->calls < 10 ? 1 : 0, r->calls,
               r->ms, 0.1 * of_1000[i]);
        cell(9, 1, 1e-9 * r->flops_per_s);
        cell(6, 1, 100 * r->peak_share);
        cell(7, 2, 1e-9 * r->bytes_per_s);
        cell(8, 1, 100 * r->memory_share);
        printf("%s%s\n", *r->near ? "  " : "", r->near);
    }
    printf("%-29s %7s %9.3f %6.1f\n\n", "a step", "", s->step_ms, 100.0);
}

static void show_phases(const struct mu_profile_sums *s)
{
    enum { COLUMN = 8 };
    const char *between = "";
    char text[512];
    size_t n = 0;

    for (int p = 0; p < MU_TIMED_PHASE_COUNT && n < sizeof text; p++) {
        if (s->phase_ms[p] / s->step_ms < 0.0005)
            continue;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %.1f", between,
                              mu_timed_phase_word((enum mu_timed_phase)p),
                              100 * s->phase_ms[p] / s->step_ms);
        between = ", ";
    }
    if (n < sizeof text)
        snprintf(text + n, sizeof text - n, " %%");
    mu_text_wrap(stdout, COLUMN, printf("phases:"), text);
}

static void show_ranks(const struct mu_profile_found *f, const struct mu_profile_sums *s)
{
    double mean = 0;

    for (int i = 0; i < f->ranks; i++)
        mean += mu_profile_busy_ms(f, i) / f->ranks;
    for (int i = 0; i < f->ranks && f->ranks > 1 && f->ranks <= 16; i++)
        printf("rank %d: at work %.3f ms of a step, waits or communicates %.3f ms\n",
               f->rank[i].name, mu_profile_busy_ms(f, i), mu_profile_away_ms(f, i));
    if (f->ranks > 1 && mean > 0)
        printf("slowest: rank %d, %.1f %% longer at work than the mean of %.3f ms\n",
               f->rank[s->slowest].name, 100 * (mu_profile_busy_ms(f, s->slowest) / mean - 1),
               mean);
    printf("longest time without a poll: %.3f ms", f->rank[s->longest_gap].gap_ms);
    if (f->ranks > 1)
        printf(" on rank %d", f->rank[s->longest_gap].name);
    printf(", mostly in: %s\n", mu_timed_word(f->rank[s->longest_gap].gap_row));
}

static void show_rate(const char *what, double rate, int digits, const char *unit)
{
    if (rate > 0)
        printf("%s %.*f %s", what, digits, 1e-9 * rate, unit);
    else
        printf("%s not measured (no room)", what);
}

static void show_rates(const struct mu_profile_sums *s)
{
    printf("this machine, all ranks at once, just measured: ");
    show_rate("matrix products", s->peak_flops, 1, "GFLOP/s");
    show_rate(", memory", s->bandwidth, 2, "GB/s");
    printf("\n\n");
}

void mu_profile_show(const struct mu_profile_found *f, const struct mu_profile_sums *s)
{
    printf("%s\n", f->summary);
    printf(
        "%d rank%s of %d thread%s, device %s, %s: a step of %.0f tokens takes %.3f ms (median of "
        "%" PRId64 ")\n",
        f->ranks, f->ranks == 1 ? "" : "s", f->threads, f->threads == 1 ? "" : "s", f->device,
        f->precision, f->tokens_per_step, s->plain_ms, f->steps);
    printf("timed, every other step: %.3f ms; timing costs %+.1f %%%s\n", s->timed_ms,
           100 * (s->timed_ms / s->plain_ms - 1),
           f->waits_for_operations ? ", since each operation of the device is waited for" : "");
    show_rates(s);
    show_rows(s);
    show_phases(s);
    show_ranks(f, s);
    printf("state hash of step %" PRId64 ": %s\n", f->last_step, mu_hash_print(f->hash).text);
}
