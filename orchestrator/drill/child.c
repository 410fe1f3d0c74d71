#include "orchestrator/drill/child.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/process.h"
#include "worker/board.h"

extern char **environ;

enum { MOST_WORDS = 16, POLITE_MS = 10000, ENVIRONMENT_MAX = 1 << 20 };

/* ---- starting one ---- */
static bool starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* malloc'ed, and its last two or three strings are the caller's; NULL: no memory. */
static char **make_environment(char *fault)
{
    static char level[] = "MUSTER_LOG=debug", lines[] = "MUSTER_PROGRESS=lines";
    size_t count = 0, n = 0;
    char **out;

    while (environ[count])
        count++;
    out = malloc((count + 4) * sizeof *out);
    for (size_t i = 0; out && i < count; i++)
        if (!starts_with(environ[i], "MUSTER_") || starts_with(environ[i], "MUSTER_HOSTS=") ||
            starts_with(environ[i], "MUSTER_CUDA_MODULE="))
            out[n++] = environ[i];
    if (!out)
        return NULL;
    out[n++] = level;
    out[n++] = lines;
    if (*fault)
        out[n++] = fault;
    out[n] = NULL;
    return out;
}

/* In the child; system calls only. In a group of its own: a terminal's Ctrl-C is for the drill. */
static void become_launcher(pid_t parent, char **arguments, char **environment, int log)
{
    sigset_t none;
    int nothing = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        _exit(127);
    if (getppid() != parent)
        raise(SIGKILL); /* the drill died in between */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

enum mu_status mu_drill_child_start(struct mu_drill_child *child, const char *const *words,
                                    const char *log, const char *fault)
{
    char *arguments[MOST_WORDS + 3] = {(char *)"muster", (char *)"launch"};
    char faults[320], **environment;
    pid_t parent = getpid();
    int fd;

    snprintf(faults, sizeof faults, "%s%s", *fault ? "MUSTER_FAULT=" : "", fault);
    for (int i = 0; words[i]; i++) {
        MU_ASSERT(i < MOST_WORDS);
        arguments[i + 2] = (char *)words[i]; /* execve takes them so, and changes none */
    }
    *child = (struct mu_drill_child){.pid = 0};
    environment = make_environment(faults);
    if (!environment)
        return MU_FAIL(MU_NO_MEMORY, "no memory for an environment");
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0) {
        child->pid = fork();
        if (child->pid == 0)
            become_launcher(parent, arguments, environment, fd);
        close(fd);
    }
    free(environment);
    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", log, strerror(errno));
    if (child->pid < 0) {
        child->pid = 0;
        return MU_FAIL(MU_FAILED, "cannot fork: %s", strerror(errno));
    }
    return MU_OK;
}

bool mu_drill_child_has_ended(struct mu_drill_child *child)
{
    if (child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
        child->pid = 0;
    return child->pid == 0;
}

static bool ends_within(struct mu_drill_child *child, uint64_t ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(ms);

    while (!mu_drill_child_has_ended(child)) {
        if (mu_deadline_passed(deadline))
            return false;
        mu_clock_sleep_us(5000);
    }
    return true;
}

/* A launcher takes the first of two signals for a wish and the second for an order, and clears up
 * after itself; two of the same number might arrive as one. */
void mu_drill_child_end(struct mu_drill_child *child)
{
    if (mu_drill_child_has_ended(child))
        return;
    kill(child->pid, SIGCONT);
    kill(child->pid, SIGTERM);
    kill(child->pid, SIGINT);
    if (ends_within(child, POLITE_MS))
        return;
    mu_log(MU_LOG_WARN, "the launcher (pid %d) did not end when asked to, and was killed",
           (int)child->pid);
    kill(child->pid, SIGKILL); /* mpirun and the ranks are bound to follow */
    if (!ends_within(child, POLITE_MS))
        mu_log(MU_LOG_WARN, "the launcher (pid %d) does not end", (int)child->pid);
}

/* ---- finding what it started ---- */
/* -1: it is no rank. */
static int read_rank(pid_t pid)
{
    static const char variable[] = "OMPI_COMM_WORLD_RANK=";
    char path[64];
    char *text = malloc(ENVIRONMENT_MAX);
    ssize_t n;
    int fd, rank = -1;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = text && fd >= 0 ? read(fd, text, ENVIRONMENT_MAX - 1) : 0;
    if (fd >= 0)
        close(fd);
    if (n > 0) {
        text[n] = 0;
        for (char *p = text; p < text + n; p += strlen(p) + 1)
            if (starts_with(p, variable))
                rank = atoi(p + strlen(variable));
    }
    free(text);
    return rank;
}

static void look_at(pid_t pid, struct mu_drill_family *out, bool for_ranks)
{
    struct mu_process p;
    int rank;

    if (!mu_process_read((uint32_t)pid, &p))
        return;
    if (!for_ranks) {
        if (p.parent == out->launcher && p.session == pid)
            out->mpirun = pid;
        return;
    }
    if (p.session != out->mpirun || pid == out->mpirun)
        return;
    rank = read_rank(pid);
    if (rank >= 0 && rank < MU_DRILL_RANKS)
        out->rank[rank] = (struct mu_drill_member){pid, p.start_time};
}

/* mpirun leads a session of its own, in which all ranks of this machine are. */
void mu_drill_family_find(const struct mu_drill_child *child, struct mu_drill_family *out)
{
    *out = (struct mu_drill_family){.launcher = child->pid};
    for (int look = 0; look < 2; look++) {
        DIR *processes = opendir("/proc");
        struct dirent *entry;

        while (processes && (entry = readdir(processes)) != NULL)
            if (isdigit((unsigned char)entry->d_name[0]))
                look_at((pid_t)atoi(entry->d_name), out, look == 1);
        if (processes)
            closedir(processes);
        if (out->mpirun == 0)
            return;
    }
}

static bool send(pid_t pid, int number)
{
    return pid > 0 && kill(pid, number) == 0;
}

bool mu_drill_family_signal(const struct mu_drill_family *family, const struct mu_drill_signal *s)
{
    int last = MU_DRILL_RANKS - 1, sent = 0;

    switch (s->target) {
    case MU_DRILL_LAUNCHER:
        return send(family->launcher, s->number);
    case MU_DRILL_MPIRUN:
        return send(family->mpirun, s->number);
    case MU_DRILL_RANK:
        return send(family->rank[s->rank].pid, s->number);
    case MU_DRILL_EVERY_RANK:
    case MU_DRILL_ALL_BUT_ONE:
        break;
    }
    while (last > 0 && family->rank[last].pid == 0)
        last--;
    if (s->target == MU_DRILL_ALL_BUT_ONE)
        last--;
    for (int i = 0; i <= last; i++)
        sent += send(family->rank[i].pid, s->number);
    return sent > 0 && sent == last + 1;
}

void mu_drill_family_continue(const struct mu_drill_family *family)
{
    for (int i = 0; i < MU_DRILL_RANKS; i++)
        if (family->rank[i].pid > 0 &&
            mu_board_process_start((uint32_t)family->rank[i].pid) == family->rank[i].start_time)
            kill(family->rank[i].pid, SIGCONT);
}
