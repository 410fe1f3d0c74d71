/* Of what the user has named only the names of runs get into the script, as text in single quotes.
 */
#include "orchestrator/plot/picture.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/utf8.h"
#include "orchestrator/report/axes.h"
#include "orchestrator/run/gnuplot.h"

enum {
    DRAW_MS = 60000,
    LOOK_US = 2000,
    TICK_WIDTH = 90, /* pixels */
    TICK_HEIGHT = 45,
    KEY_ROW = 17,
    KEY_COLUMNS = 2,
    NAME_MOST = 36,  /* letters of a name in the legend */
    FEW_POINTS = 20, /* so many are shown as points, too */
    FEW_RUNS = 8,    /* so many have colours that are told apart */
    WIDTH_ONE = 960,
    WIDTH = 1100,
    HEIGHT = 560
};

struct script {
    FILE *out;
    const struct mu_plot_chart *chart;
    size_t in_key; /* runs that the legend has room for */
};

static struct mu_colour colour_of(const struct mu_plot_chart *chart, size_t run)
{
    /* Okabe & Ito's and two more: told apart by the colour-blind too */
    static const struct mu_colour few[FEW_RUNS] = {{"#0072b2"}, {"#d55e00"}, {"#009e73"},
                                                   {"#cc79a7"}, {"#e69f00"}, {"#56b4e9"},
                                                   {"#8c6d1f"}, {"#a04fd0"}};

    if (chart->count <= FEW_RUNS)
        return few[run];
    return mu_colour_at((double)run / (double)(chart->count - 1));
}

/* In single quotes gnuplot knows one special character: the quote, which is doubled. */
static void put_name(FILE *out, const char *name)
{
    const char *end = name + mu_utf8_fit(name, NAME_MOST);

    fputc('\'', out);
    for (const char *c = name; c < end; c++) {
        if (*c == '\'')
            fputc('\'', out);
        fputc((unsigned char)*c < ' ' || *c == 127 ? ' ' : *c, out);
    }
    fprintf(out, "%s' noenhanced", *end ? "…" : "");
}

/* An empty line interrupts; two would begin another data set. */
static void put_curve(FILE *out, char kind, size_t run, const struct mu_plot_curve *c, bool log_y)
{
    bool broken = true;

    fprintf(out, "$%c%zu << EOD\n", kind, run);
    for (size_t i = 0; i < c->count; i++) {
        const bool shown = !isnan(c->y[i]) && (!log_y || c->y[i] > 0);

        if (shown)
            fprintf(out, "%.9g %.7g\n", c->x[i], c->y[i]);
        else if (!broken)
            fputc('\n', out);
        broken = !shown;
    }
    fprintf(out, "EOD\n");
}

static bool is_there(const struct mu_plot_curve *c, bool log_y)
{
    for (size_t i = 0; i < c->count; i++)
        if (!isnan(c->y[i]) && (!log_y || c->y[i] > 0))
            return true;
    return false;
}

static void put_axis(FILE *out, char name, const struct mu_plot_scale *s)
{
    if (s->log)
        fprintf(out, "set logscale %c\n", name);
    fprintf(out, "set %crange [%.12g:%.12g]\nset %clabel '%s' textcolor '#404040'\nset %ctics (",
            name, s->low, s->high, name, s->label, name);
    for (int i = 0; i < s->ticks; i++)
        fprintf(out, "%s'%s' %.12g", i ? ", " : "", s->tick[i].text, s->tick[i].at);
    fprintf(out, ")\n");
}

static void put_head(struct script *s, const struct mu_plot_picture *p)
{
    struct mu_plot_scale x, y;
    const bool one = s->chart->count == 1;
    const int rows = p->height > 8 * KEY_ROW ? p->height / KEY_ROW - 4 : 4;

    mu_plot_chart_scales(s->chart, p->width / TICK_WIDTH, p->height / TICK_HEIGHT, &x, &y);
    fprintf(s->out, "set encoding utf8\n");
    if (p->format == MU_PLOT_SVG)
        fprintf(s->out,
                "set terminal svg size %d,%d dynamic font 'Helvetica,Arial,sans-serif,14' "
                "background '#ffffff'\n",
                p->width, p->height);
    else
        fprintf(s->out, "set terminal pngcairo size %d,%d font 'sans,10.5' background '#ffffff'\n",
                p->width, p->height);
    fprintf(s->out, "set border 3 lc '#909090'\n"
                    "set tics nomirror out scale 0.6 textcolor '#404040'\n"
                    "set grid xtics ytics lt 1 lc '#e8e8e8' lw 1\n");
    put_axis(s->out, 'x', &x);
    put_axis(s->out, 'y', &y);
    if (one) {
        fprintf(s->out, "set title ");
        put_name(s->out, s->chart->line[0].name);
        fprintf(s->out, " textcolor '#202020' font ',17'\n"
                        "set key top right reverse Left samplen 2 textcolor '#404040'\n");
    } else {
        fprintf(s->out,
                "set key outside right top vertical reverse Left samplen 1.5 font ',%d' maxrows %d "
                "textcolor '#404040'\n",
                s->chart->count > 16 ? 10 : 12, rows);
    }
    s->in_key = s->chart->count <= (size_t)(KEY_COLUMNS * rows) ? s->chart->count
                                                                : (size_t)(KEY_COLUMNS * rows - 1);
}

/* What one run's line is when it is not smoothed; "": the axis says it. */
static const char *raw_title(const struct mu_plot_chart *chart)
{
    return chart->y_kind == MU_PLOT_Y_LOSS ? "training" : "";
}

/* One run's legend says what its curves are; of several, whose they are. */
static void put_title(const struct script *s, size_t run, const char *alone, bool *named)
{
    if (s->chart->count == 1) {
        fprintf(s->out, *alone ? "title '%s'" : "notitle", alone);
    } else if (*named || run >= s->in_key) {
        fprintf(s->out, "notitle");
    } else {
        fprintf(s->out, "title ");
        put_name(s->out, s->chart->line[run].name);
    }
    *named = true;
}

static void put_run(const struct script *s, size_t run, bool *first)
{
    const struct mu_plot_series *r = &s->chart->line[run].series;
    const struct mu_colour colour = colour_of(s->chart, run);
    const bool one = s->chart->count == 1, log_y = s->chart->log_y;
    const bool only_marks = !is_there(&r->line, log_y);
    const double thick = s->chart->count > 16 ? 1.4 : 2.2;
    bool named = false;

    if (!only_marks) {
        fprintf(s->out, "%s$L%zu with lines lw %g lc '%s' ", *first ? "" : ", ", run, thick,
                colour.text);
        put_title(s, run, r->raw.count ? "running mean" : raw_title(s->chart), &named);
        *first = false;
    }
    if (!only_marks && r->line.count < FEW_POINTS)
        fprintf(s->out, ", $L%zu with points pt 7 ps 0.4 lc '%s' notitle", run, colour.text);
    if (!is_there(&r->marks, log_y))
        return;
    fprintf(s->out, "%s$M%zu with %s pt 7 ps %g lc '%s' ", *first ? "" : ", ", run,
            only_marks ? "linespoints" : "points", s->chart->count > FEW_RUNS ? .35 : .6,
            one && !only_marks ? "#d1541b" : colour.text);
    put_title(s, run, "validation", &named);
    *first = false;
}

void mu_plot_picture_script(FILE *out, const struct mu_plot_chart *chart,
                            const struct mu_plot_picture *picture)
{
    struct mu_plot_picture p = *picture;
    struct script s = {.out = out, .chart = chart};
    bool first = true;

    if (p.width == 0)
        p.width = chart->count == 1 ? WIDTH_ONE : WIDTH;
    if (p.height == 0)
        p.height = HEIGHT;
    put_head(&s, &p);
    for (size_t i = 0; i < chart->count; i++) {
        const struct mu_plot_series *r = &chart->line[i].series;

        put_curve(out, 'L', i, &r->line, chart->log_y);
        put_curve(out, 'R', i, &r->raw, chart->log_y);
        put_curve(out, 'M', i, &r->marks, chart->log_y);
    }
    fprintf(out, "plot ");
    for (size_t i = 0; chart->raw && i < chart->count; i++) /* below all else */
        if (is_there(&chart->line[i].series.raw, chart->log_y)) {
            fprintf(out, "%s$R%zu with lines lw 1 lc '#b8%s' title '%s'", first ? "" : ", ", i,
                    colour_of(chart, i).text + 1, chart->count == 1 ? raw_title(chart) : "");
            first = false;
        }
    for (size_t i = 0; i < chart->count; i++)
        put_run(&s, i, &first);
    if (s.in_key < chart->count)
        fprintf(out, ", keyentry title 'and %zu more'", chart->count - s.in_key);
    fprintf(out, "\n");
}

static enum mu_status wait_for(struct mu_gnuplot *g, const char *path)
{
    char why[500], *bytes = NULL;
    size_t size = 0;
    int status;
    enum mu_status st;

    while (!mu_gnuplot_poll(g, &status)) /* ends by itself, or at its deadline */
        mu_clock_sleep_us(LOOK_US);
    if (status != 0) {
        mu_gnuplot_explain(g, status, why, sizeof why);
        st = MU_FAIL(MU_FAILED, "%s was not drawn: %s", path, why);
    } else if (!(bytes = mu_gnuplot_output(g, &size))) {
        st = MU_FAIL(MU_FAILED, "%s was not drawn: gnuplot gave no picture", path);
    } else {
        st = mu_file_write_atomically(path, bytes, size);
    }
    free(bytes);
    mu_gnuplot_close(g);
    return st;
}

enum mu_status mu_plot_picture_draw(const struct mu_plot_chart *chart,
                                    const struct mu_plot_picture *picture, const char *path)
{
    struct mu_gnuplot g;
    char *script = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&script, &size);
    int error = ENOMEM;

    if (out) {
        mu_plot_picture_script(out, chart, picture);
        if (fclose(out) == 0)
            error = mu_gnuplot_start(&g, NULL, script, size, true, DRAW_MS);
    }
    free(script);
    if (error == ENOENT)
        return MU_FAIL(MU_FAILED,
                       "%s needs gnuplot, which is not installed (Debian's package gnuplot-nox); "
                       "without --out the picture is drawn in the terminal",
                       path);
    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot start gnuplot: %s", strerror(error));
    return wait_for(&g, path);
}
