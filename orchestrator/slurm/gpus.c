#include "orchestrator/slurm/gpus.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/log.h"
#include "orchestrator/slurm/nodelist.h"
#include "worker/board.h"

enum { ANSWER_MS = 10000 };

/* Of "gpu:2(IDX:0-1)", "gpu:a100:2(IDX:0,3),gpu:v100:1(IDX:1),shard:0": up to the end of the
 * word. */
static uint32_t count_gpus(const char *gres)
{
    uint32_t sum = 0;
    bool inside = false; /* brackets, whose commas part nothing */

    for (const char *at = gres; *at && !isspace((unsigned char)*at); at++) {
        const bool begins = at == gres || (at[-1] == ',' && !inside);
        size_t length = strcspn(at, ",( \t\n");

        inside = *at == '(' || (inside && *at != ')');
        if (!begins || strncmp(at, "gpu:", 4) != 0)
            continue;
        while (length > 0 && at[length - 1] != ':')
            length--;
        sum += (uint32_t)strtoul(at + length, NULL, 10);
    }
    return sum;
}

static void give(struct mu_slurm_allocation *a, const char *nodes, uint32_t gpus,
                 char out[MU_SLURM_GPUS_MAX])
{
    static struct mu_ladder_host host[MU_LADDER_HOSTS];
    uint32_t count;

    if (mu_slurm_nodes(nodes, host, &count) != MU_OK)
        return;
    gpus = gpus < MU_BOARD_RANKS ? gpus : MU_BOARD_RANKS;
    for (uint32_t i = 0; i < count; i++) {
        const size_t length = strlen(out);

        snprintf(out + length, MU_SLURM_GPUS_MAX - length, "%s%s=%u", length ? " " : "",
                 host[i].name, gpus);
        for (uint32_t k = 0; a->by_gpus && k < a->hosts; k++)
            if (strcmp(host[i].name, a->host[k].name) == 0)
                a->host[k].slots = gpus;
    }
}

void mu_slurm_gpus_read(struct mu_slurm_allocation *a, const char *text,
                        char out[MU_SLURM_GPUS_MAX])
{
    uint32_t kept = 0;

    out[0] = 0;
    while (*text) {
        const size_t length = strcspn(text, "\n");
        char *line = strndup(text, length), *nodes = line ? strstr(line, " Nodes=") : NULL;
        char *gres = nodes ? strstr(nodes, " GRES=") : NULL;

        if (gres) {
            nodes += strlen(" Nodes=");
            nodes[strcspn(nodes, " ")] = 0;
            give(a, nodes, count_gpus(gres + strlen(" GRES=")), out);
        }
        free(line);
        text += length + (text[length] == '\n');
    }
    for (uint32_t k = 0; k < a->hosts; k++)
        if (a->host[k].slots > 0)
            a->host[kept++] = a->host[k];
    a->hosts = kept;
}

void mu_slurm_gpus_ask(struct mu_slurm_allocation *a)
{
    const char *here = getenv("SLURM_GPUS_ON_NODE");
    struct mu_apart *question;
    char *list, why[300];

    if (!here || atoi(here) < 1 || a->hosts < 2)
        return;
    question = calloc(1, sizeof *question);
    list = malloc(MU_SLURM_GPUS_MAX);
    if (question && list) {
        mu_apart_start(question,
                       (const char *const[]){"scontrol", "show", "job", "-d", a->job, NULL},
                       ANSWER_MS);
        mu_apart_wait(&question, 1, NULL);
        if (mu_apart_succeeded(question)) {
            mu_slurm_gpus_read(a, question->text, list);
            setenv(MU_SLURM_GPUS, list, 1);
        } else {
            mu_apart_explain(question, why, sizeof why);
            mu_log(MU_LOG_WARN, "scontrol show job: %s; each node is taken to have %s GPUs", why,
                   here);
        }
    }
    free(list);
    free(question);
}

uint32_t mu_slurm_gpus_of(const char *host)
{
    const char *at = getenv(MU_SLURM_GPUS);
    const size_t n = strlen(host);

    for (; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strncmp(at, host, n) == 0 && at[n] == '=')
            return (uint32_t)strtoul(at + n + 1, NULL, 10);
    return 0;
}
