/* The table as text. The head comes first, and is left out last; what trains, budgets and what has
 * ended share the rows that are left, and say how many of theirs did not fit. A line that is too
 * long is cut; of the columns the less important ones give way first. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/sweep_run/view.h"

enum { FLEET_LEAST = 10, FLEET_MOST = 40, LINE_MAX_BYTES = 1024, GAP = 2 };

struct page {
    FILE *out;
    int columns;   /* 0: any length */
    uint32_t left; /* lines */
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    size_t size;
    va_list args;

    if (p->left == 0)
        return;
    p->left--;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    line[strcspn(line, "\n")] = 0;
    if (p->columns > 0 && strlen(line) > (size_t)p->columns)
        line[p->columns] = 0;
    for (size = strlen(line); size > 0 && line[size - 1] == ' '; size--)
        line[size - 1] = 0;
    fprintf(p->out, "%s\n", line);
}

/* "1e11" */
static const char *flops(double c, char text[24])
{
    char *plus;

    snprintf(text, 24, "%.3g", c);
    plus = strstr(text, "e+");
    if (plus) {
        size_t zeros = 2 + strspn(plus + 2, "0");

        memmove(plus + 1, plus + zeros, strlen(plus + zeros) + 1);
    }
    return text;
}

static double loss_of(const struct mu_sweep_row *r)
{
    return mu_cell_has_ended(r->phase) && isfinite(r->valid_loss) ? r->valid_loss : r->train_loss;
}

/* ---- head ------------------------------------------------------------------------------------ */

static void put_title(struct page *p, const struct mu_sweep_view *v)
{
    char eta[48] = "", start[32] = "";

    if (isfinite(v->eta) && !v->ended[0] && !v->interrupted)
        snprintf(eta, sizeof eta, "  ETA %.30s", mu_progress_duration(v->eta).text);
    if (v->start > 1)
        snprintf(start, sizeof start, ", start %" PRIu32, v->start);
    put(p, "sweep %s  %" PRIu32 " of %" PRIu32 " trials ended%s%s  %s so far%s", v->name,
        mu_sweep_view_count_ended(v), v->trials, v->all_known ? "" : ", more may come", eta,
        mu_progress_duration(v->now).text, start);
    if (v->ended[0])
        put(p, "ended    %s", v->ended);
    else if (v->interrupted)
        put(p, "ended    nobody works on it now: it was killed; the same command goes on");
    if (v->is_launched)
        put(p, "launched muster launch has this sweep, and starts it again when its ranks die");
}

static void put_phases(struct page *p, const struct mu_sweep_view *v)
{
    char text[LINE_MAX_BYTES] = "";
    size_t n = 0;

    for (enum mu_cell_phase i = 0; i < MU_CELL_PHASES; i++)
        if (v->phases[i] > 0)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s %" PRIu32, n ? ", " : "",
                                  mu_cell_word(i), v->phases[i]);
    put(p, "trials   %s", text);
}

/* "[=====...xx]": '=' trains, '.' is idle, 'x' died. Who is there at all has a column, if there are
 * columns for it. */
static void put_fleet(struct page *p, const struct mu_sweep_view *v)
{
    const uint32_t part[] = {v->busy, v->ranks > v->busy ? v->ranks - v->busy : 0, v->dead};
    const char sign[] = {'=', '.', 'x'};
    char words[160], bar[FLEET_MOST + 1];
    uint64_t all = (uint64_t)part[0] + part[1] + part[2], before = 0;
    int width = FLEET_MOST, used = 0;

    if (all == 0 || v->ended[0] || v->interrupted)
        return;
    snprintf(words, sizeof words, "  %" PRIu32 " busy, %" PRIu32 " idle, %" PRIu32 " dead", part[0],
             part[1], part[2]);
    if (isfinite(v->tokens_per_s) && v->tokens_per_s > 0) {
        size_t n = strlen(words);

        snprintf(words + n, sizeof words - n, "  %.20s tok/s",
                 mu_progress_count(v->tokens_per_s).text);
    }
    if (p->columns > 0 && p->columns - 11 - (int)strlen(words) < width)
        width = p->columns - 11 - (int)strlen(words);
    if (width < FLEET_LEAST)
        width = FLEET_LEAST;
    if (all < (uint64_t)width)
        width = (int)all;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        int to;

        before += part[i];
        to = (int)(before * (uint64_t)width / all);
        while (used < to)
            bar[used++] = sign[i];
    }
    bar[used] = 0;
    put(p, "fleet    [%s]%s", bar, words);
}

static void put_tuned(struct page *p, const struct mu_sweep_view *v)
{
    uint32_t edge = 0;
    char open[96] = "";

    if (!v->tuned_key[0])
        return;
    if (!v->tuned.known) {
        put(p, "tuning   %s: not known yet", v->tuned_key);
        return;
    }
    for (uint32_t i = 0; i < v->tuned.cells; i++)
        edge += !v->tuned.cell[i].is_bracketed;
    if (edge > 0)
        snprintf(open, sizeof open,
                 "; at %" PRIu32 " of %" PRIu32 " cells the best factor is at "
                 "an end of them",
                 edge, v->tuned.cells);
    if (v->tuned.exponent != 0)
        put(p, "tuning   %s = %.4g * N^%.3g%s", v->tuned_key, v->tuned.coefficient,
            v->tuned.exponent, open);
    else
        put(p, "tuning   %s = %.4g%s", v->tuned_key, v->tuned.coefficient, open);
}

static void put_head(struct page *p, const struct mu_sweep_view *v)
{
    put_title(p, v);
    put_phases(p, v);
    put_fleet(p, v);
    if (mu_ledger_total_us(&v->goodput) > 0) /* "goodput 97.3 % of ..." */
        put(p, "goodput  %s", mu_ledger_print(&v->goodput).text + strlen("goodput "));
    put_tuned(p, v);
}

/* ---- trials ---------------------------------------------------------------------------------- */

/* In the order of a line. Importance: 0 is kept longest. */
enum column { CELL, N, D, C, GROUP, STEP, TOKENS, LOSS, ETA, RETRIES, COLUMN_COUNT };
static const struct {
    const char *head;
    int importance;
} columns[COLUMN_COUNT] = {
    [CELL] = {"cell", 0},    [N] = {"N", 6},
    [D] = {"D", 7},          [C] = {"C", 8},
    [GROUP] = {"group", 4},  [STEP] = {"step", 1},
    [TOKENS] = {"tok/s", 5}, [LOSS] = {"loss", 2},
    [ETA] = {"ETA", 3},      [RETRIES] = {"retries", 9},
};

struct fields {
    char text[COLUMN_COUNT][sizeof((struct mu_sweep_row *)0)->name];
};

static struct fields print_fields(const struct mu_sweep_row *r)
{
    struct fields f = {0};
    const size_t size = sizeof f.text[0];
    char c[24];

    memcpy(f.text[CELL], r->name, size);
    snprintf(f.text[N], size, "%.30s", mu_progress_count(r->n).text);
    snprintf(f.text[D], size, "%.30s", mu_progress_count(r->tokens).text);
    snprintf(f.text[C], size, "%s", flops(r->flops, c));
    if (r->phase == MU_CELL_MOVES)
        snprintf(f.text[GROUP], size, "moves");
    else
        snprintf(f.text[GROUP], size, "%" PRIu32, r->workers);
    snprintf(f.text[STEP], size, "%" PRId64 "/%" PRId64, r->step, r->steps);
    if (isfinite(r->tokens_per_s))
        snprintf(f.text[TOKENS], size, "%.30s", mu_progress_count(r->tokens_per_s).text);
    if (isfinite(r->train_loss))
        snprintf(f.text[LOSS], size, "%.4f", r->train_loss);
    if (isfinite(r->wanted))
        snprintf(f.text[ETA], size, "%.40s", mu_progress_duration(r->wanted).text);
    snprintf(f.text[RETRIES], size, "%" PRIu32, r->retries);
    return f;
}

/* Widths of the columns of `count` rows; 0: left out. */
static void fit_columns(const struct mu_sweep_row *row, uint32_t count, int most,
                        int width[COLUMN_COUNT])
{
    int all = -GAP;

    for (int c = 0; c < COLUMN_COUNT; c++)
        width[c] = (int)strlen(columns[c].head);
    for (uint32_t i = 0; i < count; i++) {
        struct fields f = print_fields(&row[i]);

        for (int c = 0; c < COLUMN_COUNT; c++)
            width[c] = (int)strlen(f.text[c]) > width[c] ? (int)strlen(f.text[c]) : width[c];
    }
    for (int c = 0; c < COLUMN_COUNT; c++)
        all += width[c] + GAP;
    for (int least = COLUMN_COUNT - 1; most > 0 && all > most && least > 0; least--)
        for (int c = 0; c < COLUMN_COUNT; c++)
            if (columns[c].importance == least) {
                all -= width[c] + GAP;
                width[c] = 0;
            }
}

static void put_fields(struct page *p, const struct fields *f, const int width[COLUMN_COUNT])
{
    char line[LINE_MAX_BYTES];
    size_t n = 0;

    for (int c = 0; c < COLUMN_COUNT; c++)
        if (width[c] > 0)
            n += (size_t)snprintf(line + n, sizeof line - n, "%*s%*s", c == CELL ? 0 : GAP, "",
                                  c == CELL ? -width[c] : width[c], f->text[c]);
    put(p, "%s", line);
}

/* A line of heads, then `rows` lines. */
static void put_live(struct page *p, const struct mu_sweep_view *v, uint32_t rows)
{
    const uint32_t shown = rows < v->lives ? rows - 1 : v->lives;
    struct fields head = {0};
    int width[COLUMN_COUNT];

    if (rows == 0)
        return;
    fit_columns(v->live, shown, p->columns, width);
    for (int c = 0; c < COLUMN_COUNT; c++)
        snprintf(head.text[c], sizeof head.text[c], "%s", columns[c].head);
    put_fields(p, &head, width);
    for (uint32_t i = 0; i < shown; i++) {
        struct fields f = print_fields(&v->live[i]);

        put_fields(p, &f, width);
    }
    if (shown < v->lives)
        put(p, "... and %" PRIu32 " more", v->lives - shown);
}

struct mu_progress_text mu_sweep_row_line(const struct mu_sweep_row *r)
{
    struct mu_progress_text out;
    const size_t size = sizeof out.text;
    size_t n = (size_t)snprintf(out.text, size, "%s: %s at step %" PRId64 "/%" PRId64, r->name,
                                mu_cell_word(r->phase), r->step, r->steps);

    if (isfinite(loss_of(r)))
        n += (size_t)snprintf(out.text + n, size - n, ", %s loss %.4f",
                              isfinite(r->valid_loss) ? "valid" : "training", loss_of(r));
    if (r->retries > 0)
        n += (size_t)snprintf(out.text + n, size - n, ", %" PRIu32 " retr%s", r->retries,
                              r->retries == 1 ? "y" : "ies");
    if (r->message[0] && r->phase != MU_CELL_COMPLETE && n < size)
        snprintf(out.text + n, size - n, ": %s", r->message);
    return out;
}

static void put_recent(struct page *p, const struct mu_sweep_view *v, uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        const struct mu_sweep_row *r = &v->recent[i];

        if (r->ended_at > 0)
            put(p, "%s  %s", mu_progress_duration(r->ended_at).text, mu_sweep_row_line(r).text);
        else
            put(p, "%s", mu_sweep_row_line(r).text);
    }
}

/* ---- budgets --------------------------------------------------------------------------------- */

static void put_budget(struct page *p, const struct mu_sweep_view_budget *b)
{
    char c[24], best[80] = "", extended[48] = "";

    if (isfinite(b->window.best_loss) && b->window.best_loss > 0)
        snprintf(best, sizeof best, "; best %.4f at size %g", b->window.best_loss,
                 b->window.best_size);
    if (b->window.extended == 1)
        snprintf(extended, sizeof extended, "; extended once");
    else if (b->window.extended > 1)
        snprintf(extended, sizeof extended, "; extended %" PRId64 " times", b->window.extended);
    put(p, "budget   %-6s  %" PRIu32 "/%" PRIu32 " cells  minimum bracketed? %s%s%s",
        flops(b->window.budget, c), b->ended, b->trials,
        mu_sweep_bracket_text(b->window.bracket, b->window.is_exhausted), best, extended);
}

static void put_budgets(struct page *p, const struct mu_sweep_view *v, uint32_t rows)
{
    const uint32_t shown = rows < v->budgets ? rows - (rows > 0) : v->budgets;

    for (uint32_t i = 0; i < shown; i++)
        put_budget(p, &v->budget[i]);
    if (rows > 0 && shown < v->budgets)
        put(p, "... and %" PRIu32 " more budget%s", v->budgets - shown,
            mu_plural(v->budgets - shown));
}

/* ---- the whole ------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t head_rows(const struct mu_sweep_view *v)
{
    uint32_t rows = 2;

    rows += v->ended[0] || v->interrupted || v->ranks + v->dead > 0;
    rows += v->is_launched;
    rows += mu_ledger_total_us(&v->goodput) > 0;
    rows += v->tuned_key[0] != 0;
    return rows;
}

/* Budgets may have a third of what the head leaves, those that have ended two lines, and what
 * trains the rest; what one does not need the others have. */
void mu_sweep_view_print(FILE *out, const struct mu_sweep_view *v, int columns_most, int rows)
{
    struct page p = {.out = out, .columns = columns_most, .left = UINT32_MAX};
    uint32_t left, live = v->lives, budgets = v->budgets, recent = v->recents;

    if (rows > 0) {
        const uint32_t head = head_rows(v);
        const uint32_t line_of_heads = v->lives > 0;

        p.left = (uint32_t)rows;
        left = p.left > head ? p.left - head : 0;
        left = left > line_of_heads ? left - line_of_heads : 0;
        live = least(v->lives, left - least(left, least(v->budgets, left / 3) +
                                                      least(v->recents, left > 6 ? 2 : 0)));
        budgets = least(v->budgets, left - live);
        recent = least(v->recents, left - live - budgets);
    }
    put_head(&p, v);
    put_live(&p, v, live);
    put_recent(&p, v, recent);
    put_budgets(&p, v, budgets);
}

void mu_sweep_view_print_findings(FILE *out, const struct mu_sweep_view *v)
{
    struct page p = {.out = out, .left = UINT32_MAX};

    put_tuned(&p, v);
    put_budgets(&p, v, v->budgets);
}

struct mu_progress_text mu_sweep_view_line(const struct mu_sweep_view *v)
{
    struct mu_progress_text out;
    const size_t size = sizeof out.text;
    unsigned share[MU_LEDGER_KIND_COUNT];
    size_t n = (size_t)snprintf(out.text, size, "sweep %s  %" PRIu32 " of %" PRIu32 " trials ended",
                                v->name, mu_sweep_view_count_ended(v), v->trials);

    n += (size_t)snprintf(out.text + n, size - n,
                          "  %" PRIu32 " train  %" PRIu32 " of %" PRIu32 " ranks busy",
                          v->phases[MU_CELL_TRAINS] + v->phases[MU_CELL_MOVES], v->busy, v->ranks);
    if (v->dead > 0)
        n += (size_t)snprintf(out.text + n, size - n, "  %" PRIu32 " dead", v->dead);
    if (isfinite(v->tokens_per_s) && v->tokens_per_s > 0)
        n += (size_t)snprintf(out.text + n, size - n, "  %.20s tok/s",
                              mu_progress_count(v->tokens_per_s).text);
    if (mu_ledger_total_us(&v->goodput) > 0) {
        mu_ledger_shares(&v->goodput, share);
        n += (size_t)snprintf(out.text + n, size - n, "  goodput %u.%u %%",
                              share[MU_LEDGER_COMPUTE] / 10, share[MU_LEDGER_COMPUTE] % 10);
    }
    n += (size_t)snprintf(out.text + n, size - n, "  %.30s", mu_progress_duration(v->now).text);
    if (isfinite(v->eta) && !v->ended[0])
        snprintf(out.text + n, size - n, "  ETA %.30s", mu_progress_duration(v->eta).text);
    return out;
}
