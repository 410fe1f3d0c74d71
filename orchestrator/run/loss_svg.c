/* Drawing never holds up training: gnuplot reads metrics.csv by itself, one process at a time. It
 * draws into loss.svg.tmp, which is renamed when it has ended well, so that loss.svg is always a
 * whole picture. It works inside the run directory: no path needs quoting in its script. */
#include "orchestrator/run/loss_svg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/log.h"

enum {
    DRAW_MS = 60000,     /* deadline of a drawing in the background, on busy cores */
    WAIT_MS = 10000,     /* of one that is waited for */
    END_MS = 1000,       /* of one that is under way when the run directory is closed */
    INTERVAL_MS = 15000, /* between two drawings in the background */
    LOOK_US = 2000,
    SCRIPT_MAX = 8192,
};

/* After a line `run = 'NAME'`. The thin line is cut down to about 2,000 records, the thick one goes
 * through the means of 80 equal parts of the run (through the records when there are few). gnuplot
 * labels only the decades of a logarithmic axis, of which a loss curve often has none: hence the
 * list of marks; and where the loss changes little, a linear axis says the same and is labelled
 * better. */
static const char script[] =
    "set datafile separator comma\n"
    "set datafile missing ''\n"
    "stats 'metrics.csv' using 'step':'loss' name 'T' nooutput\n"
    "stats 'metrics.csv' using 'step':'valid_loss' name 'V' nooutput\n"
    "if (!exists('T_records') || T_records == 0) { exit }\n"
    "if (!exists('V_records')) { V_records = 0 }\n"
    "set terminal svg size 960,540 dynamic font 'Helvetica,Arial,sans-serif,14' "
    "background '#ffffff'\n"
    "set output 'loss.svg.tmp'\n"
    "low = T_min_y\n"
    "high = T_max_y\n"
    "if (V_records > 0 && V_min_y < low) { low = V_min_y }\n"
    "if (V_records > 0 && V_max_y > high) { high = V_max_y }\n"
    "if (high <= low) { low = low - 0.5; high = high + 0.5 }\n"
    "set border 3 lc '#909090'\n"
    "set tics nomirror out scale 0.6 textcolor '#404040'\n"
    "set grid ytics lt 1 lc '#e8e8e8' lw 1\n"
    "set xlabel 'optimizer steps, linear scale' textcolor '#404040'\n"
    "scale = (low > 0 && high / low > 2.5) ? 'logarithmic' : 'linear'\n"
    "set ylabel 'loss in nats per token, '.scale.' scale' textcolor '#404040'\n"
    "set title run noenhanced textcolor '#202020' font ',18'\n"
    "set key top right reverse Left samplen 2 textcolor '#404040'\n"
    "set xrange [0:T_max_x]\n"
    "set format x '%.0f'\n"
    "if (T_max_x < 10) { set xtics 1 }\n"
    "if (scale eq 'logarithmic') {\n"
    "  set logscale y\n"
    "  set yrange [low * 0.96 : high * 1.04]\n"
    "  unset mytics\n"
    "  set ytics ()\n"
    "  marks = '1 1.2 1.5 2 2.5 3 3.5 4 5 6 7 8 9'\n"
    "  if (high / low > 10) { marks = '1 1.5 2 3 4 5 7' }\n"
    "  if (high / low > 40) { marks = '1 2 5' }\n"
    "  if (high / low > 4000) { marks = '1' }\n"
    "  do for [decade = floor(log10(low)) : ceil(log10(high))] {\n"
    "    do for [mark in marks] {\n"
    "      tick = mark * 10.0 ** decade\n"
    "      set ytics add (sprintf('%g', tick) tick)\n"
    "    }\n"
    "  }\n"
    "} else {\n"
    "  set yrange [low - 0.04 * (high - low) : high + 0.04 * (high - low)]\n"
    "}\n"
    "part = T_records > 160 ? T_max_x / 80.0 : 0\n"
    "thin = part > 0 ? 'training' : ''\n"
    "thick = part > 0 ? 'running mean' : 'training'\n"
    "nth = T_records > 2000 ? ceil(T_records / 2000.0) : 1\n"
    "middle(s) = part > 0 ? (floor((s - 0.5) / part) + 0.5) * part : s\n"
    "plot 'metrics.csv' using 'step':'loss' every nth with lines lw 1 lc '#b4cce4' "
    "title thin, "
    "'' using (middle(column('step'))):'loss' smooth unique with lines lw 2.5 lc '#1f5f9e' "
    "title thick, "
    "'' using 'step':(T_records < 20 ? column('loss') : NaN) with points pt 7 ps 0.4 "
    "lc '#1f5f9e' notitle, "
    "'' using 'step':'valid_loss' with points pt 7 ps 0.6 lc '#d1541b' title 'validation'\n"
    "set output\n";

enum mu_status mu_loss_svg_init(struct mu_loss_svg *plot, const char *folder)
{
    const char *name = strrchr(folder, '/');

    *plot = (struct mu_loss_svg){.gnuplot = MU_GNUPLOT_IDLE};
    snprintf(plot->title, sizeof plot->title, "%s", name && name[1] ? name + 1 : folder);
    for (char *c = plot->title; *c; c++)
        if (*c == '\'' || (unsigned char)*c < ' ')
            *c = ' ';
    return mu_path_format(plot->folder, "%s", folder);
}

static int begin(struct mu_loss_svg *plot, unsigned deadline_ms)
{
    char text[SCRIPT_MAX];
    int n = snprintf(text, sizeof text, "run = '%s'\n%s", plot->title, script), error;

    MU_ASSERT(n < (int)sizeof text);
    error = mu_gnuplot_start(&plot->gnuplot, plot->folder, text, (size_t)n, false, deadline_ms);
    if (error == 0)
        plot->next = mu_deadline_in_ms(INTERVAL_MS);
    return error;
}

static void begin_or_say(struct mu_loss_svg *plot, unsigned deadline_ms)
{
    int error = plot->given_up ? 0 : begin(plot, deadline_ms);

    if (error == ENOENT) {
        plot->given_up = true;
        mu_log(MU_LOG_INFO, "loss.svg is not drawn: gnuplot is not installed (metrics.csv holds "
                            "the numbers)");
    } else if (error != 0) {
        plot->given_up = true;
        mu_log(MU_LOG_INFO, "loss.svg is not drawn: cannot start gnuplot: %s", strerror(error));
    }
}

static void say_failure(struct mu_loss_svg *plot, int status)
{
    char why[500];

    if (plot->told)
        return;
    plot->told = true;
    mu_gnuplot_explain(&plot->gnuplot, status, why, sizeof why);
    mu_log(MU_LOG_INFO,
           WIFSIGNALED(status) ? "loss.svg was not drawn in time (%s)"
                               : "loss.svg was not drawn: %s",
           why);
}

static void finish(struct mu_loss_svg *plot, int status)
{
    char beside[MU_PATH_MAX], path[MU_PATH_MAX];

    if (status != 0)
        say_failure(plot, status);
    mu_gnuplot_close(&plot->gnuplot);
    if (mu_path_format(beside, "%s/loss.svg.tmp", plot->folder) != MU_OK ||
        mu_path_format(path, "%s/loss.svg", plot->folder) != MU_OK)
        return;
    if (status != 0)
        unlink(beside);
    else if (rename(beside, path) != 0 && errno != ENOENT) /* ENOENT: no losses to draw yet */
        mu_log(MU_LOG_INFO, "cannot rename %s: %s", beside, strerror(errno));
}

void mu_loss_svg_poll(struct mu_loss_svg *plot)
{
    int status;

    if (mu_gnuplot_poll(&plot->gnuplot, &status))
        finish(plot, status);
}

void mu_loss_svg_start(struct mu_loss_svg *plot)
{
    mu_loss_svg_poll(plot);
    if (plot->gnuplot.pid == 0 && mu_deadline_passed(plot->next))
        begin_or_say(plot, DRAW_MS);
}

static void wait_at_most(struct mu_loss_svg *plot, unsigned ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(ms), end = mu_deadline_in_ms(ms + END_MS);

    if (deadline.at_ns < plot->gnuplot.deadline.at_ns)
        plot->gnuplot.deadline = deadline;
    for (mu_loss_svg_poll(plot); plot->gnuplot.pid > 0 && !mu_deadline_passed(end);
         mu_loss_svg_poll(plot))
        mu_clock_sleep_us(LOOK_US);
}

void mu_loss_svg_draw(struct mu_loss_svg *plot)
{
    wait_at_most(plot, WAIT_MS); /* one that was begun earlier lacks the newest records */
    if (plot->gnuplot.pid == 0)
        begin_or_say(plot, WAIT_MS);
    wait_at_most(plot, WAIT_MS);
}

void mu_loss_svg_deinit(struct mu_loss_svg *plot)
{
    wait_at_most(plot, END_MS);
}
