/* On a terminal the table at its end (run/live.h); else lines. The table is made only when it is
 * due: mu_sweep_screen_put may be called in every poll. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/live.h"
#include "orchestrator/sweep_run/view.h"

enum { REDRAW_MS = 500, LINE_MS = 30000 };

struct mu_sweep_screen {
    struct mu_live *table; /* NULL: lines */
    struct mu_deadline next;
};

static void write_lines(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        /* nobody watches: nothing better to do than to go on */
    }
}

struct mu_sweep_screen *mu_sweep_screen_open(void)
{
    struct mu_sweep_screen *screen;

    if (!mu_log_shows(MU_LOG_INFO))
        return NULL;
    screen = calloc(1, sizeof *screen);
    if (screen && mu_live_wanted(STDERR_FILENO))
        screen->table = mu_live_open(STDERR_FILENO);
    return screen;
}

/* Its text, for the caller to free; NULL: no memory. */
static char *draw(const struct mu_sweep_view *v)
{
    const struct mu_live_size size = mu_live_size(STDERR_FILENO);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    if (!out)
        return NULL;
    mu_sweep_view_print(out, v, size.columns - 1, size.rows - 1);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static void put_now(struct mu_sweep_screen *screen, const struct mu_sweep_state *s)
{
    struct mu_sweep_view *v;
    char line[MU_PROGRESS_LINE_MAX + 1], *text;

    if (mu_sweep_view_make(s, &v) != MU_OK)
        return; /* the reason has been told */
    if (screen->table) {
        text = draw(v);
        if (text)
            mu_live_put(screen->table, text);
        free(text);
    } else {
        snprintf(line, sizeof line, "%s\n", mu_sweep_view_line(v).text);
        write_lines(line);
    }
    mu_sweep_view_free(v);
}

void mu_sweep_screen_put(struct mu_sweep_screen *screen, const struct mu_sweep_state *s)
{
    if (!screen || !mu_deadline_passed(screen->next))
        return;
    screen->next = mu_deadline_in_ms(screen->table ? REDRAW_MS : LINE_MS);
    put_now(screen, s);
}

void mu_sweep_screen_tell(struct mu_sweep_screen *screen, const struct mu_sweep_state *s,
                          uint32_t trial)
{
    struct mu_sweep_row row;
    char line[MU_PROGRESS_LINE_MAX + 1];

    if (!screen || screen->table)
        return; /* the table has it among the newest */
    row = mu_sweep_row_make(s, trial);
    snprintf(line, sizeof line, "%s\n", mu_sweep_row_line(&row).text);
    write_lines(line);
}

/* The last table stays; in lines, what has been found. */
void mu_sweep_screen_close(struct mu_sweep_screen *screen, const struct mu_sweep_state *s)
{
    struct mu_sweep_view *v;
    char *text = NULL;
    size_t bytes;
    FILE *out;

    if (!screen)
        return;
    put_now(screen, s);
    mu_live_close(screen->table, true);
    if (!screen->table && mu_sweep_view_make(s, &v) == MU_OK) {
        out = open_memstream(&text, &bytes);
        if (out) {
            mu_sweep_view_print_findings(out, v);
            if (fclose(out) == 0)
                write_lines(text);
        }
        free(text);
        mu_sweep_view_free(v);
    }
    free(screen);
}
