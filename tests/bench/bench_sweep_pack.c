/* What a decision of a sweep's packing costs (orchestrator/sweep/pack.h), CPU time, as a share of
 * the millisecond that it may take; beside it a qsort of as many numbers as there are trials.
 *
 *   bench-sweep-pack [trials [hosts [workers of a host]]] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/base/status.h"
#include "orchestrator/sweep/pack.h"

enum { REPEATS = 101 };
static const double limit_s = 1e-3;

enum kind { BEGIN, STEADY, LAST, CROWDED, SHORT, KINDS };
static const char *const kind_name[KINDS] = {
    "all wait, all workers are free", "all train, a worker is free on every host",
    "half have ended, the others grow", "half wait, all workers are busy",
    "all wait, wide ones, memory short"};

struct bench {
    struct mu_pack_problem problem;
    struct mu_pack_trial *trial;
    struct mu_pack_host *host;
    struct mu_pack_command *command;
    double *number, seconds[REPEATS];
    uint32_t commands, draws;
};

static double uniform(struct bench *b)
{
    return mu_rng_uniform(mu_rng_draw(1, MU_RNG_SYNTHETIC, 0, b->draws++).w[0]);
}

static void train(struct bench *b, struct mu_pack_trial *t, uint32_t host, uint32_t workers)
{
    workers = workers < b->host[host].free ? workers : b->host[host].free;
    if (workers == 0)
        return;
    t->host = host;
    t->workers = workers;
    b->host[host].free -= workers;
    b->host[host].bytes_left -= t->bytes;
}

static void make(struct bench *b, enum kind kind, uint32_t width)
{
    const uint32_t n = b->problem.trials;
    const double memory = kind == SHORT ? 1 : INFINITY;

    b->draws = 0;
    for (uint32_t h = 0; h < b->problem.hosts; h++)
        b->host[h] = (struct mu_pack_host){width, width, memory * (0.5 + uniform(b))};
    for (uint32_t i = 0; i < n; i++) {
        struct mu_pack_trial *t = &b->trial[i];

        *t = (struct mu_pack_trial){.work = pow(100, uniform(b)),
                                    .tail = uniform(b) < 0.2 ? 50 * uniform(b) : 0,
                                    .serial = 0.05 * uniform(b),
                                    .most = 32,
                                    .least = kind == SHORT && uniform(b) < 0.3 ? width : 1,
                                    .bytes = uniform(b),
                                    .host = UINT32_MAX};
        if (kind == STEADY || kind == LAST)
            train(b, t, i % b->problem.hosts, kind == STEADY ? width - 1 : width / 2);
        if (kind == CROWDED && i % 2 == 0)
            train(b, t, (i / 2) % b->problem.hosts, width);
    }
    for (uint32_t h = 0; h < b->problem.hosts && kind == CROWDED; h++)
        b->host[h] = (struct mu_pack_host){width, 0, memory};
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sort_numbers(struct bench *b)
{
    for (uint32_t i = 0; i < b->problem.trials; i++)
        b->number[i] = uniform(b);
    qsort(b->number, b->problem.trials, sizeof *b->number, by_value);
}

static void tell(struct bench *b, const char *name)
{
    qsort(b->seconds, REPEATS, sizeof *b->seconds, by_value);
    printf("%-44s %8.4f ms (median; most %.4f)  %5.1f %% of 1 ms  %5u commands\n", name,
           1e3 * b->seconds[REPEATS / 2], 1e3 * b->seconds[REPEATS - 1],
           100 * b->seconds[REPEATS / 2] / limit_s, b->commands);
}

int main(int argc, char **argv)
{
    const uint32_t trials = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
    const uint32_t hosts = argc > 2 ? (uint32_t)atoi(argv[2]) : 1250;
    const uint32_t width = argc > 3 ? (uint32_t)atoi(argv[3]) : 8;
    struct bench b = {.trial = calloc(trials, sizeof *b.trial),
                      .host = calloc(hosts, sizeof *b.host),
                      .command = calloc(trials, sizeof *b.command),
                      .number = calloc(trials, sizeof *b.number)};

    MU_ASSERT(b.trial && b.host && b.command && b.number);
    b.problem = (struct mu_pack_problem){
        .trial = b.trial, .trials = trials, .host = b.host, .hosts = hosts, .move_cost = 0.1};
    printf("%u trials, %u workers of %u hosts, %d times\n", trials, hosts * width, hosts, REPEATS);
    for (int kind = 0; kind <= KINDS; kind++) {
        if (kind < KINDS)
            make(&b, (enum kind)kind, width);
        for (int i = 0; i < REPEATS; i++) {
            const double from = cpu_s();

            if (kind == KINDS)
                sort_numbers(&b);
            else
                MU_ASSERT(mu_pack(&b.problem, b.command, &b.commands) == MU_OK);
            b.seconds[i] = cpu_s() - from;
        }
        b.commands = kind == KINDS ? 0 : b.commands;
        tell(&b, kind == KINDS ? "(qsort of as many numbers)" : kind_name[kind]);
    }
    free(b.trial);
    free(b.host);
    free(b.command);
    free(b.number);
    return 0;
}
