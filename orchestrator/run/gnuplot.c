/* The script and the output go through files in memory, not through pipes: a script may be larger
 * than a pipe holds, and neither side ever waits for the other. */
#include "orchestrator/run/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/process.h"

extern char **environ;

enum { NICENESS = 10 };

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Nothing but the three streams is inherited: neither the lock of a run directory nor MPI's sockets
 * may live on in it. It leads a process group of its own, to be killed with all that it started (a
 * wrapper's gnuplot, a terminal's helper). output -1: thrown away. 0 or an errno. */
static int spawn(const char *folder, int input, int output, int errors, pid_t *pid)
{
    static char *argv[] = {"gnuplot", "-d", NULL}; /* -d: whatever the user's ~/.gnuplot says */
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int error = 0;

    posix_spawn_file_actions_init(&files);
    mu_process_attributes(&attributes);
    if (folder)
        error = posix_spawn_file_actions_addchdir_np(&files, folder);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
    if (error == 0)
        error = output >= 0 ? posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO)
                            : posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null",
                                                               O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawnp(pid, argv[0], &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* A file in memory that holds `text`, to be read from its beginning; -1 with errno. */
static int hold(const char *text, size_t size)
{
    int fd = memfd_create("gnuplot-script", MFD_CLOEXEC);

    if (fd < 0)
        return -1;
    if (mu_file_write_all(fd, text, size, "gnuplot's script") != MU_OK ||
        lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        errno = ENOSPC;
        return -1;
    }
    return fd;
}

int mu_gnuplot_start(struct mu_gnuplot *g, const char *folder, const char *script, size_t size,
                     bool keep_output, unsigned deadline_ms)
{
    int input = -1, errors[2] = {-1, -1}, error = 0;

    *g = MU_GNUPLOT_IDLE;
    input = hold(script, size);
    if (input < 0 || pipe2(errors, O_CLOEXEC) != 0 || fcntl(errors[0], F_SETFL, O_NONBLOCK) != 0)
        error = errno;
    if (error == 0 && keep_output) {
        g->output = memfd_create("gnuplot-output", MFD_CLOEXEC);
        error = g->output < 0 ? errno : 0;
    }
    if (error == 0)
        error = spawn(folder, input, g->output, errors[1], &g->pid);
    close_if_open(&input);
    close_if_open(&errors[1]);
    g->errors = errors[0];
    if (error != 0) {
        g->pid = 0;
        mu_gnuplot_close(g);
        return error;
    }
    setpriority(PRIO_PROCESS, (id_t)g->pid, NICENESS);
    g->deadline = mu_deadline_in_ms(deadline_ms);
    return 0;
}

bool mu_gnuplot_poll(struct mu_gnuplot *g, int *status)
{
    pid_t ended;

    if (g->pid <= 0)
        return false;
    if (mu_deadline_passed(g->deadline))
        kill(-g->pid, SIGKILL);
    *status = 0;
    ended = waitpid(g->pid, status, WNOHANG);
    if (ended != g->pid && (ended >= 0 || errno == EINTR))
        return false;
    g->pid = 0;
    return true;
}

void mu_gnuplot_explain(const struct mu_gnuplot *g, int status, char *text, size_t size)
{
    char said[400];
    ssize_t n = g->errors < 0 ? 0 : read(g->errors, said, sizeof said - 1);

    said[n > 0 ? n : 0] = 0;
    said[strspn(said, "\n") + strcspn(said + strspn(said, "\n"), "\n")] = 0;
    if (WIFSIGNALED(status))
        snprintf(text, size, "gnuplot ended by signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "gnuplot ended with %d: %s", WEXITSTATUS(status),
                 said + strspn(said, "\n"));
}

char *mu_gnuplot_output(const struct mu_gnuplot *g, size_t *size)
{
    struct stat file;
    char *text;
    ssize_t n;

    if (g->output < 0 || fstat(g->output, &file) != 0 || file.st_size == 0)
        return NULL;
    text = malloc((size_t)file.st_size + 1);
    if (!text)
        return NULL;
    n = pread(g->output, text, (size_t)file.st_size, 0);
    if (n <= 0) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    *size = (size_t)n;
    return text;
}

void mu_gnuplot_close(struct mu_gnuplot *g)
{
    close_if_open(&g->errors);
    close_if_open(&g->output);
}
