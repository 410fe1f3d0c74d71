/* muster-sim-master: sweeps whose master decides for real (master_sim.h), each without deaths and
 * with them: nothing may come of these but time.
 *
 *   muster-sim-master small|one|killers|fleet [--seeds N] [--first K] [--trace]
 *                     [--plant NAME --expect-found]   a known mistake (plant.c)
 *
 *   small   some 40 trials on up to 24 ranks of up to four hosts
 *   one     some 20 trials on 2 to 4 ranks of one host
 *   killers some 30 trials on 40 ranks of 4 hosts; some kill whoever takes a certain step
 *   fleet   1,000 trials on 10,000 ranks of 1,250 hosts
 *
 * Exit code 0: every sweep went as it must; 1: one did not (with --expect-found the other way
 * round); 64: wrong command line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sweep_master/master_sim.h"

/* What is decided or heard may take 1 ms (CPU time) half of the time; on a loaded machine, with
 * sanitizers, it takes longer. The words of a repair are as many as the ranks. */
static const double most_s = 0.02, limit_s = 1e-3;

typedef struct setup make_setup(uint64_t seed);

static struct setup small(uint64_t seed)
{
    return (struct setup){.seed = seed,
                          .hosts = 1 + (uint32_t)(seed % 4),
                          .host_ranks = 2 + (uint32_t)(seed % 5),
                          .sizes = 10,
                          .points = 5,
                          .budgets = 3,
                          .seeds = 2,
                          .tunes = seed % 2 == 0,
                          .shares = seed % 3 != 0,
                          .deaths = (uint32_t)(seed % 13),
                          .remind_s = 1};
}

static struct setup one(uint64_t seed)
{
    return (struct setup){.seed = seed,
                          .hosts = 1,
                          .host_ranks = 2 + (uint32_t)(seed % 3),
                          .sizes = 7,
                          .points = 5,
                          .budgets = 2,
                          .seeds = 1,
                          .tunes = seed % 2 == 0,
                          .shares = true,
                          .deaths = (uint32_t)(seed % 3),
                          .remind_s = 1};
}

static struct setup killers(uint64_t seed)
{
    return (struct setup){.seed = seed,
                          .hosts = 4,
                          .host_ranks = 10,
                          .sizes = 10,
                          .points = 5,
                          .budgets = 3,
                          .seeds = 1 + (uint32_t)(seed % 2),
                          .tunes = seed % 2 == 0,
                          .shares = seed % 3 != 0,
                          .deaths = (uint32_t)(seed % 4),
                          .killers = 0.03,
                          .remind_s = 1};
}

static struct setup fleet(uint64_t seed)
{
    return (struct setup){.seed = seed,
                          .hosts = 1250,
                          .host_ranks = 8,
                          .sizes = 32,
                          .points = 8,
                          .budgets = 20,
                          .seeds = 6,
                          .tunes = true,
                          .shares = seed % 2 == 1,
                          .deaths = 60,
                          .killers = 0.005,
                          .remind_s = 5};
}

struct figures {
    double slowest;
    uint64_t trials, died, masters, groups, moves, retries, outcomes, orders;
    struct {
        double median, most;
        uint64_t count, slow;
    } times[TIMED];
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void add(struct figures *f, const struct outcome *o, double slower)
{
    f->slowest = fmax(f->slowest, slower);
    f->trials += o->trials;
    f->died += o->died;
    f->masters += o->masters;
    f->groups += o->groups;
    f->moves += o->moves;
    f->retries += o->retries;
    f->outcomes += o->lost_outcomes;
    f->orders += o->lost_orders;
    for (int i = 0; i < TIMED; i++) {
        const struct times *t = &o->times[i];

        if (t->count == 0)
            continue;
        qsort(t->item, t->count, sizeof *t->item, by_value);
        f->times[i].median = fmax(f->times[i].median, t->item[t->count / 2]);
        f->times[i].most = fmax(f->times[i].most, t->item[t->count - 1]);
        f->times[i].count += t->count;
        for (uint32_t n = t->count; n > 0 && t->item[n - 1] > limit_s; n--)
            f->times[i].slow++;
    }
}

static void tell(const char *name, uint64_t seeds, const struct figures *f)
{
    printf(
        "%s: %llu seeds, %llu trials in %llu groups, %llu moves; %llu ranks died, %llu masters, "
        "%llu retries, %llu outcomes and %llu orders lost; deaths cost at most %.2f of the time\n",
        name, (unsigned long long)seeds, (unsigned long long)f->trials,
        (unsigned long long)f->groups, (unsigned long long)f->moves, (unsigned long long)f->died,
        (unsigned long long)f->masters, (unsigned long long)f->retries,
        (unsigned long long)f->outcomes, (unsigned long long)f->orders, f->slowest);
    for (int i = 0; i < TIMED; i++)
        printf("  %-9s %8llu times: median at most %8.4f ms, most %8.4f ms, %llu beyond 1 ms\n",
               timed_name[i], (unsigned long long)f->times[i].count, 1e3 * f->times[i].median,
               1e3 * f->times[i].most, (unsigned long long)f->times[i].slow);
}

struct command {
    uint64_t seeds, first;
    enum plant plant;
    bool trace, expect_found;
};

static bool run_one(struct setup p, struct figures *f)
{
    struct setup undisturbed = p;
    struct outcome without, with;
    bool ok;

    undisturbed.deaths = 0;
    fleet_run(&undisturbed, &without);
    p.until = without.seconds;
    fleet_run(&p, &with);
    if (without.mistake[0] != '\0')
        memcpy(with.mistake, without.mistake, sizeof with.mistake);
    check_same(&without, &with);
    add(f, &with, with.seconds / without.seconds);
    ok = with.mistake[0] == '\0';
    if (!ok)
        printf("FAILED seed %llu, %u x %u ranks, %u trials: %s\n", (unsigned long long)p.seed,
               p.hosts, p.host_ranks, with.trials, with.mistake);
    outcome_free(&without);
    outcome_free(&with);
    return ok;
}

static bool run_all(const char *name, make_setup *make, const struct command *c)
{
    struct figures f = {.slowest = 0};
    bool ok = true;

    for (uint64_t seed = c->first; seed < c->first + c->seeds; seed++) {
        struct setup p = make(seed);

        p.trace = c->trace;
        p.plant = c->plant;
        ok &= run_one(p, &f);
    }
    tell(name, c->seeds, &f);
    for (int i = 0; i < TIMED_WORDS; i++)
        ok &= f.times[i].median <= most_s;
    return ok;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: muster-sim-master small|one|killers|fleet [--seeds N] [--first K] [--trace] "
            "[--plant NAME --expect-found]\n");
    return 64;
}

static bool read_command(int argc, char **argv, struct command *c)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            c->trace = true;
        else if (strcmp(argv[i], "--expect-found") == 0)
            c->expect_found = true;
        else if (i + 1 == argc)
            return false;
        else if (strcmp(argv[i], "--seeds") == 0)
            c->seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            c->first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--plant") == 0)
            c->plant = plant_named(argv[++i]);
        else
            return false;
    }
    return c->plant != PLANTS;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        make_setup *make;
    } kinds[] = {{"small", small}, {"one", one}, {"killers", killers}, {"fleet", fleet}};
    struct command c = {.seeds = 1, .first = 1};

    if (argc < 2 || !read_command(argc, argv, &c))
        return usage();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(argv[1], kinds[k].name) == 0)
            return run_all(kinds[k].name, kinds[k].make, &c) == c.expect_found;
    return usage();
}
