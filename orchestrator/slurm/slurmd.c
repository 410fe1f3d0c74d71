#include "orchestrator/slurm/slurmd.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/launch/hosts.h"

enum { CONFIG_MS = 1000, KNOCK_MS = 1200 /* a lost packet is sent again after a second */ };

static const char there[] = "there";

struct door {
    const char *name, *port;
};

/* In a process of its own: neither the name's address nor an answer need ever come. */
static void knock(void *context, int out)
{
    const struct door *door = context;
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int fd;

    if (getaddrinfo(door->name, door->port, &wanted, &found) != 0)
        return;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        write(out, there, sizeof there - 1) < 0)
        return; /* nobody listens any more */
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
}

/* All at the same time. */
static void ask_all(const struct mu_slurm_allocation *a, const bool *ask, bool *is_there)
{
    struct mu_apart *all = calloc(a->hosts, sizeof *all), *list[MU_LADDER_HOSTS] = {NULL};
    struct door *door = calloc(a->hosts, sizeof *door);
    size_t asked = 0;

    for (uint32_t i = 0; all && door && i < a->hosts; i++)
        if (ask[i]) {
            door[i] = (struct door){a->host[i].name, a->slurmd_port};
            mu_apart_call(&all[i], knock, &door[i], KNOCK_MS);
            list[asked++] = &all[i];
        }
    mu_apart_wait(list, asked, NULL);
    for (uint32_t i = 0; asked > 0 && i < a->hosts; i++)
        is_there[i] = ask[i] && strcmp(all[i].text, there) == 0;
    free(all);
    free(door);
}

/* "SlurmdPort              = 6818" */
static void find_port(char port[16])
{
    struct mu_apart *a = calloc(1, sizeof *a);
    const char *at;

    snprintf(port, 16, "6818"); /* Slurm's own choice */
    if (!a)
        return;
    mu_apart_start(a, (const char *const[]){"scontrol", "show", "config", NULL}, CONFIG_MS);
    mu_apart_wait(&a, 1, NULL);
    at = mu_apart_succeeded(a) ? strstr(a->text, "\nSlurmdPort") : NULL;
    at = at ? strchr(at, '=') : NULL;
    if (at)
        sscanf(at + 1, " %15[0-9]", port);
    free(a);
}

void mu_slurmd_meet(struct mu_slurm_allocation *a)
{
    bool ask[MU_LADDER_HOSTS];

    for (uint32_t i = 0; i < a->hosts; i++)
        ask[i] = !mu_host_is_here(a->host[i].name);
    find_port(a->slurmd_port);
    ask_all(a, ask, a->has_slurmd);
}

void mu_slurmd_knock(const struct mu_slurm_allocation *a, const bool *ask, bool *is_gone)
{
    bool known[MU_LADDER_HOSTS], is_there[MU_LADDER_HOSTS] = {false};

    for (uint32_t i = 0; i < a->hosts; i++)
        known[i] = ask[i] && a->has_slurmd[i];
    ask_all(a, known, is_there);
    for (uint32_t i = 0; i < a->hosts; i++)
        is_gone[i] = known[i] && !is_there[i];
}
