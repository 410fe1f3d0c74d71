/* Drawing never holds up training: gnuplot reads metrics.csv by itself, in a process of its own at
 * low priority, one at a time, under a deadline. It draws into loss.svg.tmp, which is renamed when
 * it has ended well, so that loss.svg is always a whole picture. It works inside the run directory:
 * no path needs quoting in its script.
 *
 *            begin                       ended, or killed at the deadline
 *   (idle) --------> (drawing: pid > 0) ----------------------------------> (idle) */
#include "orchestrator/run/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/log.h"

extern char **environ;

enum {
    DRAW_MS = 60000,     /* deadline of a drawing in the background, on busy cores */
    WAIT_MS = 10000,     /* of one that is waited for */
    END_MS = 1000,       /* of one that is under way when the run directory is closed */
    INTERVAL_MS = 15000, /* between two drawings in the background */
    LOOK_US = 2000,
    NICENESS = 10,
    SCRIPT_MAX = 8192, /* fits a pipe whole: written before there is a reader */
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

enum mu_status mu_plot_init(struct mu_plot *plot, const char *folder)
{
    const char *name = strrchr(folder, '/');

    *plot = (struct mu_plot){.errors = -1};
    snprintf(plot->title, sizeof plot->title, "%s", name && name[1] ? name + 1 : folder);
    for (char *c = plot->title; *c; c++)
        if (*c == '\'' || (unsigned char)*c < ' ')
            *c = ' ';
    return mu_path_format(plot->folder, "%s", folder);
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* gnuplot with the script on `input`, complaints to `errors`, nothing else inherited: neither the
 * lock of the run directory nor MPI's sockets may live on in it. 0 or an errno. */
static int spawn(const char *folder, int input, int errors, pid_t *pid)
{
    static char *argv[] = {"gnuplot", "-d", NULL}; /* -d: whatever the user's ~/.gnuplot says */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error;

    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawn_file_actions_addchdir_np(&files, folder);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawnp(pid, argv[0], &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static int begin(struct mu_plot *plot, unsigned deadline_ms)
{
    char text[SCRIPT_MAX];
    int n = snprintf(text, sizeof text, "run = '%s'\n%s", plot->title, script);
    int input[2] = {-1, -1}, errors[2] = {-1, -1}, error = 0;

    MU_ASSERT(n < (int)sizeof text);
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 ||
        write(input[1], text, (size_t)n) != n || fcntl(errors[0], F_SETFL, O_NONBLOCK) != 0)
        error = errno;
    if (error == 0)
        error = spawn(plot->folder, input[0], errors[1], &plot->pid);
    close_if_open(&input[0]);
    close_if_open(&input[1]);
    close_if_open(&errors[1]);
    if (error != 0) {
        close_if_open(&errors[0]);
        plot->pid = 0;
        return error;
    }
    setpriority(PRIO_PROCESS, (id_t)plot->pid, NICENESS);
    plot->errors = errors[0];
    plot->deadline = mu_deadline_in_ms(deadline_ms);
    plot->next = mu_deadline_in_ms(INTERVAL_MS);
    return 0;
}

static void begin_or_say(struct mu_plot *plot, unsigned deadline_ms)
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

static void say_failure(struct mu_plot *plot, int status)
{
    char said[400];
    ssize_t n = read(plot->errors, said, sizeof said - 1);

    if (plot->told)
        return;
    plot->told = true;
    said[n > 0 ? n : 0] = 0;
    said[strspn(said, "\n") + strcspn(said + strspn(said, "\n"), "\n")] = 0;
    if (WIFSIGNALED(status))
        mu_log(MU_LOG_INFO, "loss.svg was not drawn in time (gnuplot ended by signal %d)",
               WTERMSIG(status));
    else
        mu_log(MU_LOG_INFO, "loss.svg was not drawn: gnuplot ended with %d: %s",
               WEXITSTATUS(status), said + strspn(said, "\n"));
}

static void finish(struct mu_plot *plot, int status)
{
    char beside[MU_PATH_MAX], path[MU_PATH_MAX];

    plot->pid = 0;
    if (status != 0)
        say_failure(plot, status);
    close_if_open(&plot->errors);
    if (mu_path_format(beside, "%s/loss.svg.tmp", plot->folder) != MU_OK ||
        mu_path_format(path, "%s/loss.svg", plot->folder) != MU_OK)
        return;
    if (status != 0)
        unlink(beside);
    else if (rename(beside, path) != 0 && errno != ENOENT) /* ENOENT: no losses to draw yet */
        mu_log(MU_LOG_INFO, "cannot rename %s: %s", beside, strerror(errno));
}

void mu_plot_poll(struct mu_plot *plot)
{
    pid_t ended;
    int status = 0;

    if (plot->pid <= 0)
        return;
    if (mu_deadline_passed(plot->deadline))
        kill(plot->pid, SIGKILL);
    ended = waitpid(plot->pid, &status, WNOHANG);
    if (ended == plot->pid)
        finish(plot, status);
    else if (ended < 0 && errno != EINTR)
        finish(plot, 0); /* someone else has waited for it: how it ended is not known */
}

void mu_plot_start(struct mu_plot *plot)
{
    mu_plot_poll(plot);
    if (plot->pid == 0 && mu_deadline_passed(plot->next))
        begin_or_say(plot, DRAW_MS);
}

static void wait_at_most(struct mu_plot *plot, unsigned ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(ms), end = mu_deadline_in_ms(ms + END_MS);

    if (deadline.at_ns < plot->deadline.at_ns)
        plot->deadline = deadline;
    for (mu_plot_poll(plot); plot->pid > 0 && !mu_deadline_passed(end); mu_plot_poll(plot))
        mu_clock_sleep_us(LOOK_US);
}

void mu_plot_draw(struct mu_plot *plot)
{
    wait_at_most(plot, WAIT_MS); /* one that was begun earlier lacks the newest records */
    if (plot->pid == 0)
        begin_or_say(plot, WAIT_MS);
    wait_at_most(plot, WAIT_MS);
}

void mu_plot_deinit(struct mu_plot *plot)
{
    wait_at_most(plot, END_MS);
}
