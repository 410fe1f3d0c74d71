/* muster-sim-sweep: sweeps in a pretended fleet (sweep_sim.h), and what must come of each.
 *
 *   muster-sim-sweep fleet|crowded|packed|small|few [--seeds N] [--first K] [--trace]
 *                    [--plant NAME --expect-found]   a known mistake (plant.c)
 *
 *   fleet   1,000 trials on 10,000 workers of 1,250 hosts, of which some die
 *   crowded 1,000 trials on 1,000 workers of 125 hosts that die, wide ones, memory short
 *   packed  500 trials on 16 workers of 1, 2 or 4 hosts, all shapes of sweeps
 *   small   50 trials on up to 24 workers that die, wide ones among them, memory short
 *   few     fewer trials than workers: growing pays
 *
 * Exit code 0: every sweep went as it must; 1: one did not (with --expect-found the other way
 * round); 64: wrong command line. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sweep/sweep_sim.h"

static const char *const shape_names[SHAPES] = {"equal", "log-uniform", "heavy tail", "chains",
                                                "stages"};

/* A decision may take 1 ms (CPU time); on a loaded machine, with sanitizers, it takes longer. */
static const double most_decision_s = 0.02;

/* A trial, on the average: nobody goes back and forth. */
enum { MOST_MOVES = 2 };

struct figures {
    double worst_ratio, worst_busy, decision_s;
    uint64_t decisions, moved, begun, died;
};

static bool is_ok(const struct setup *p, const struct outcome *o, double most_ratio,
                  double least_busy, struct figures *f)
{
    const double ratio = o->seconds / o->bound;
    /* Of what the bound leaves to do: a chain leaves workers without work. */
    const double busy = o->busy * (o->bound * p->hosts * p->host_workers) /
                        fmin(o->work, o->bound * p->hosts * p->host_workers);

    f->worst_ratio = fmax(f->worst_ratio, ratio);
    f->worst_busy = fmin(f->worst_busy, busy);
    f->decision_s = fmax(f->decision_s, o->decision_s);
    f->decisions += o->decisions;
    f->moved += o->moved;
    f->begun += o->begun;
    f->died += o->died;
    if (o->failure[0] == '\0' && ratio >= 1 - 1e-9 && ratio <= most_ratio && busy >= least_busy &&
        o->moved <= MOST_MOVES * (o->begun + o->died) && o->decision_s <= most_decision_s)
        return true;
    printf("FAILED seed %llu, %s, %u trials on %u x %u workers: %.3f s, %.4f of the bound, %.4f "
           "busy, %u begun, %u moved, %.3f ms a decision; %s\n",
           (unsigned long long)p->seed, shape_names[p->shape], p->trials, p->hosts, p->host_workers,
           o->seconds, ratio, busy, o->begun, o->moved, 1e3 * o->decision_s, o->failure);
    return false;
}

static void tell(const char *name, uint64_t seeds, const struct figures *f)
{
    printf("%-12s %5llu seeds: at most %.3f of the bound, at least %.3f busy of what it allows, "
           "%llu begun, %llu "
           "moved, %llu died, %llu decisions, median at most %.4f ms\n",
           name, (unsigned long long)seeds, f->worst_ratio, f->worst_busy,
           (unsigned long long)f->begun, (unsigned long long)f->moved, (unsigned long long)f->died,
           (unsigned long long)f->decisions, 1e3 * f->decision_s);
}

struct command {
    uint64_t seeds, first;
    enum plant plant;
    bool trace, expect_found;
};

typedef struct setup make_setup(uint64_t seed, uint32_t shape);

static struct setup fleet(uint64_t seed, uint32_t shape)
{
    (void)shape;
    return (struct setup){.seed = seed,
                          .trials = 1000,
                          .hosts = 1250,
                          .host_workers = 8,
                          .shape = seed % 2 == 0 ? SHAPE_LOG_UNIFORM : SHAPE_CHAINS,
                          .serial = 0.02,
                          .move_cost = 0.05,
                          .host_bytes = seed % 4 < 2 ? INFINITY : 1e9,
                          .widest = seed % 3 == 0 ? 4 : 1,
                          .error = 0.3,
                          .deaths = 300};
}

static struct setup crowded(uint64_t seed, uint32_t shape)
{
    return (struct setup){.seed = seed,
                          .trials = 1000,
                          .hosts = 125,
                          .host_workers = 8,
                          .shape = (enum shape)shape,
                          .serial = 0.02,
                          .move_cost = 0.05,
                          .error = 0.3,
                          .host_bytes = seed % 2 == 0 ? INFINITY : 1e9,
                          .widest = 4,
                          .deaths = 60};
}

static struct setup packed(uint64_t seed, uint32_t shape)
{
    const uint32_t hosts = 1u << seed % 3;

    return (struct setup){.seed = seed,
                          .trials = 500,
                          .hosts = hosts,
                          .host_workers = 16 / hosts,
                          .shape = (enum shape)shape,
                          .serial = seed % 2 == 0 ? 0 : 0.02,
                          .move_cost = 0.1,
                          .error = (double)(seed % 5) * 0.1,
                          .simple_bound = true,
                          .host_bytes = INFINITY};
}

static struct setup small(uint64_t seed, uint32_t shape)
{
    return (struct setup){.seed = seed,
                          .trials = 50,
                          .hosts = 1 + (uint32_t)(seed % 3),
                          .host_workers = 8,
                          .shape = (enum shape)shape,
                          .serial = 0.05,
                          .move_cost = 0.1,
                          .host_bytes = seed % 2 == 0 ? INFINITY : 1e9,
                          .widest = 4,
                          .error = (double)(seed % 3) * 0.2,
                          .deaths = (uint32_t)(seed % 4)};
}

static struct setup few(uint64_t seed, uint32_t shape)
{
    return (struct setup){.seed = seed,
                          .trials = 3 + (uint32_t)(seed % 50),
                          .hosts = 8,
                          .host_workers = 8,
                          .shape = (enum shape)shape,
                          .serial = 0.01,
                          .move_cost = 0.1,
                          .error = (double)(seed % 3) * 0.1,
                          .host_bytes = INFINITY};
}

static bool run_all(const char *name, make_setup *make, const struct command *c, uint32_t shapes,
                    double most_ratio, double least_busy)
{
    bool ok = true;

    for (uint32_t shape = 0; shape < shapes; shape++) {
        struct figures f = {0, 1, 0, 0, 0, 0, 0};

        for (uint64_t seed = c->first; seed < c->first + c->seeds; seed++) {
            struct setup p = make(seed, shape);
            struct outcome o;

            p.trace = c->trace;
            p.plant = c->plant;
            fleet_run(&p, &o);
            ok &= is_ok(&p, &o, most_ratio, least_busy, &f);
        }
        tell(shapes > 1 ? shape_names[shape] : name, c->seeds, &f);
    }
    return ok;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: muster-sim-sweep fleet|crowded|packed|small|few [--seeds N] [--first K] "
            "[--trace] [--plant NAME --expect-found]\n");
    return 64;
}

static const struct fleet_kind {
    const char *name;
    make_setup *make;
    uint32_t shapes;
    double most_ratio, least_busy;
} kinds[] = {{"fleet", fleet, 1, INFINITY, 0},
             {"crowded", crowded, SHAPES, INFINITY, 0},
             {"packed", packed, SHAPES, 1.1, 0.95},
             {"small", small, SHAPES, INFINITY, 0},
             {"few", few, SHAPES, 1.35, 0}};

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
    struct command c = {.seeds = 1, .first = 1};

    if (argc < 2 || !read_command(argc, argv, &c))
        return usage();
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(argv[1], kinds[k].name) == 0)
            return run_all(kinds[k].name, kinds[k].make, &c, kinds[k].shapes, kinds[k].most_ratio,
                           kinds[k].least_busy) == c.expect_found;
    return usage();
}
