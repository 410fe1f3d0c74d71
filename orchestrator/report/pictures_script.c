/* What gnuplot is told: numbers in data blocks, and the commands that draw them. Text takes the
 * page's colour (page.c), so that a picture can be read on a dark page too. */
#include <math.h>
#include <string.h>

#include "orchestrator/fit/published.h"
#include "orchestrator/report/axes.h"
#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/pictures.h"
#include "orchestrator/report/words.h"

enum { SAMPLES = 80, ENVELOPE_SHOWN = 250, LEGEND_BUDGETS = 14, KEY_ROW = 22, FRAME = 520 };

/* Times the highest vertex: what of the parabolas is shown. */
#define CUT 1.2

/* Okabe & Ito's colours: told apart by the colour-blind too. */
static const char *const method_colour[MU_METHOD_COUNT] = {"#009e73", "#d55e00", "#0072b2"};
static const char grey[] = "#8a8a8a";

static void put_head(FILE *out, int width, int height)
{
    fprintf(out,
            "set encoding utf8\n"
            "set terminal svg size %d,%d dynamic font 'sans-serif,15'\n"
            "set border 3 lc '#909090'\n"
            "set tics nomirror out scale 0.7,0.4\n"
            "set grid xtics ytics lt 1 lc '#b0909090' lw 0.6\n"
            "set key above left horizontal reverse Left samplen 2 spacing 1.15\n",
            width, height);
}

/* All points with a final loss and a budget, per budget. */
static void put_budget(FILE *out, const struct mu_fit *fit, size_t budget)
{
    const struct mu_isoflop_budget *b = &fit->isoflop.budget[budget];

    fprintf(out, "$P%zu << EOD\n", budget);
    for (size_t i = 0; i < fit->points->count; i++)
        if (fit->budgets.of[i] == budget)
            fprintf(out, "%.9g %.9g\n", fit->points->point[i].n, fit->points->point[i].loss);
    fprintf(out, "NaN NaN\nEOD\n$Q%zu << EOD\n", budget);
    for (int k = 0; !b->refusal.refused && k <= SAMPLES; k++) {
        double n = b->n_low * pow(b->n_high / b->n_low, (double)k / SAMPLES);
        double x = log(n) - b->ln_n_centre;

        fprintf(out, "%.9g %.9g\n", n, b->q[0] + b->q[1] * x + b->q[2] * x * x);
    }
    fprintf(out, "EOD\n");
}

/* "6·10^{18}", as gnuplot sets it */
static struct mu_figure power_of_ten(double value)
{
    double decade = floor(log10(value * 1.0005)), mantissa = value / pow(10, decade);
    struct mu_figure f;

    if (fabs(mantissa - 1) < 5e-4)
        snprintf(f.text, sizeof f.text, "10^{%.0f}", decade);
    else
        snprintf(f.text, sizeof f.text, "%.3g·10^{%.0f}", mantissa, decade);
    return f;
}

static bool script_isoflop(FILE *out, const struct mu_fit *fit)
{
    struct mu_span n = MU_SPAN_EMPTY, loss = MU_SPAN_EMPTY;
    double vertex = 0;
    size_t count = fit->isoflop.count, every = 1 + (count - 1) / LEGEND_BUDGETS;

    if (count == 0 || fit->budgets.count == 0)
        return false;
    put_head(out, 960, 560);
    fprintf(out, "$V << EOD\n");
    for (size_t k = 0; k < count; k++) {
        const struct mu_estimate *v = &fit->vertex_n[k];

        if (fit->isoflop.budget[k].refusal.refused)
            continue;
        fprintf(out, "%.9g %.9g %.9g %.9g\n", v->value, fit->isoflop.budget[k].loss,
                isnan(v->low95) ? v->value : v->low95, isnan(v->high95) ? v->value : v->high95);
    }
    fprintf(out, "NaN NaN NaN NaN\nEOD\n");
    for (size_t k = 0; k < count; k++)
        put_budget(out, fit, k);
    for (size_t i = 0; i < fit->points->count; i++)
        if (fit->budgets.of[i] < count) {
            mu_span_take(&n, fit->points->point[i].n);
            mu_span_take(&loss, fit->points->point[i].loss);
        }
    for (size_t k = 0; k < count; k++)
        if (!fit->isoflop.budget[k].refusal.refused)
            vertex = fmax(vertex, fit->isoflop.budget[k].loss);
    if (vertex > 0) /* a few diverged runs would press all parabolas flat */
        loss.high = fmin(loss.high, CUT * vertex);
    mu_axis_put(out, "x", MU_AXIS_COUNTS, n, .03, 12);
    mu_axis_put(out, "y", MU_AXIS_LOSS, loss, .04, 12);
    fprintf(out, "set xlabel 'parameters N'\nset ylabel 'loss'\n"
                 "set key outside right top vertical Right noreverse title 'budget C, FLOPs'\n"
                 "plot ");
    for (size_t k = count; k-- > 0;) {
        struct mu_colour colour = mu_colour_at(count > 1 ? (double)k / (double)(count - 1) : .5);
        bool refused = fit->isoflop.budget[k].refusal.refused;

        if (!refused)
            fprintf(out, "$Q%zu with lines lw 1.8 lc '%s' notitle, ", k, colour.text);
        fprintf(out, "$P%zu with points pt %d ps 0.6 lw 1.8 lc '%s' ", k, refused ? 6 : 7,
                colour.text);
        if (k % every == 0)
            fprintf(out, "title '%s', ", power_of_ten(fit->budgets.c[k]).text);
        else
            fprintf(out, "notitle, ");
    }
    fprintf(out, "$V using 1:2:3:4 with xerrorbars pt 13 ps 1.1 lw 1.6 lc '%s' title 'vertex'\n",
            method_colour[MU_METHOD_ISOFLOP]);
    return true;
}

static void put_loss_points(FILE *out, const struct mu_fit *fit, struct mu_span *c,
                            struct mu_span *n, struct mu_span *loss)
{
    const struct mu_fit_points *points = fit->points;
    uint32_t curve = MU_FIT_NONE;

    for (int used = 1; used >= 0; used--) {
        fprintf(out, "$%s << EOD\n", used ? "USED" : "LEFT");
        for (size_t i = 0; i < points->count; i++)
            if (points->point[i].end && fit->residual[i].used == used)
                fprintf(out, "%.9g %.9g %.9g\n", points->point[i].c, points->point[i].loss,
                        points->point[i].n);
        fprintf(out, "NaN NaN NaN\nEOD\n");
    }
    fprintf(out, "$CURVES << EOD\n");
    for (size_t i = 0; i < points->count; i++) {
        const struct mu_fit_point *p = &points->point[i];

        mu_span_take(c, p->c);
        mu_span_take(n, p->n);
        mu_span_take(loss, p->loss);
        if (p->curve == MU_FIT_NONE)
            continue;
        fprintf(out, "%s%.9g %.9g %.9g\n", p->curve != curve ? "\n" : "", p->c, p->loss, p->n);
        curve = p->curve;
    }
    fprintf(out, "NaN NaN NaN\nEOD\n");
}

static bool script_loss(FILE *out, const struct mu_fit *fit)
{
    enum mu_method method = mu_contents_method(fit);
    const struct mu_fit_scaling *s = method < MU_METHOD_COUNT ? &fit->scaling[method] : NULL;
    const struct mu_envelope *e = &fit->envelope;
    struct mu_span c = MU_SPAN_EMPTY, n = MU_SPAN_EMPTY, loss = MU_SPAN_EMPTY;

    put_head(out, 960, 580);
    put_loss_points(out, fit, &c, &n, &loss);
    fprintf(out, "$BEST << EOD\n");
    for (size_t k = 0; s && k < MU_FIT_PATH; k++) {
        const struct mu_fit_optimum *o = &s->path[k];

        fprintf(out, "%.9g %.9g %.9g %.9g\n", o->c, o->loss.value, o->loss.low95, o->loss.high95);
        mu_span_take(&c, isnan(o->loss.value) ? NAN : o->c);
        mu_span_take(&loss, o->loss.value);
        mu_span_take(&loss, o->loss.low95);
    }
    fprintf(out, "NaN NaN NaN NaN\nEOD\n$ENVELOPE << EOD\n");
    for (size_t k = 0; !e->refusal.refused && k < e->samples; k += 1 + e->samples / ENVELOPE_SHOWN)
        fprintf(out, "%.9g %.9g\n", e->c[k], e->loss[k]);
    fprintf(out, "NaN NaN\nEOD\n");
    mu_axis_put(out, "x", MU_AXIS_POWERS, c, .02, 12);
    mu_axis_put(out, "y", MU_AXIS_LOSS, loss, .04, 12);
    mu_axis_put(out, "cb", MU_AXIS_COUNTS, n, 0, 8);
    mu_palette_put(out);
    fprintf(out,
            "set colorbox\nset cblabel 'parameters N'\n"
            "set xlabel 'training FLOPs C'\nset ylabel 'loss'\n"
            "plot $BEST using 1:3:4 with filledcurves lc '%1$s' fs transparent solid 0.18 noborder "
            "notitle, "
            "$CURVES using 1:2:3 with lines lw 1.2 lc palette notitle, "
            "$USED using 1:2:3 with points pt 7 ps 0.55 lc palette notitle, "
            "$LEFT using 1:2 with points pt 6 ps 0.6 lc '%2$s' %3$s",
            method_colour[MU_METHOD_PARAMETRIC], grey,
            fit->dropped > 0 ? "title 'dropped'" : "notitle");
    if (!e->refusal.refused)
        fprintf(out, ", $ENVELOPE with lines lw 6 lc '#80%s' title 'envelope'",
                method_colour[MU_METHOD_ENVELOPE] + 1);
    if (s)
        fprintf(out,
                ", $BEST using 1:2 with lines lw 2.2 lc '%s' title 'best of each budget, by "
                "the law'",
                method_colour[MU_METHOD_PARAMETRIC]);
    fprintf(out, "\n");
    return isfinite(c.low) && isfinite(n.low) && isfinite(loss.low);
}

static const struct mu_estimate *of_optimum(const struct mu_fit_optimum *o, enum mu_picture of)
{
    return of == MU_PICTURE_N ? &o->n : of == MU_PICTURE_D ? &o->d : &o->ratio;
}

/* D falls as N grows, at one budget: the ends of their intervals belong together crosswise. */
static struct mu_estimate vertex_of(const struct mu_fit *fit, size_t budget, enum mu_picture of)
{
    const struct mu_estimate *n = &fit->vertex_n[budget], *d = &fit->vertex_d[budget];

    if (of == MU_PICTURE_N)
        return *n;
    if (of == MU_PICTURE_D)
        return *d;
    return (struct mu_estimate){.value = d->value / n->value,
                                .low95 = d->low95 / n->high95,
                                .high95 = d->high95 / n->low95};
}

/* Lines, bands and targets of each method; `c` and `y` grow by what they hold. */
static void put_methods(FILE *out, const struct mu_fit *fit, enum mu_picture of, struct mu_span *c,
                        struct mu_span *y)
{
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        const struct mu_fit_scaling *s = &fit->scaling[m];

        if (!mu_contents_gives(fit, m))
            continue;
        fprintf(out, "$METHOD%d << EOD\n", (int)m);
        for (size_t k = 0; k < MU_FIT_PATH; k++) {
            const struct mu_estimate *v = of_optimum(&s->path[k], of);

            fprintf(out, "%.9g %.9g %.9g %.9g\n", s->path[k].c, v->value, v->low95, v->high95);
            mu_span_take(c, s->path[k].c);
            mu_span_take(y, v->value);
            mu_span_take(y, v->low95);
            mu_span_take(y, v->high95);
        }
        fprintf(out, "EOD\n");
    }
}

static void put_vertices(FILE *out, const struct mu_fit *fit, enum mu_picture of, struct mu_span *c,
                         struct mu_span *y)
{
    enum mu_method method = mu_contents_method(fit);

    fprintf(out, "$VERTICES << EOD\n");
    for (size_t k = 0; k < fit->isoflop.count; k++) {
        const struct mu_estimate v = vertex_of(fit, k, of);

        if (fit->isoflop.budget[k].refusal.refused)
            continue;
        fprintf(out, "%.9g %.9g %.9g %.9g\n", fit->budgets.c[k], v.value,
                isnan(v.low95) ? v.value : v.low95, isnan(v.high95) ? v.value : v.high95);
        mu_span_take(y, v.value);
    }
    fprintf(out, "NaN NaN NaN NaN\nEOD\n$TARGETS << EOD\n");
    for (size_t t = 0; method < MU_METHOD_COUNT && t < fit->options.targets; t++) {
        const double value = of_optimum(&fit->scaling[method].target[t], of)->value;

        fprintf(out, "%.9g %.9g\n", fit->options.target[t], value);
        mu_span_take(c, fit->options.target[t]); /* maybe below all budgets fitted */
        mu_span_take(y, value);
    }
    fprintf(out, "NaN NaN\nEOD\n");
}

/* Beside ours, never at the cost of ours: at most a decade beyond what we have to show. */
static void put_published(FILE *out, enum mu_picture of, struct mu_span c, struct mu_span *y)
{
    const struct mu_span ours = *y;

    for (size_t k = 0; k < mu_published_law_count; k++) {
        fprintf(out, "$PUBLISHED%zu << EOD\n", k);
        for (int i = 0; i <= SAMPLES; i++) {
            double at = c.low * pow(c.high / c.low, (double)i / SAMPLES);
            double n = mu_published_laws[k].n(at), d = mu_published_laws[k].d(at);
            double v = of == MU_PICTURE_N ? n : of == MU_PICTURE_D ? d : d / n;

            fprintf(out, "%.9g %.9g\n", at, v);
            mu_span_take(y, v > ours.low / 10 && v < ours.high * 10 ? v : NAN);
        }
        fprintf(out, "EOD\n");
    }
}

static void plot_scaling(FILE *out, const struct mu_fit *fit)
{
    static const char *const published[] = {"#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f",
                                            "#a04fd0", "#8a8a8a", "#c2a900", "#7d8f2e"};
    const size_t colours = sizeof published / sizeof published[0];

    fprintf(out, "plot ");
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (mu_contents_gives(fit, m))
            fprintf(out,
                    "$METHOD%d using 1:3:4 with filledcurves lc '%s' fs transparent solid 0.15 "
                    "noborder notitle, ",
                    (int)m, method_colour[m]);
    for (size_t k = 0; k < mu_published_law_count; k++)
        fprintf(out, "$PUBLISHED%zu with lines lw 1.6 dt %zu lc '%s' title \"%s\" noenhanced, ", k,
                2 + (k + k / colours) % 4, published[k % colours], mu_published_laws[k].name);
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (mu_contents_gives(fit, m))
            fprintf(out, "$METHOD%d using 1:2 with lines lw 2.2 lc '%s' title '%s', ", (int)m,
                    method_colour[m], mu_words_method(m));
    if (fit->isoflop.vertices > 0)
        fprintf(out, "$VERTICES with yerrorbars pt 7 ps 0.6 lw 1.4 lc '%s' title 'vertices', ",
                method_colour[MU_METHOD_ISOFLOP]);
    fprintf(out, "$TARGETS with points pt 13 ps 1.2 lc '%s' %s\n",
            method_colour[MU_METHOD_PARAMETRIC],
            fit->options.targets > 0 ? "title 'recommended'" : "notitle");
}

static bool script_scaling(FILE *out, const struct mu_fit *fit, enum mu_picture of)
{
    static const char *const label[] = {[MU_PICTURE_N] = "parameters N*",
                                        [MU_PICTURE_D] = "tokens D*",
                                        [MU_PICTURE_RATIO] = "tokens per parameter, D* / N*"};
    struct mu_span c = MU_SPAN_EMPTY, y = MU_SPAN_EMPTY;
    int rows = (int)mu_published_law_count + 2; /* of the legend, which has two columns */

    if (mu_contents_method(fit) == MU_METHOD_COUNT)
        return false;
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        rows += mu_contents_gives(fit, m);
    rows = (rows + 1) / 2;
    put_head(out, 960, FRAME + KEY_ROW * rows);
    fprintf(out,
            "set key at screen 0.53, 0.005 center bottom vertical maxrows %d font ',13' width -7 "
            "samplen 2.5\n"
            "set bmargin at screen %g\n",
            rows, (KEY_ROW * rows + 92.) / (FRAME + KEY_ROW * rows));
    put_methods(out, fit, of, &c, &y);
    put_vertices(out, fit, of, &c, &y);
    if (!isfinite(c.low) || !isfinite(y.low))
        return false;
    put_published(out, of, c, &y);
    mu_axis_put(out, "x", MU_AXIS_POWERS, c, .02, 12);
    mu_axis_put(out, "y", MU_AXIS_COUNTS, y, .02, 12);
    for (size_t t = 0; t < fit->options.targets; t++)
        fprintf(out,
                "set arrow from %1$.9g, graph 0 to %1$.9g, graph 1 nohead dt 3 lc '%2$s' back\n",
                fit->options.target[t], grey);
    fprintf(out, "set xlabel 'training FLOPs C'\nset ylabel '%s'\n", label[of]);
    plot_scaling(out, fit);
    return true;
}

static bool script_residuals(FILE *out, const struct mu_fit *fit)
{
    static const char *const label[] = {"parameters N", "tokens D", "FLOPs C"};
    struct mu_span x[3] = {MU_SPAN_EMPTY, MU_SPAN_EMPTY, MU_SPAN_EMPTY};
    double most = 0;

    if (fit->law.refusal.refused)
        return false;
    put_head(out, 960, 360);
    for (int used = 1; used >= 0; used--) {
        fprintf(out, "$%s << EOD\n", used ? "USED" : "LEFT");
        for (size_t i = 0; i < fit->points->count; i++) {
            const struct mu_fit_point *p = &fit->points->point[i];
            double residual = 100 * (p->loss / fit->residual[i].predicted - 1);

            if (!p->end || fit->residual[i].used != used || !isfinite(residual))
                continue;
            fprintf(out, "%.9g %.9g %.9g %.9g\n", p->n, p->d, p->c, residual);
            mu_span_take(&x[0], p->n);
            mu_span_take(&x[1], p->d);
            mu_span_take(&x[2], p->c);
            most = used ? fmax(most, fabs(residual)) : most;
        }
        fprintf(out, "NaN NaN NaN NaN\nEOD\n");
    }
    if (!isfinite(x[0].low) || !(most > 0))
        return false;
    fprintf(out,
            "set yrange [%.9g:%.9g]\nset format y '%%g %%%%'\nunset key\n"
            "set multiplot layout 1,3 margins 0.085,0.99,0.2,0.96 spacing 0.03\n",
            -1.1 * most, 1.1 * most);
    for (int panel = 0; panel < 3; panel++) {
        mu_axis_put(out, "x", panel < 2 ? MU_AXIS_COUNTS : MU_AXIS_POWERS, x[panel], .05, 5);
        fprintf(out,
                "set xlabel '%s'\n%s"
                "plot 0 with lines lw 1.2 lc '%s', "
                "$LEFT using %d:4 with points pt 6 ps 0.55 lc '%s', "
                "$USED using %d:4 with points pt 7 ps 0.5 lc '%s'\n",
                label[panel], panel == 0 ? "" : "set format y ''\n", grey, panel + 1, grey,
                panel + 1, method_colour[MU_METHOD_PARAMETRIC]);
    }
    fprintf(out, "unset multiplot\n");
    return true;
}

bool mu_picture_script(FILE *out, const struct mu_fit *fit, enum mu_picture picture)
{
    switch (picture) {
    case MU_PICTURE_ISOFLOP:
        return script_isoflop(out, fit);
    case MU_PICTURE_LOSS:
        return script_loss(out, fit);
    case MU_PICTURE_N:
    case MU_PICTURE_D:
    case MU_PICTURE_RATIO:
        return script_scaling(out, fit, picture);
    case MU_PICTURE_RESIDUALS:
        return script_residuals(out, fit);
    default:
        return false;
    }
}
