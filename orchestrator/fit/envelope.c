/* The envelope of loss curves.
 *
 * Each curve is made monotone first (the nearest non-increasing sequence in least squares: a
 * running minimum would keep the luckiest dip of every curve), then read off between its own
 * moments, linearly in ln C and never beyond them. A size's loss at a C is the lowest of its curves
 * (as in the paper, where a size is trained with several schedules, of which one fits the C). Where
 * the lowest size is the smallest or the largest of those that have a loss there, the minimum may
 * lie outside: such samples are left out.
 *
 * The lowest size is a staircase in C, N* rounded to the sizes there are. Least squares of ln N
 * on ln C would flatten it by 1/K^2 with K stairs (11 % at three). For each size, on the other
 * hand, the amounts of compute at which it is the best lie evenly round the line: so ln C is
 * regressed on ln N, and the line inverted. */
#include "orchestrator/fit/envelope.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"

static const double SAME = 1e-3; /* ln N */
enum { SIZES_AT_LEAST = 4 };

struct moment {
    uint32_t curve;
    double ln_c, ln_n, loss, weight;
    size_t point;
};

struct curve {
    double n, ln_n, ln_flops; /* of a token */
    size_t first_point;       /* whose multiplicity is the curve's */
    size_t size;              /* 0: the smallest */
    size_t from, to;          /* samples at which it has a loss: [from, to) */
    double *loss;             /* [to - from] */
};

struct mu_curves {
    size_t count, sizes; /* curves by ln N */
    double ln_c_low, ln_c_step, c[MU_ENVELOPE_SAMPLES];
    struct curve *curve;
};

static int by_curve_and_compute(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    if (x->curve != y->curve)
        return x->curve < y->curve ? -1 : 1;
    if (x->ln_c != y->ln_c)
        return x->ln_c < y->ln_c ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

static int by_size(const void *a, const void *b)
{
    const struct curve *x = a, *y = b;

    if (x->ln_n != y->ln_n)
        return x->ln_n < y->ln_n ? -1 : 1;
    return x->first_point < y->first_point ? -1 : x->first_point > y->first_point;
}

/* Moments of the same C become one, with the mean loss. */
static size_t merge_equal(struct moment *m, size_t count)
{
    size_t kept = 0;

    for (size_t k = 0; k < count; k++) {
        struct moment *last = kept ? &m[kept - 1] : NULL;

        if (!last || m[k].ln_c > last->ln_c) {
            m[kept++] = m[k];
            continue;
        }
        last->loss += (m[k].loss - last->loss) * m[k].weight / (last->weight + m[k].weight);
        last->weight += m[k].weight;
    }
    return kept;
}

/* Pool adjacent violators: blocks[] holds where each pool begins. */
static void make_monotone(struct moment *m, size_t count, size_t *blocks)
{
    size_t pools = 0;

    for (size_t k = 0; k < count; k++) {
        double loss = m[k].loss, weight = m[k].weight;
        size_t begin = k;

        while (pools > 0 && m[blocks[pools - 1]].loss < loss) {
            const struct moment *before = &m[blocks[--pools]];

            begin = blocks[pools];
            loss = (loss * weight + before->loss * before->weight) / (weight + before->weight);
            weight += before->weight;
        }
        blocks[pools++] = begin;
        m[begin].loss = loss;
        m[begin].weight = weight;
    }
    for (size_t p = 0; p < pools; p++)
        for (size_t k = blocks[p] + 1; k < (p + 1 < pools ? blocks[p + 1] : count); k++)
            m[k].loss = m[blocks[p]].loss;
}

static enum mu_status read_off(const struct mu_curves *curves, const struct moment *m, size_t count,
                               struct curve *curve)
{
    const double low = curves->ln_c_low, step = curves->ln_c_step;
    size_t k = 0;

    while (curve->from < MU_ENVELOPE_SAMPLES && low + (double)curve->from * step < m[0].ln_c)
        curve->from++;
    curve->to = curve->from;
    while (curve->to < MU_ENVELOPE_SAMPLES && low + (double)curve->to * step <= m[count - 1].ln_c)
        curve->to++;
    curve->loss = calloc(curve->to - curve->from + 1, sizeof *curve->loss);
    if (!curve->loss)
        return MU_FAIL(MU_NO_MEMORY, "a loss curve of %zu samples", curve->to - curve->from);
    for (size_t s = curve->from; s < curve->to; s++) {
        const double x = low + (double)s * step;
        double part;

        while (k + 2 < count && m[k + 1].ln_c < x)
            k++;
        part = (x - m[k].ln_c) / (m[k + 1].ln_c - m[k].ln_c);
        curve->loss[s - curve->from] = m[k].loss + part * (m[k + 1].loss - m[k].loss);
    }
    return MU_OK;
}

/* One curve from its moments; curves of a single moment have no inside and are left out. */
static enum mu_status add_curve(struct mu_curves *curves, const struct mu_fit_point *points,
                                struct moment *m, size_t count, size_t *scratch)
{
    struct curve *curve = &curves->curve[curves->count];
    const struct mu_fit_point *first = &points[m[0].point];

    for (size_t k = 1; k < count; k++)
        if (fabs(m[k].ln_n - m[0].ln_n) > SAME)
            return MU_FAIL(MU_FAILED,
                           "a loss curve has two sizes: N = %g (line %d) and %g (line %d); rows of "
                           "one curve must be moments of one run",
                           first->n, first->line, points[m[k].point].n, points[m[k].point].line);
    *curve = (struct curve){.n = first->n,
                            .ln_n = m[0].ln_n,
                            .ln_flops = mu_det_log(first->c / first->d),
                            .first_point = m[0].point};
    count = merge_equal(m, count);
    if (count < 2)
        return MU_OK;
    make_monotone(m, count, scratch);
    curves->count++;
    return read_off(curves, m, count, curve);
}

static void number_sizes(struct mu_curves *curves)
{
    double last = 0;

    qsort(curves->curve, curves->count, sizeof *curves->curve, by_size);
    for (size_t k = 0; k < curves->count; k++) {
        struct curve *curve = &curves->curve[k];

        if (k == 0 || curve->ln_n - last > SAME) {
            last = curve->ln_n;
            curves->sizes++;
        }
        curve->size = curves->sizes - 1;
    }
}

static size_t gather(const struct mu_fit_point *points, size_t count, struct moment *m)
{
    size_t kept = 0;

    for (size_t k = 0; k < count; k++)
        if (points[k].curve != MU_FIT_NONE && points[k].weight > 0)
            m[kept++] = (struct moment){.curve = points[k].curve,
                                        .ln_c = mu_det_log(points[k].c),
                                        .ln_n = mu_det_log(points[k].n),
                                        .loss = points[k].loss,
                                        .weight = points[k].weight,
                                        .point = k};
    qsort(m, kept, sizeof *m, by_curve_and_compute);
    return kept;
}

enum mu_status mu_curves_new(const struct mu_fit_point *points, size_t count,
                             struct mu_curves **out)
{
    struct mu_curves *curves = calloc(1, sizeof *curves);
    struct moment *m = calloc(count + 1, sizeof *m);
    size_t *scratch = calloc(count + 1, sizeof *scratch), moments;
    double high = 0;
    enum mu_status st = MU_OK;

    *out = NULL;
    if (curves)
        curves->curve = calloc(count / 2 + 1, sizeof *curves->curve); /* two moments each */
    if (!curves || !m || !scratch || !curves->curve) {
        st = MU_FAIL(MU_NO_MEMORY, "loss curves of %zu points", count);
        goto done;
    }
    moments = gather(points, count, m);
    for (size_t k = 0; k < moments; k++) {
        curves->ln_c_low = k == 0 ? m[k].ln_c : fmin(curves->ln_c_low, m[k].ln_c);
        high = k == 0 ? m[k].ln_c : fmax(high, m[k].ln_c);
    }
    curves->ln_c_step = (high - curves->ln_c_low) / (MU_ENVELOPE_SAMPLES - 1);
    for (size_t k = 0; k < MU_ENVELOPE_SAMPLES; k++)
        curves->c[k] = mu_det_exp(curves->ln_c_low + (double)k * curves->ln_c_step);
    for (size_t k = 0, n; k < moments; k += n) {
        for (n = 1; k + n < moments && m[k + n].curve == m[k].curve; n++)
            ;
        if (n > 1)
            MU_TRY(add_curve(curves, points, m + k, n, scratch), st, done);
    }
    number_sizes(curves);
    *out = curves;
    curves = NULL;
done:
    mu_curves_free(curves);
    free(m);
    free(scratch);
    return st;
}

void mu_curves_free(struct mu_curves *curves)
{
    if (!curves)
        return;
    for (size_t k = 0; curves->curve && k < curves->count; k++)
        free(curves->curve[k].loss);
    free(curves->curve);
    free(curves);
}

/* The lowest curve at a sample; NULL where fewer than two sizes have a loss or the lowest is the
 * first or the last of them. Sets *overlap where two sizes have one. */
static const struct curve *lowest_inside(const struct mu_curves *curves, const double *multiplicity,
                                         size_t sample, double *loss, bool *overlap)
{
    const struct curve *best = NULL;
    size_t first = SIZE_MAX, last = 0;

    for (size_t k = 0; k < curves->count; k++) {
        const struct curve *curve = &curves->curve[k];

        if (sample < curve->from || sample >= curve->to ||
            (multiplicity && multiplicity[curve->first_point] <= 0))
            continue;
        if (first == SIZE_MAX)
            first = curve->size;
        last = curve->size; /* curves are by size */
        if (!best || curve->loss[sample - curve->from] < *loss) {
            best = curve;
            *loss = curve->loss[sample - curve->from];
        }
    }
    *overlap = *overlap || (best && first < last);
    return best && best->size > first && best->size < last ? best : NULL;
}

struct sums {
    double n, c, flops, nn, nc, nf;
};

/* N* from C = f(N) inverted, and D* = C / flops(N*), whose FLOPs of a token are a power of N. */
static void fit_lines(const struct sums *s, struct mu_envelope *out)
{
    const double total = (double)out->samples, mean_n = s->n / total, mean_c = s->c / total;
    const double nn = s->nn / total - mean_n * mean_n;
    const double slope = (s->nc / total - mean_n * mean_c) / nn;
    const double flops = (s->nf / total - mean_n * s->flops / total) / nn;

    if (!(slope > 0)) {
        mu_refuse(&out->refusal,
                  "the best size does not grow with compute between %.3g and %.3g "
                  "FLOPs: the curves are too noisy, or of too few sizes",
                  out->c_low, out->c_high);
        return;
    }
    out->n_line.exponent = 1 / slope;
    out->n_line.ln_at_one = mean_n - mean_c / slope;
    out->d_line.exponent = 1 - flops / slope;
    out->d_line.ln_at_one = -(s->flops / total + flops * (out->n_line.ln_at_one - mean_n));
}

static void refuse_without_line(const struct mu_curves *curves, bool overlap,
                                struct mu_envelope *out)
{
    if (!overlap)
        mu_refuse(&out->refusal,
                  "the loss curves of %zu sizes nowhere overlap in C: run small "
                  "models longer, or log large ones earlier",
                  curves->sizes);
    else if (out->sizes == 0)
        mu_refuse(&out->refusal, "wherever the curves overlap, the smallest or the largest size is "
                                 "the lowest: the best one may lie outside the sizes tried");
    else if (out->sizes == 1)
        mu_refuse(&out->refusal,
                  "only one size (N = %.3g) is lowest between smaller and larger "
                  "ones: a line needs two; add sizes",
                  out->n[0]);
}

static size_t count_present(const struct mu_curves *curves, const double *multiplicity,
                            size_t *sizes)
{
    size_t present = 0, last = SIZE_MAX;

    *sizes = 0;
    for (size_t k = 0; k < curves->count; k++) {
        if (multiplicity && multiplicity[curves->curve[k].first_point] <= 0)
            continue;
        present++;
        *sizes += curves->curve[k].size != last;
        last = curves->curve[k].size;
    }
    return present;
}

/* Sizes that are lowest somewhere, each once. */
struct winners {
    size_t count, size[MU_ENVELOPE_SAMPLES];
};

static void note_winner(struct winners *winners, size_t size)
{
    for (size_t k = 0; k < winners->count; k++)
        if (winners->size[k] == size)
            return;
    winners->size[winners->count++] = size;
}

static void trace(const struct mu_curves *curves, const double *multiplicity, struct sums *s,
                  struct mu_envelope *out)
{
    struct winners winners;
    bool overlap = false;

    winners.count = 0;
    for (size_t k = 0; k < MU_ENVELOPE_SAMPLES; k++) {
        const double ln_c = curves->ln_c_low + (double)k * curves->ln_c_step;
        double loss = INFINITY;
        const struct curve *best = lowest_inside(curves, multiplicity, k, &loss, &overlap);

        if (!best)
            continue;
        note_winner(&winners, best->size);
        out->c[out->samples] = curves->c[k];
        out->n[out->samples] = best->n;
        out->loss[out->samples++] = loss;
        s->n += best->ln_n;
        s->c += ln_c;
        s->flops += best->ln_flops;
        s->nn += best->ln_n * best->ln_n;
        s->nc += best->ln_n * ln_c;
        s->nf += best->ln_n * best->ln_flops;
    }
    out->sizes = winners.count;
    if (out->samples > 0) {
        out->c_low = out->c[0];
        out->c_high = out->c[out->samples - 1];
    }
    refuse_without_line(curves, overlap, out);
}

void mu_envelope_fit(const struct mu_curves *curves, const double *multiplicity,
                     struct mu_envelope *out)
{
    struct sums sums = {0};
    size_t sizes;

    *out = (struct mu_envelope){0};
    out->curves = count_present(curves, multiplicity, &sizes);
    if (out->curves == 0)
        mu_refuse(&out->refusal, "needs loss curves: losses at several moments of each run; these "
                                 "points are end points only");
    else if (sizes < SIZES_AT_LEAST)
        mu_refuse(&out->refusal, "loss curves of %zu size%s: an envelope needs at least %d", sizes,
                  sizes == 1 ? "" : "s", SIZES_AT_LEAST);
    if (!out->refusal.refused)
        trace(curves, multiplicity, &sums, out);
    if (!out->refusal.refused)
        fit_lines(&sums, out);
}
