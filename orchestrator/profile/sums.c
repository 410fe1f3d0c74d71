/* The table's numbers. A row's rate is of all ranks together while they are in it: its work over
 * its rank-seconds, times the ranks; so it compares with the rates that all ranks reach at once. */
#include <math.h>
#include <stdlib.h>

#include "orchestrator/profile/found.h"

/* From this part of a rate on, the rate is what limits. */
static const double near = 0.5;

static double per_step(const struct mu_profile_found *f, uint64_t ns)
{
    return 1e-6 * (double)ns / (double)f->steps;
}

double mu_profile_phase_ms(const struct mu_profile_found *f, int rank, enum mu_timed_phase phase)
{
    double ms = 0;

    for (int i = 0; i < MU_TIMED_ROW_COUNT; i++)
        if (mu_timed_phase_of((enum mu_timed_row)i) == phase)
            ms += per_step(f, f->rank[rank].cell[i].ns);
    return ms;
}

double mu_profile_away_ms(const struct mu_profile_found *f, int rank)
{
    return mu_profile_phase_ms(f, rank, MU_TIMED_PHASE_WAIT) +
           mu_profile_phase_ms(f, rank, MU_TIMED_PHASE_IDLE) +
           mu_profile_phase_ms(f, rank, MU_TIMED_PHASE_COMMUNICATE);
}

double mu_profile_busy_ms(const struct mu_profile_found *f, int rank)
{
    double ms = -mu_profile_away_ms(f, rank);

    for (int p = 0; p < MU_TIMED_PHASE_COUNT; p++)
        ms += mu_profile_phase_ms(f, rank, (enum mu_timed_phase)p);
    return ms;
}

static void judge(struct mu_profile_row *r)
{
    const double compute = isnan(r->peak_share) ? 0 : r->peak_share,
                 memory = isnan(r->memory_share) ? 0 : r->memory_share;

    if (isnan(r->peak_share) && isnan(r->memory_share))
        r->near = "";
    else if (compute < near && memory < near)
        r->near = "overhead";
    else
        r->near = compute >= memory ? "compute" : "memory";
}

static struct mu_profile_row row_of(const struct mu_profile_found *f,
                                    const struct mu_profile_sums *s, enum mu_timed_row row)
{
    const double ranks = f->ranks, steps = (double)f->steps;
    struct mu_profile_row r = {.row = row};
    double flops = 0, bytes = 0, seconds = 0;

    for (int i = 0; i < f->ranks; i++) {
        const struct mu_timed_cell *c = &f->rank[i].cell[row];

        r.calls += (double)c->calls / ranks / steps;
        seconds += 1e-9 * (double)c->ns;
        flops += c->work.flops;
        bytes += c->work.bytes;
    }
    r.ms = 1e3 * seconds / ranks / steps;
    r.share = s->step_ms > 0 ? r.ms / s->step_ms : 0;
    r.flops_per_s = flops > 0 && seconds > 0 ? flops / seconds * ranks : NAN;
    r.bytes_per_s = bytes > 0 && seconds > 0 ? bytes / seconds * ranks : NAN;
    r.peak_share = s->peak_flops > 0 ? r.flops_per_s / s->peak_flops : NAN;
    r.memory_share = s->bandwidth > 0 ? r.bytes_per_s / s->bandwidth : NAN;
    judge(&r);
    return r;
}

static int by_ms(const void *a, const void *b)
{
    const struct mu_profile_row *x = a, *y = b;
    const int x_last = x->row == MU_TIMED_PART_REST, y_last = y->row == MU_TIMED_PART_REST;

    if (x_last != y_last)
        return x_last - y_last;
    return (x->ms < y->ms) - (x->ms > y->ms);
}

static void look_at_ranks(const struct mu_profile_found *f, struct mu_profile_sums *s)
{
    for (int i = 0; i < f->ranks; i++) {
        const struct mu_profile_rank *r = &f->rank[i];

        for (int p = 0; p < MU_TIMED_PHASE_COUNT; p++) {
            const double ms = mu_profile_phase_ms(f, i, (enum mu_timed_phase)p) / f->ranks;

            s->phase_ms[p] += ms;
            s->step_ms += ms;
        }
        s->timed_ms += r->timed_ms / f->ranks;
        s->plain_ms += r->plain_ms / f->ranks;
        s->peak_flops += r->peak_flops;
        s->bandwidth += r->bandwidth;
        if (mu_profile_busy_ms(f, i) > mu_profile_busy_ms(f, s->slowest))
            s->slowest = i;
        if (r->gap_ms > f->rank[s->longest_gap].gap_ms)
            s->longest_gap = i;
    }
}

struct mu_profile_sums mu_profile_add_up(const struct mu_profile_found *f)
{
    struct mu_profile_sums s = {.rows = 0};

    look_at_ranks(f, &s);
    for (int i = 0; i < MU_TIMED_ROW_COUNT; i++) {
        const struct mu_profile_row r = row_of(f, &s, (enum mu_timed_row)i);

        if (r.ms > 0 || i == MU_TIMED_PART_REST)
            s.row[s.rows++] = r;
    }
    qsort(s.row, (size_t)s.rows, sizeof *s.row, by_ms);
    return s;
}
