/* Forked, as only the child itself can ask to die with its parent. A pipe that closes at exec tells
 * the parent the error number of what could not be started. */
#include "orchestrator/base/apart.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    GRACE_MS = 300,
    LOOK_MS = 20,
    END_US = 1000, /* an end of file is seen some time before the end of its process */
};

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void begin(struct mu_apart *a, unsigned deadline_ms)
{
    a->pid = 0;
    a->output = -1;
    a->error = a->status = 0;
    a->late = false;
    a->signals = 0;
    a->length = 0;
    a->text[0] = 0;
    a->deadline = mu_deadline_in_ms(deadline_ms);
}

/* In the child. A group of its own, to be ended with all that it starts. */
static bool stand_apart(pid_t parent, int out)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    setpgid(0, 0);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(out >= 0 ? out : nothing, STDOUT_FILENO) < 0 ||
        dup2(out >= 0 ? out : nothing, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return false;
    if (getppid() != parent)
        raise(SIGKILL); /* it died in between */
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP)
            signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    return true;
}

/* In the parent; `child` -1: there is none. */
static void take_child(struct mu_apart *a, pid_t child, int output[2], unsigned deadline_ms)
{
    close_if_open(&output[1]);
    if (child > 0)
        mu_apart_adopt(a, child, output[0], deadline_ms);
    else
        close_if_open(&output[0]);
}

void mu_apart_start(struct mu_apart *a, const char *const *words, unsigned deadline_ms)
{
    int output[2] = {-1, -1}, ready[2] = {-1, -1};
    pid_t parent = getpid(), child = -1;

    begin(a, deadline_ms);
    if (pipe2(output, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0)
        child = fork();
    if (child == 0) {
        if (stand_apart(parent, output[1]))
            execvp(words[0], (char *const *)words); /* it changes none */
        a->error = errno;
        if (write(ready[1], &a->error, sizeof a->error) < 0)
            _exit(126); /* the parent is gone */
        _exit(127);
    }
    if (child < 0)
        a->error = errno;
    close_if_open(&ready[1]);
    if (child > 0 && read(ready[0], &a->error, sizeof a->error) == (ssize_t)sizeof a->error) {
        waitpid(child, NULL, 0);
        child = -1;
    }
    close_if_open(&ready[0]);
    take_child(a, child, output, deadline_ms);
}

void mu_apart_call(struct mu_apart *a, void (*work)(void *context, int out), void *context,
                   unsigned deadline_ms)
{
    int output[2] = {-1, -1};
    pid_t parent = getpid(), child = -1;

    begin(a, deadline_ms);
    fflush(NULL); /* or the child might write it, too */
    if (pipe2(output, O_CLOEXEC) == 0)
        child = fork();
    if (child == 0) {
        if (!stand_apart(parent, -1))
            _exit(127);
        work(context, output[1]);
        _exit(0);
    }
    if (child < 0)
        a->error = errno;
    take_child(a, child, output, deadline_ms);
}

void mu_apart_adopt(struct mu_apart *a, pid_t pid, int output, unsigned deadline_ms)
{
    begin(a, deadline_ms);
    a->pid = pid;
    a->output = output;
    fcntl(output, F_SETFL, O_NONBLOCK);
}

/* What is there now; the end of it closes the pipe. */
static void take_output(struct mu_apart *a)
{
    char dropped[4096];

    while (a->output >= 0) {
        size_t room = MU_APART_TEXT - a->length;
        ssize_t n = room > 0 ? read(a->output, a->text + a->length, room)
                             : read(a->output, dropped, sizeof dropped);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        if (n == 0)
            close_if_open(&a->output);
        else if (room > 0)
            a->length += (size_t)n;
        a->text[a->length] = 0;
    }
}

/* The deadline has passed: a request, after a while an order, then nothing more can be done. */
static void press(struct mu_apart *a)
{
    static const int order[] = {SIGTERM, SIGKILL};

    a->late = true;
    if (a->signals == sizeof order / sizeof *order) {
        a->pid = 0;
        return;
    }
    kill(-a->pid, order[a->signals]);
    kill(-a->pid, SIGCONT);
    a->signals++;
    a->deadline = mu_deadline_in_ms(GRACE_MS);
}

/* Gives back whether it is under way. What a descendant keeps open is not waited for. */
static bool look(struct mu_apart *a, bool stop)
{
    pid_t ended;

    if (a->pid <= 0)
        return false;
    take_output(a);
    ended = waitpid(a->pid, &a->status, WNOHANG);
    if (ended == a->pid || (ended < 0 && errno != EINTR)) {
        if (a->late)
            kill(-a->pid, SIGKILL); /* what it had started */
        a->pid = 0;
        take_output(a);
    } else if (mu_deadline_passed(a->deadline) || (stop && !a->late)) {
        press(a);
    }
    if (a->pid == 0)
        close_if_open(&a->output);
    return a->pid > 0;
}

bool mu_apart_look(struct mu_apart *a)
{
    return look(a, false);
}

void mu_apart_wait(struct mu_apart *const *list, size_t count, const volatile sig_atomic_t *stop)
{
    for (;;) {
        struct pollfd waits[32];
        nfds_t open = 0;
        bool under_way = false;

        for (size_t i = 0; i < count; i++)
            if (look(list[i], stop && *stop)) {
                under_way = true;
                if (list[i]->output >= 0 && open < sizeof waits / sizeof *waits)
                    waits[open++] = (struct pollfd){.fd = list[i]->output, .events = POLLIN};
            }
        if (!under_way)
            return;
        if (poll(waits, open, LOOK_MS) < 0 && errno != EINTR)
            mu_clock_sleep_us(1000 * LOOK_MS);
        mu_clock_sleep_us(END_US);
    }
}

bool mu_apart_succeeded(const struct mu_apart *a)
{
    return a->error == 0 && !a->late && a->pid == 0 && WIFEXITED(a->status) &&
           WEXITSTATUS(a->status) == 0;
}

static bool has_letters(const char *line, int length)
{
    for (int i = 0; i < length; i++)
        if (isalpha((unsigned char)line[i]))
            return true;
    return false;
}

/* The line that tells most: the first one of an error, else the first one with letters. */
static int telling_line(const char *text, const char **line)
{
    int length = 0;

    for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        int n = (int)strcspn(p, "\r\n");
        const char *error = strcasestr(p, "error");

        if (error && error < p + n) {
            *line = p;
            return n;
        }
        if (length == 0 && has_letters(p, n)) {
            *line = p;
            length = n;
        }
    }
    return length;
}

void mu_apart_explain(const struct mu_apart *a, char *text, size_t size)
{
    const char *line = "";
    int length = telling_line(a->text, &line);

    if (a->error == ENOENT)
        snprintf(text, size, "there is no such program");
    else if (a->error != 0)
        snprintf(text, size, "it cannot be started: %s", strerror(a->error));
    else if (a->late)
        snprintf(text, size, "no answer in time");
    else if (WIFSIGNALED(a->status))
        snprintf(text, size, "ended by signal %d", WTERMSIG(a->status));
    else
        snprintf(text, size, "ended with %d%s%.*s", WEXITSTATUS(a->status), length > 0 ? ": " : "",
                 length, line);
    for (; *text; text++) /* it may have been anything */
        if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
            *text = '?';
}
