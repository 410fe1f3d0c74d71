#include "orchestrator/plot/terminal.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/utf8.h"

enum {
    LEAST_COLUMNS = 30,
    LEAST_ROWS = 8,
    LEAST_CANVAS = 4,
    X_TICK_ROOM = 12, /* columns, and rows below, for a tick with its text */
    Y_TICK_ROOM = 4,
    MARK_ROOM = 4,
    LETTERS = 26,
    NOBODY = 0
};

/* Of ANSI: those that are told apart on dark terminals and on white ones. */
static const char *const colours[] = {"36", "31", "32", "35", "33", "34", "96", "91", "92", "95"};
enum { COLOURS = sizeof colours / sizeof *colours };

struct cell {
    uint8_t dots; /* of braille, as Unicode numbers them */
    char sign;    /* 0: none; stands before dots */
    size_t run;   /* 1 + index of who drew here last; NOBODY */
};

struct canvas {
    const struct mu_plot_chart *chart;
    struct mu_plot_scale x, y;
    bool unicode, colours, letters;
    int columns, rows; /* in cells */
    int across, down;  /* dots of a cell */
    int margin;        /* columns before the axis */
    struct cell *cell;
};

/* ---- drawing ---- */

static char letter_of(size_t run, char first)
{
    return run < LETTERS ? (char)(first + (int)run) : first == 'A' ? '*' : 'o';
}

static void put_dot(struct canvas *c, size_t run, int x, int y)
{
    static const uint8_t bit[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    struct cell *cell;

    if (x < 0 || y < 0 || x >= c->columns * c->across || y >= c->rows * c->down)
        return;
    cell = &c->cell[(y / c->down) * c->columns + x / c->across];
    if (c->letters)
        cell->sign = letter_of(run, 'A');
    else if (!c->unicode)
        cell->sign = '*';
    cell->dots |= bit[y % c->down][x % c->across];
    cell->run = run + 1;
}

/* Both ends are drawn; Bresenham's steps. */
static void put_line(struct canvas *c, size_t run, int x0, int y0, int x1, int y1)
{
    const int dx = abs(x1 - x0), dy = -abs(y1 - y0), sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1;
    int error = dx + dy;

    for (;;) {
        const int twice = 2 * error;

        put_dot(c, run, x0, y0);
        if (x0 == x1 && y0 == y1)
            return;
        if (twice >= dy) {
            error += dy;
            x0 += sx;
        }
        if (twice <= dx) {
            error += dx;
            y0 += sy;
        }
    }
}

/* In dots from the upper left corner; false: it cannot be shown. */
static bool place(const struct canvas *c, double x, double y, int *column, int *row)
{
    if (isnan(y) || (c->y.log && y <= 0))
        return false;
    *column = (int)lround(mu_plot_scale_at(&c->x, x) * (c->columns * c->across - 1));
    *row = (int)lround((1 - mu_plot_scale_at(&c->y, y)) * (c->rows * c->down - 1));
    return true;
}

static void draw_line(struct canvas *c, size_t run, const struct mu_plot_curve *curve)
{
    int x, y, before_x = 0, before_y = 0;
    bool joined = false;

    for (size_t i = 0; i < curve->count; i++) {
        const bool shown = place(c, curve->x[i], curve->y[i], &x, &y);

        if (shown)
            put_line(c, run, joined ? before_x : x, joined ? before_y : y, x, y);
        joined = shown;
        before_x = x;
        before_y = y;
    }
}

/* So far apart that the line is still seen; the last one always. */
static void draw_marks(struct canvas *c, size_t run, const struct mu_plot_curve *curve)
{
    int x, y, next = 0;

    for (size_t i = 0; i < curve->count; i++)
        if (place(c, curve->x[i], curve->y[i], &x, &y) &&
            (x / c->across >= next || i + 1 == curve->count)) {
            struct cell *cell = &c->cell[(y / c->down) * c->columns + x / c->across];

            cell->sign = c->letters ? letter_of(run, 'a') : 'o';
            cell->run = run + 1;
            next = x / c->across + MARK_ROOM;
        }
}

static void draw_run(struct canvas *c, size_t run)
{
    const struct mu_plot_series *s = &c->chart->line[run].series;

    draw_line(c, run, s->line.count > 0 ? &s->line : &s->marks);
}

/* ---- writing ---- */

static void begin_colour(const struct canvas *c, FILE *out, size_t run)
{
    if (c->colours)
        fprintf(out, "\033[%sm", colours[run % COLOURS]);
}

static void end_colour(const struct canvas *c, FILE *out)
{
    if (c->colours)
        fputs("\033[0m", out);
}

static void put_cell(FILE *out, const struct cell *cell)
{
    if (cell->sign)
        fputc(cell->sign, out);
    else if (cell->dots) /* U+2800 and its dots, in UTF-8 */
        fprintf(out, "%c%c%c", 0xe2, 0xa0 | cell->dots >> 6, 0x80 | (cell->dots & 0x3f));
    else
        fputc(' ', out);
}

/* Without blanks at its end; a colour lasts as long as its run does. */
static void put_row(const struct canvas *c, FILE *out, int row)
{
    const struct cell *cell = &c->cell[row * c->columns];
    size_t run = NOBODY;
    int end = c->columns;

    while (end > 0 && cell[end - 1].run == NOBODY)
        end--;
    for (int i = 0; i < end; i++) {
        if (cell[i].run != NOBODY && cell[i].run != run) {
            run = cell[i].run;
            begin_colour(c, out, run - 1);
        }
        put_cell(out, &cell[i]);
    }
    if (run != NOBODY)
        end_colour(c, out);
}

static int tick_column(const struct canvas *c, int i)
{
    return (int)lround(mu_plot_scale_at(&c->x, c->x.tick[i].at) * (c->columns - 1));
}

static int tick_row(const struct canvas *c, int i)
{
    return (int)lround((1 - mu_plot_scale_at(&c->y, c->y.tick[i].at)) * (c->rows - 1));
}

static void put_rows(const struct canvas *c, FILE *out)
{
    for (int row = 0; row < c->rows; row++) {
        const char *text = NULL;

        for (int i = 0; i < c->y.ticks; i++)
            if (tick_row(c, i) == row)
                text = c->y.tick[i].text;
        fprintf(out, "%*s %s", c->margin, text ? text : "",
                text ? (c->unicode ? "┤" : "+") : (c->unicode ? "│" : "|"));
        put_row(c, out, row);
        fputc('\n', out);
    }
}

static void put_x_axis(const struct canvas *c, FILE *out)
{
    int used = 0;

    fprintf(out, "%*s %s", c->margin, "", c->unicode ? "└" : "+");
    for (int column = 0; column < c->columns; column++) {
        bool tick = false;

        for (int i = 0; i < c->x.ticks; i++)
            tick = tick || tick_column(c, i) == column;
        fputs(tick ? (c->unicode ? "┬" : "+") : (c->unicode ? "─" : "-"), out);
    }
    fprintf(out, "\n%*s", c->margin + 2, "");
    for (int i = 0; i < c->x.ticks; i++) {
        const char *text = c->x.tick[i].text;
        const int size = (int)strlen(text);
        int at = tick_column(c, i) - size / 2;

        at = at + size > c->columns ? c->columns - size : at;
        at = at < 0 ? 0 : at;
        if (used > 0 && at <= used)
            continue;
        fprintf(out, "%*s%s", at - used, "", text);
        used = at + size;
    }
    fprintf(out, "\n%*s%.*s\n",
            c->margin + 2 + (int)fmax(0, (c->columns - (int)strlen(c->x.label)) / 2), "",
            c->columns, c->x.label);
}

static void put_heading(const struct canvas *c, FILE *out, int columns)
{
    const struct mu_plot_y_row *y = mu_plot_y_row(c->chart->y_kind);
    const char *marks = !y->marks[0] || !y->line[0] ? ""
                        : c->letters                ? "; small letters: validation"
                                                    : "; o: validation";

    if (strlen(c->y.label) + strlen(marks) > (size_t)columns)
        marks = "";
    fprintf(out, "%.*s%s\n", columns, c->y.label, marks);
}

/* ---- the legend: a line for each run, in columns while they fit ---- */

struct entry {
    char text[200];
    int width; /* columns it takes */
};

static struct entry entry_of(const struct canvas *c, size_t run, int columns, bool values)
{
    const struct mu_plot_line *line = &c->chart->line[run];
    struct entry e;
    const char *sign = c->unicode ? "\xe2\xa0\x92\xe2\xa0\x92" : "*"; /* two dashes of braille */
    char letter[2] = {letter_of(run, 'A'), 0};

    snprintf(e.text, sizeof e.text, "%s %s%s%s", c->letters ? letter : sign, line->name,
             values ? "  " : "", values ? mu_plot_newest(&line->series).text : "");
    for (char *at = e.text; *at; at++)
        *at = (unsigned char)*at < ' ' || *at == 127 ? ' ' : *at;
    e.text[mu_utf8_fit(e.text, (size_t)columns)] = 0;
    e.width = (int)mu_utf8_columns(e.text, strlen(e.text));
    return e;
}

/* Columns of the legend, and rows, `most` at most. */
struct table {
    int columns, width, rows;
    size_t shown;
    bool values; /* beside the names */
};

static struct table legend_of(const struct canvas *c, int columns, int most, bool values)
{
    struct table t = {.width = 1, .values = values};

    for (size_t i = 0; i < c->chart->count; i++) {
        const int width = entry_of(c, i, columns, values).width + 2;

        t.width = width > t.width ? width : t.width;
    }
    t.columns = columns / t.width > 0 ? columns / t.width : 1;
    t.rows = (int)((c->chart->count + (size_t)t.columns - 1) / (size_t)t.columns);
    t.shown = c->chart->count;
    if (t.rows > most && values) /* names alone take less room */
        return legend_of(c, columns, most, false);
    if (t.rows > most) {
        t.rows = most;
        t.shown =
            (size_t)(most - 1) * (size_t)t.columns; /* the last row says that there are more */
    }
    return t;
}

static void put_legend(const struct canvas *c, FILE *out, int columns, const struct table *t)
{
    for (size_t i = 0; i < t->shown; i++) {
        const struct entry e = entry_of(c, i, columns, t->values);
        const bool last = (i + 1) % (size_t)t->columns == 0 || i + 1 == t->shown;

        begin_colour(c, out, i);
        fputs(e.text, out);
        end_colour(c, out);
        fprintf(out, "%*s", last ? 0 : t->width - e.width, "");
        if (last)
            fputc('\n', out);
    }
    if (t->shown < c->chart->count)
        fprintf(out, "and %zu more\n", c->chart->count - t->shown);
}

/* ---- all of it ---- */

/* The width of the texts at the y axis follows from the ticks, these from the rows. */
static void lay_out(struct canvas *c, int columns, int rows, const struct table *legend)
{
    c->rows = rows - 4 - legend->rows; /* the label of y; the x axis, its ticks and its label */
    c->rows = c->rows < LEAST_CANVAS ? LEAST_CANVAS : c->rows;
    mu_plot_chart_scales(c->chart, 2, c->rows / Y_TICK_ROOM + 1, &c->x, &c->y);
    for (int i = 0; i < c->y.ticks; i++) {
        const int width = (int)strlen(c->y.tick[i].text);

        c->margin = width > c->margin ? width : c->margin;
    }
    c->columns = columns - c->margin - 2;
    mu_plot_chart_scales(c->chart, c->columns / X_TICK_ROOM, c->rows / Y_TICK_ROOM + 1, &c->x,
                         &c->y);
}

static void write_all(struct canvas *c, FILE *out, int columns, const struct table *legend)
{
    for (size_t i = 0; i < c->chart->count; i++)
        draw_run(c, i);
    for (size_t i = 0; i < c->chart->count; i++)
        draw_marks(c, i, &c->chart->line[i].series.marks);
    put_heading(c, out, columns);
    put_rows(c, out);
    put_x_axis(c, out);
    put_legend(c, out, columns, legend);
}

enum mu_status mu_plot_terminal_draw(const struct mu_plot_chart *chart,
                                     const struct mu_plot_terminal *terminal, char **text)
{
    const int columns = terminal->columns < LEAST_COLUMNS ? LEAST_COLUMNS : terminal->columns;
    const int rows = terminal->rows < LEAST_ROWS ? LEAST_ROWS : terminal->rows;
    struct canvas c = {.chart = chart,
                       .unicode = terminal->unicode,
                       .colours = terminal->colours,
                       .letters = chart->count > (terminal->colours ? COLOURS : 1)};
    struct table legend;
    size_t size;
    FILE *out;

    c.across = c.unicode && !c.letters ? 2 : 1;
    c.down = c.unicode && !c.letters ? 4 : 1;
    legend = legend_of(&c, columns, rows / 3, true);
    lay_out(&c, columns, rows, &legend);
    c.cell = calloc((size_t)c.columns * (size_t)c.rows, sizeof *c.cell);
    *text = NULL;
    out = c.cell ? open_memstream(text, &size) : NULL;
    if (out)
        write_all(&c, out, columns, &legend);
    free(c.cell);
    if (out && fclose(out) == 0)
        return MU_OK;
    free(*text);
    return MU_FAIL(MU_NO_MEMORY, "no memory for a picture of %d x %d", columns, rows);
}
