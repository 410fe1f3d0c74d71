/* What gnuplot is told of a sweep. Of what comes from the folder only numbers get there, and names
 * of trials as far as they are made of harmless characters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/report/axes.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/sweep_contents.h"
#include "orchestrator/run/json_values.h"

enum {
    SAMPLES = 60,
    STARTS = 64, /* told apart in the timeline; later ones follow the last */
    LANE = 26,   /* pixels, while there is room */
    LANES = 40,  /* that have room */
    LETTER = 6,  /* pixels */
    WIDTH = 960,
    PLOT = 760 /* pixels of it between the axes, about */
};
static const char grey[] = "#8a8a8a";

const char *mu_sweep_picture_text(enum mu_sweep_picture picture)
{
    static const char *const texts[] = {
#define TEXT(name, text) text,
        MU_SWEEP_PICTURE_TABLE(TEXT)
#undef TEXT
    };

    return texts[picture];
}

static void put_head(FILE *out, int height)
{
    fprintf(out,
            "set encoding utf8\n"
            "set terminal svg size %d,%d dynamic font 'sans-serif,15'\n"
            "set border 3 lc '#909090'\n"
            "set tics nomirror out scale 0.7,0.4\n"
            "set key above left horizontal reverse Left samplen 2 spacing 1.15\n",
            WIDTH, height);
}

static bool is_harmless(const char *name)
{
    return name[strspn(name,
                       "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._")] == 0;
}

/* ---- tuning ---- */

/* A run of a cell that was tuned. */
struct tried {
    double value, loss;
};

static int by_value(const void *one, const void *other)
{
    const struct tried *a = one, *b = other;

    return (a->value > b->value) - (a->value < b->value);
}

/* Of a cell of the tuning: those with a loss, ascending. Room for all trials. */
static size_t gather(const struct mu_sweep_folder *f, const json_t *cell, struct tried *out)
{
    const double n = mu_json_get_real(cell, "n"), budget = mu_json_get_real(cell, "budget");
    size_t count = 0;

    for (size_t i = 0; i < f->timing.rows; i++) {
        const size_t row = f->result_of[i];
        const struct tried t = {mu_sweep_number(&f->results, row, "tuned_value"),
                                mu_sweep_number(&f->results, row, "loss")};

        if (strcmp(mu_sweep_text(&f->timing, i, "role"), "tune") == 0 && t.value > 0 &&
            t.loss > 0 && fabs(mu_sweep_number(&f->timing, i, "n") / n - 1) < 1e-6 &&
            fabs(mu_sweep_number(&f->results, row, "group") / budget - 1) < 1e-9)
            out[count++] = t;
    }
    qsort(out, count, sizeof *out, by_value);
    return count;
}

/* With its vertex where the sweep found it, through the best run and those next to it. */
static void put_parabola(FILE *out, const json_t *cell, const struct tried *t, size_t count)
{
    const double value = mu_json_get_real(cell, "value"), loss = mu_json_get_real(cell, "loss");
    double product = 0, square = 0;
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        best = t[i].loss < t[best].loss ? i : best;
    if (!(value > 0 && loss > 0) || best == 0 || best + 1 >= count)
        return;
    for (size_t i = best - 1; i <= best + 1; i++) {
        const double x = log(t[i].value / value);

        product += x * x * (t[i].loss - loss);
        square += x * x * x * x;
    }
    for (int k = 0; square > 0 && k <= SAMPLES; k++) {
        const double at =
            t[best - 1].value * pow(t[best + 1].value / t[best - 1].value, (double)k / SAMPLES);
        const double x = log(at / value);

        fprintf(out, "%.9g %.9g\n", at, loss + product / square * x * x);
    }
}

static void put_cell(FILE *out, size_t k, const json_t *cell, const struct tried *t, size_t count,
                     struct mu_span *x, struct mu_span *y)
{
    fprintf(out, "$P%zu << EOD\n", k);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%.9g %.9g\n", t[i].value, t[i].loss);
        mu_span_take(x, t[i].value);
        mu_span_take(y, t[i].loss);
    }
    fprintf(out, "NaN NaN\nEOD\n$Q%zu << EOD\n", k);
    put_parabola(out, cell, t, count);
    fprintf(out, "NaN NaN\nEOD\n$V%zu << EOD\n", k);
    if (mu_json_get_real(cell, "loss") > 0)
        fprintf(out, "%.9g %.9g\n", mu_json_get_real(cell, "value"),
                mu_json_get_real(cell, "loss"));
    fprintf(out, "NaN NaN\nEOD\n");
}

static bool script_tuning(FILE *out, const struct mu_sweep_folder *f)
{
    const json_t *tuned = json_object_get(f->status, "tuned");
    const json_t *cells = json_object_get(tuned, "cells"), *cell;
    const char *key = mu_json_get_text(tuned, "key");
    const size_t count = json_array_size(cells);
    struct tried *t = calloc(f->timing.rows + 1, sizeof *t);
    struct mu_span x = MU_SPAN_EMPTY, y = MU_SPAN_EMPTY;
    size_t k;

    put_head(out, 460);
    json_array_foreach((json_t *)cells, k, cell)
    {
        if (t)
            put_cell(out, k, cell, t, gather(f, cell, t), &x, &y);
    }
    if (!t || !isfinite(x.low)) {
        free(t);
        return false;
    }
    free(t);
    mu_axis_put(out, "x", MU_AXIS_TUNED, x, .04, 9);
    mu_axis_put(out, "y", MU_AXIS_LOSS, y, .06, 10);
    fprintf(out,
            "set grid xtics ytics lt 1 lc '#b0909090' lw 0.6\n"
            "set xlabel '%s' noenhanced\nset ylabel 'loss'\nset key outside right top vertical "
            "Right noreverse title 'N, FLOPs'\nplot ",
            is_harmless(key) ? key : "tuned value");
    json_array_foreach((json_t *)cells, k, cell)
    {
        const struct mu_colour colour =
            mu_colour_at(count > 1 ? (double)k / (double)(count - 1) : .5);

        fprintf(out,
                "%s$Q%zu with lines lw 1.8 lc '%s' notitle, $P%zu with points pt 7 ps 0.7 lc '%s' "
                "title '%s, %s', $V%zu with points pt 13 ps 1.3 lc '#d55e00' %s",
                k ? ", " : "", k, colour.text, k, colour.text,
                mu_figure_label(mu_json_get_real(cell, "n")).text,
                mu_figure_short(mu_json_get_real(cell, "budget"), 3).text, k,
                k + 1 < count ? "notitle" : "title 'vertex'");
    }
    fputc('\n', out);
    return true;
}

/* ---- timeline ---- */

struct bar {
    double from, to, rank, n; /* in seconds, times between starts left out; n 0: it tunes */
    size_t row;               /* of the timeline */
    bool ends;                /* with a death or a move */
};

struct timeline {
    const struct mu_sweep_folder *f;
    struct bar *bar;
    size_t bars;
    double begin[STARTS + 1]; /* where each start's time begins in the picture */
    size_t starts;
    double end, ranks;
    double unit; /* seconds */
};

static double end_of(const struct mu_sweep_folder *f, size_t row)
{
    const double to = mu_sweep_number(&f->timeline, row, "to");

    return isfinite(to) ? to : mu_json_get_real(f->status, "now");
}

static size_t start_of(const struct mu_sweep_folder *f, size_t row)
{
    const double start = mu_sweep_number(&f->timeline, row, "start");

    return start >= 1 && start <= STARTS ? (size_t)start - 1 : start > STARTS ? STARTS - 1 : 0;
}

/* Puts the starts side by side: shift[k] is added to times of start k. */
static void find_starts(struct timeline *t, double shift[STARTS])
{
    double low[STARTS], high[STARTS];

    for (size_t k = 0; k < STARTS; k++) {
        low[k] = INFINITY;
        high[k] = -INFINITY;
        shift[k] = 0;
    }
    for (size_t i = 0; i < t->f->timeline.rows; i++) {
        const size_t k = start_of(t->f, i);

        low[k] = fmin(low[k], mu_sweep_number(&t->f->timeline, i, "from"));
        high[k] = fmax(high[k], end_of(t->f, i));
    }
    for (size_t k = 0; k < STARTS; k++) {
        if (!(high[k] >= low[k]))
            continue;
        shift[k] = t->end - low[k];
        t->begin[t->starts++] = t->end;
        t->end += high[k] - low[k];
    }
}

/* But first those that end with what is to be seen. */
static int longest_first(const void *one, const void *other)
{
    const struct bar *a = one, *b = other;
    const double x = a->to - a->from, y = b->to - b->from;

    if (a->ends != b->ends)
        return b->ends - a->ends;
    return x != y ? (x < y ? 1 : -1) : (a->row > b->row) - (a->row < b->row);
}

static bool find_bars(struct timeline *t, const struct mu_sweep_folder *f)
{
    double shift[STARTS];

    *t = (struct timeline){.f = f};
    t->bar = calloc(f->timeline.rows + 1, sizeof *t->bar);
    if (!t->bar)
        return false;
    find_starts(t, shift);
    for (size_t i = 0; i < f->timeline.rows; i++) {
        const double by = shift[start_of(f, i)], rank = mu_sweep_number(&f->timeline, i, "rank");
        struct bar bar = {.from = mu_sweep_number(&f->timeline, i, "from") + by,
                          .to = end_of(f, i) + by,
                          .rank = rank,
                          .row = i,
                          .ends = *mu_sweep_text(&f->timeline, i, "ending") != 0};

        if (!(bar.to >= bar.from && rank >= 0))
            continue;
        t->ranks = fmax(t->ranks, rank + 1);
        t->bar[t->bars++] = bar;
    }
    qsort(t->bar, t->bars, sizeof *t->bar, longest_first);
    t->bars = t->bars < MU_SWEEP_BARS ? t->bars : MU_SWEEP_BARS;
    t->unit = t->end < 300 ? 1 : t->end < 18000 ? 60 : 3600;
    return t->end > 0;
}

/* N of each bar's trial; 0 where it tunes. */
static void find_sizes(struct timeline *t, struct mu_span *n)
{
    for (size_t i = 0; i < t->bars; i++) {
        const size_t trial =
            mu_sweep_find_trial(t->f, mu_sweep_text(&t->f->timeline, t->bar[i].row, "trial"));

        if (strcmp(mu_sweep_text(&t->f->timing, trial, "role"), "tune") == 0)
            continue;
        t->bar[i].n = fmax(mu_sweep_number(&t->f->timing, trial, "n"), 0);
        mu_span_take(n, t->bar[i].n);
    }
}

static void put_bars(FILE *out, const struct timeline *t, bool tune)
{
    fprintf(out, "$%s << EOD\n", tune ? "TUNE" : "BARS");
    for (size_t i = 0; i < t->bars; i++) {
        const struct bar *b = &t->bar[i];
        const double gap = fmin(t->end / PLOT, b->to - b->from) / 3; /* bars in a row stay apart */

        if ((b->n > 0) != tune)
            fprintf(out, "%.9g %.9g %.9g %.9g %.9g %.9g %.9g\n", (b->from + b->to) / 2 / t->unit,
                    b->rank, (b->from + gap) / t->unit, (b->to - gap) / t->unit, b->rank - .4,
                    b->rank + .4, b->n);
    }
    fprintf(out, "NaN NaN NaN NaN NaN NaN NaN\nEOD\n");
}

static void put_endings(FILE *out, const struct timeline *t, const char *block, const char *ending)
{
    fprintf(out, "$%s << EOD\n", block);
    for (size_t i = 0; i < t->bars; i++)
        if (strcmp(mu_sweep_text(&t->f->timeline, t->bar[i].row, "ending"), ending) == 0)
            fprintf(out, "%.9g %.9g\n", t->bar[i].to / t->unit, t->bar[i].rank);
    fprintf(out, "NaN NaN\nEOD\n");
}

/* Names where there is room for them in their bar. How many: gnuplot 5.4 dies of none. */
static size_t put_names(FILE *out, const struct timeline *t)
{
    size_t names = 0;

    fprintf(out, "$NAMES << EOD\n");
    for (size_t i = 0; i < t->bars && t->ranks <= LANES; i++) {
        const struct bar *b = &t->bar[i];
        const char *name = mu_sweep_text(&t->f->timeline, b->row, "trial");

        if (!is_harmless(name) ||
            LETTER * (double)strlen(name) >= (b->to - b->from) / t->end * PLOT)
            continue;
        fprintf(out, "%.9g %.9g %s\n", (b->from + b->to) / 2 / t->unit, b->rank, name);
        names++;
    }
    fprintf(out, "EOD\n");
    return names;
}

static void plot_timeline(FILE *out, const struct timeline *t, struct mu_span n, bool named)
{
    const char *unit = t->unit > 60 ? "h" : t->unit > 1 ? "min" : "s";

    fprintf(out,
            "set xrange [0:%.9g]\nset yrange [%.9g:-0.6]\nset xlabel 'time, %s'\nset ylabel "
            "'rank'\nset ytics %d\nset style fill solid 0.85 noborder\nset colorbox\n"
            "set cblabel 'parameters N'\n",
            t->end / t->unit, t->ranks - .4, unit, t->ranks <= LANES ? 1 : 1 + (int)t->ranks / 20);
    if (isfinite(n.low))
        mu_axis_put(out, "cb", MU_AXIS_COUNTS, n, 0, 5);
    else
        fprintf(out, "unset colorbox\n");
    mu_palette_put(out);
    for (size_t k = 1; k < t->starts; k++)
        fprintf(out,
                "set arrow from %1$.9g, graph 0 to %1$.9g, graph 1 nohead dt 2 lw 1.4 lc '%2$s'\n",
                t->begin[k] / t->unit, grey);
    fprintf(out,
            "plot $TUNE using 1:2:3:4:5:6 with boxxyerror fs solid 0.5 noborder lc '%s' notitle, "
            "$BARS using 1:2:3:4:5:6:7 with boxxyerror lc palette notitle, "
            "%s"
            "$MOVES using 1:2 with points pt 9 ps 1 lc '#ffffff' notitle, "
            "$MOVES using 1:2 with points pt 9 ps 0.7 lc '#e69f00' title 'moved', "
            "$DEATHS using 1:2 with points pt 7 ps 0.9 lc '#ffffff' notitle, "
            "$DEATHS using 1:2 with points pt 7 ps 0.6 lc '#d52a00' title 'died'\n",
            grey, named ? "$NAMES using 1:2:3 with labels noenhanced font ',9' notitle, " : "");
}

static bool script_timeline(FILE *out, const struct mu_sweep_folder *f)
{
    struct mu_span n = MU_SPAN_EMPTY;
    struct timeline t;
    const bool any = find_bars(&t, f);

    if (any) {
        put_head(out, 170 + (int)(fmin(t.ranks, LANES) * LANE));
        find_sizes(&t, &n);
        put_bars(out, &t, false);
        put_bars(out, &t, true);
        put_endings(out, &t, "DEATHS", "died");
        put_endings(out, &t, "MOVES", "moved");
        plot_timeline(out, &t, n, put_names(out, &t) > 0);
    }
    free(t.bar);
    return any;
}

bool mu_sweep_picture_script(FILE *out, const struct mu_sweep_folder *f,
                             enum mu_sweep_picture picture)
{
    return picture == MU_SWEEP_PICTURE_TUNING ? script_tuning(out, f) : script_timeline(out, f);
}
