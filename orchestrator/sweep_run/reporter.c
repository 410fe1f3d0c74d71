/* Spawned, not forked: a rank's memory is large, and MPI's is not to be copied. What only the child
 * itself can ask for (to die with its parent, to stand back) it does in
 * mu_sweep_reporter_follow. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/process.h"
#include "orchestrator/sweep_run/records.h"

extern char **environ;

enum { NICENESS = 19, TIMES = 20, LOOK_US = 2000 };
static const uint64_t LEAST_NS = 10u * 1000000000ull;
static const char parent_variable[] = "MUSTER_REPORTER=";

void mu_sweep_reporter_init(struct mu_sweep_reporter *r, const char *sweep_path)
{
    *r = (struct mu_sweep_reporter){0};
    snprintf(r->path, sizeof r->path, "%s", sweep_path);
}

void mu_sweep_reporter_ask(struct mu_sweep_reporter *r)
{
    r->again = true;
}

/* With them it would take itself for a rank, or for the place of a fault. */
static bool is_of_rank(const char *variable)
{
    static const char *const prefixes[] = {"OMPI_",    "PMIX_", "PMI_",         "PRTE_",
                                           "MPIEXEC_", "MPI_",  "MUSTER_FAULT="};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* The strings stay environ's, and `parent`'s. NULL: no memory. */
static char **make_environment(char *parent)
{
    size_t count = 0, kept = 0;
    char **list;

    while (environ[count])
        count++;
    list = calloc(count + 2, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        if (!is_of_rank(environ[i]))
            list[kept++] = environ[i];
    if (list)
        list[kept] = parent;
    return list;
}

/* 0 or an errno. */
static int spawn(struct mu_sweep_reporter *r, char **arguments, char **environment, const char *log)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    pid_t pid = 0;
    int error;

    posix_spawn_file_actions_init(&files);
    mu_process_attributes(&attributes);
    error = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log,
                                                 O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawn(&pid, "/proc/self/exe", &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error == 0)
        r->pid = (int)pid;
    return error;
}

static void warn_once(struct mu_sweep_reporter *r, const char *why)
{
    if (!r->told)
        mu_log(MU_LOG_WARN, "%s/report.html is not brought up to date: %s; the sweep goes on",
               r->path, why);
    r->told = true;
}

/* threads: "1" while ranks train. */
static void start(struct mu_sweep_reporter *r, const char *threads)
{
    char parent[sizeof parent_variable + 24], log[MU_PATH_MAX];
    char *arguments[] = {(char *)"muster", (char *)"fit", (char *)"--threads",
                         (char *)threads,  r->path,       NULL};
    char **environment;
    int error = ENOMEM;

    r->again = false;
    r->began_ns = mu_clock_ns();
    snprintf(parent, sizeof parent, "%s%ld", parent_variable, (long)getpid());
    if (mu_path_format(log, "%s/report.log", r->path) != MU_OK)
        return; /* told */
    environment = make_environment(parent);
    if (environment)
        error = spawn(r, arguments, environment, log);
    free(environment);
    if (error != 0) {
        r->next_ns = r->began_ns + LEAST_NS;
        r->again = true;
        warn_once(r, strerror(error));
    }
}

/* False: it runs. */
static bool reap(struct mu_sweep_reporter *r)
{
    const pid_t ended = waitpid(r->pid, &r->status, WNOHANG);
    const uint64_t took = mu_clock_ns() - r->began_ns;

    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    if (ended < 0)
        r->status = 1 << 8; /* somebody else has waited for it */
    r->pid = 0;
    r->next_ns = mu_clock_ns() + (TIMES * took > LEAST_NS ? TIMES * took : LEAST_NS);
    return true;
}

static bool has_failed(const struct mu_sweep_reporter *r)
{
    return !WIFEXITED(r->status) || WEXITSTATUS(r->status) != 0;
}

static const char *describe(const struct mu_sweep_reporter *r, char text[160])
{
    if (WIFSIGNALED(r->status))
        snprintf(text, 160, "`muster fit` ended by signal %d", WTERMSIG(r->status));
    else
        snprintf(text, 160, "`muster fit` ended with %d, and report.log says why",
                 WEXITSTATUS(r->status));
    return text;
}

void mu_sweep_reporter_poll(struct mu_sweep_reporter *r)
{
    char text[160];

    if (r->pid > 0 && reap(r)) {
        if (has_failed(r))
            warn_once(r, describe(r, text));
        else
            r->told = false;
    }
    if (r->pid == 0 && r->again && mu_clock_ns() >= r->next_ns)
        start(r, "1");
}

static void stop(struct mu_sweep_reporter *r)
{
    if (r->pid == 0)
        return;
    kill(-r->pid, SIGKILL);
    while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
        ;
    r->pid = 0;
}

enum mu_status mu_sweep_reporter_finish(struct mu_sweep_reporter *r, void (*poll)(void *context),
                                        void *context)
{
    const struct mu_deadline deadline = mu_deadline_in_ms(1000u * MU_SWEEP_REPORT_S);
    char text[160];

    stop(r); /* it knows less */
    r->told = false;
    start(r, "0");
    while (r->pid > 0 && !mu_deadline_passed(deadline)) {
        if (poll)
            poll(context);
        if (!reap(r))
            mu_clock_sleep_us(LOOK_US);
    }
    if (r->pid > 0) {
        stop(r);
        mu_log(MU_LOG_WARN,
               "the report took more than %d s and was given up: `muster fit %s` writes it",
               MU_SWEEP_REPORT_S, r->path);
        return MU_TIMEOUT;
    }
    if (r->again)
        return MU_FAILED; /* not started: told */
    if (!has_failed(r))
        return MU_OK;
    mu_log(MU_LOG_WARN, "%s/report.html is not up to date: %s; `muster fit %s` writes it", r->path,
           describe(r, text), r->path);
    return MU_FAILED;
}

enum mu_status mu_sweep_reporter_follow(void)
{
    char name[sizeof parent_variable];
    const char *parent;

    snprintf(name, sizeof name, "%.*s", (int)(sizeof parent_variable - 2), parent_variable);
    parent = getenv(name);
    if (!parent)
        return MU_OK;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return MU_FAIL(MU_FAILED, "cannot ask to die with process %s", parent);
    if (getppid() != (pid_t)strtol(parent, NULL, 10))
        raise(SIGKILL); /* it died in between */
    setpriority(PRIO_PROCESS, 0, NICENESS);
    return MU_OK;
}
