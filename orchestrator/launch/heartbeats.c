#include "orchestrator/launch/heartbeats.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

enum {
    STRANGERS = 64,      /* beside the ranks */
    INTRODUCE_MS = 5000, /* for the first line */
    MOST_STEP_MS = 300,  /* of silence, that one look adds */
    NOBODY = -1
};

struct mu_heartbeats_caller {
    int fd, rank; /* NOBODY: has not said who it is */
    uint64_t since_ns;
    size_t length;
    char hello[MU_HEARTBEAT_HELLO_MAX];
};

/* ---- where to be called ---- */
static bool is_of_use(const struct ifaddrs *a)
{
    const struct sockaddr_in6 *six;

    if (!a->ifa_addr || !(a->ifa_flags & IFF_UP) || (a->ifa_flags & IFF_LOOPBACK))
        return false;
    if (a->ifa_addr->sa_family == AF_INET)
        return true;
    six = (const struct sockaddr_in6 *)(const void *)a->ifa_addr;
    return a->ifa_addr->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

static void add_address(struct mu_heartbeats *h, const struct sockaddr *address)
{
    const socklen_t size = address->sa_family == AF_INET ? (socklen_t)sizeof(struct sockaddr_in)
                                                         : (socklen_t)sizeof(struct sockaddr_in6);
    const size_t used = strlen(h->where);
    char text[NI_MAXHOST];

    if (getnameinfo(address, size, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 &&
        used + 1 + strlen(text) < sizeof h->where)
        snprintf(h->where + used, sizeof h->where - used, " %s", text);
}

/* IPv4 first: what most clusters are wired for. */
static bool describe(struct mu_heartbeats *h)
{
    static const sa_family_t families[] = {AF_INET, AF_INET6};
    struct sockaddr_in6 own;
    socklen_t size = sizeof own;
    struct ifaddrs *all = NULL;

    if (getsockname(h->listener, (struct sockaddr *)(void *)&own, &size) != 0 ||
        getifaddrs(&all) != 0)
        return false;
    snprintf(h->where, sizeof h->where, "%u", (unsigned)ntohs(own.sin6_port));
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const struct ifaddrs *a = all; a; a = a->ifa_next)
            if (is_of_use(a) && a->ifa_addr->sa_family == families[f])
                add_address(h, a->ifa_addr);
    freeifaddrs(all);
    return true;
}

static bool listen_at(struct mu_heartbeats *h, sa_family_t family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET};
    const struct sockaddr *any =
        family == AF_INET6 ? (struct sockaddr *)(void *)&six : (struct sockaddr *)(void *)&four;
    const int both = 0;

    h->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->listener < 0)
        return false;
    if (family == AF_INET6)
        setsockopt(h->listener, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof both);
    if (bind(h->listener, any,
             family == AF_INET6 ? (socklen_t)sizeof six : (socklen_t)sizeof four) == 0 &&
        listen(h->listener, SOMAXCONN) == 0)
        return true;
    close(h->listener);
    h->listener = -1;
    return false;
}

void mu_heartbeats_open(struct mu_heartbeats *h, const char *job, uint32_t ranks)
{
    *h = (struct mu_heartbeats){.listener = -1, .ranks = ranks, .looked_ns = mu_clock_ns()};
    snprintf(h->job, sizeof h->job, "%s", job);
    h->rank = calloc(ranks, sizeof *h->rank);
    h->caller = calloc(ranks + STRANGERS, sizeof *h->caller);
    if (h->rank && h->caller && (listen_at(h, AF_INET6) || listen_at(h, AF_INET)) && describe(h))
        return;
    mu_log(MU_LOG_WARN,
           "no port for signs of life of the ranks: hosts that fall silent are noticed "
           "late");
    mu_heartbeats_close(h);
}

void mu_heartbeats_close(struct mu_heartbeats *h)
{
    for (uint32_t i = 0; i < h->callers; i++)
        close(h->caller[i].fd);
    if (h->rank && h->listener >= 0)
        close(h->listener);
    free(h->rank);
    free(h->caller);
    *h = (struct mu_heartbeats){.listener = -1};
}

/* ---- what has come ---- */
static void accept_callers(struct mu_heartbeats *h)
{
    while (h->callers < h->ranks + STRANGERS) {
        int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        h->caller[h->callers++] =
            (struct mu_heartbeats_caller){.fd = fd, .rank = NOBODY, .since_ns = mu_clock_ns()};
    }
}

/* The first line is there: a rank of this generation that was not heard of, or good-bye. */
static bool introduce(struct mu_heartbeats *h, struct mu_heartbeats_caller *c)
{
    char job[sizeof h->job], host[256], answer[sizeof h->job + 2];
    unsigned rank;
    int n;

    if (sscanf(c->hello, MU_HEARTBEAT_WORD " %63s %u %255s", job, &rank, host) != 3 ||
        strcmp(job, h->job) != 0 || rank >= h->ranks || h->rank[rank].state != MU_HEARTBEAT_UNHEARD)
        return false;
    n = snprintf(answer, sizeof answer, "%s\n", h->job);
    if (send(c->fd, answer, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    c->rank = (int)rank;
    h->rank[rank].state = MU_HEARTBEAT_LIVES;
    h->rank[rank].silent_ns = 0; /* a start may take longer than a silence may */
    memcpy(h->rank[rank].host, host, sizeof host);
    return true;
}

/* false: the connection is over. */
static bool hear(struct mu_heartbeats *h, struct mu_heartbeats_caller *c)
{
    char beats[256];
    ssize_t n;

    if (c->rank != NOBODY) {
        while ((n = recv(c->fd, beats, sizeof beats, 0)) > 0)
            h->rank[c->rank].silent_ns = 0;
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
    n = recv(c->fd, c->hello + c->length, sizeof c->hello - 1 - c->length, 0);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    c->length += (size_t)n;
    c->hello[c->length] = 0;
    if (strchr(c->hello, '\n'))
        return introduce(h, c);
    return c->length < sizeof c->hello - 1;
}

static void let_go(struct mu_heartbeats *h, uint32_t i)
{
    struct mu_heartbeats_caller *c = &h->caller[i];

    close(c->fd);
    if (c->rank != NOBODY)
        h->rank[c->rank].state = MU_HEARTBEAT_DEAD;
    *c = h->caller[--h->callers];
}

void mu_heartbeats_look(struct mu_heartbeats *h)
{
    const uint64_t now_ns = mu_clock_ns(), most_ns = MOST_STEP_MS * 1000000ull;
    uint64_t step_ns;

    if (!h->rank)
        return;
    step_ns = now_ns - h->looked_ns < most_ns ? now_ns - h->looked_ns : most_ns;
    h->looked_ns = now_ns;
    for (uint32_t i = 0; i < h->ranks; i++)
        h->rank[i].silent_ns += step_ns;
    accept_callers(h);
    for (uint32_t i = h->callers; i-- > 0;) {
        struct mu_heartbeats_caller *c = &h->caller[i];

        if (!hear(h, c) || (c->rank == NOBODY && now_ns - c->since_ns > INTRODUCE_MS * 1000000ull))
            let_go(h, i);
    }
}
