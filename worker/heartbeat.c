#include "worker/heartbeat.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 2000, ROUNDS = 3, AGAIN_MS = 500 };

static struct {
    const char *where, *job, *rank;
} launcher;

static bool waits_for(int fd, short events, int deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;

    do
        n = poll(&p, 1, deadline_ms);
    while (n < 0 && errno == EINTR);
    return n == 1 && (p.revents & events);
}

/* -1: no way there. */
static int connect_to(const char *address, const char *port)
{
    const struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                    .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd = -1, error = 0;
    socklen_t size = sizeof error;

    if (getaddrinfo(address, port, &wanted, &found) != 0)
        return -1;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 &&
        (errno != EINPROGRESS || !waits_for(fd, POLLOUT, CONNECT_MS) ||
         getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Whoever listens there knows this generation. */
static bool greet(int fd)
{
    char text[MU_HEARTBEAT_HELLO_MAX], host[256] = "";
    const size_t length = strlen(launcher.job);
    size_t n;

    gethostname(host, sizeof host - 1);
    n = (size_t)snprintf(text, sizeof text, MU_HEARTBEAT_WORD " %s %s %s\n", launcher.job,
                         launcher.rank, host);
    if (n >= sizeof text || send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        return false;
    for (n = 0; n < length + 1;) {
        ssize_t got;

        if (!waits_for(fd, POLLIN, ANSWER_MS))
            return false;
        got = recv(fd, text + n, length + 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
    }
    return memcmp(text, launcher.job, length) == 0 && text[length] == '\n';
}

/* -1: nobody has answered. */
static int reach_launcher(void)
{
    char *words = strdup(launcher.where), *rest = NULL, *port, *address;
    int fd = -1;

    port = words ? strtok_r(words, " ", &rest) : NULL;
    while (fd < 0 && port && (address = strtok_r(NULL, " ", &rest))) {
        fd = connect_to(address, port);
        if (fd >= 0 && !greet(fd)) {
            close(fd);
            fd = -1;
        }
    }
    free(words);
    return fd;
}

/* As long as it takes: a launcher that is stopped, or cut off, takes nothing for a while; that is
 * for the lease to judge. */
static void beat(int fd)
{
    for (;;) {
        if (send(fd, ".", 1, MSG_NOSIGNAL) != 1 && errno != EAGAIN && errno != EINTR) {
            mu_log(MU_LOG_ERROR, "the launcher takes this rank for dead (%s): it ends",
                   strerror(errno));
            raise(SIGKILL);
        }
        mu_clock_sleep_us(1000 * MU_HEARTBEAT_MS);
    }
}

static void *run(void *context)
{
    (void)context;
    for (int round = 0; round < ROUNDS; round++) {
        int fd = reach_launcher();

        if (fd >= 0)
            beat(fd);
        mu_clock_sleep_us(1000 * AGAIN_MS);
    }
    mu_log(MU_LOG_DEBUG, "rank %s has no way to the launcher (" MU_HEARTBEAT_VARIABLE "=%s)",
           launcher.rank, launcher.where);
    return NULL;
}

enum mu_status mu_heartbeat_begin(void)
{
    sigset_t all, before;
    pthread_t thread;
    int error;

    launcher.where = getenv(MU_HEARTBEAT_VARIABLE);
    launcher.job = mu_started_by_launch();
    launcher.rank = getenv("PMIX_RANK");
    if (!launcher.where || !*launcher.where || !launcher.job || !launcher.rank)
        return MU_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the first thread */
    error = pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot start a thread (error %d)", error);
    pthread_detach(thread);
    return MU_OK;
}
