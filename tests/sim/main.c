/* muster-sim: runs seeds, or one seed with a trace.
 *
 *   muster-sim --seeds 10000 [--first K] [--jobs N]    that many; the first that fails is named
 *   muster-sim --seed K                                one, with a line for every action
 *   --ranks N  --hosts N  --deaths N                   instead of what the seed says
 *   --plant NAME                                       a known mistake in the shell round the core
 *   --expect-found                                     exit 0 when a seed fails, 1 when none does
 *
 * Exit code 0: every run went as it must; 1: one did not; 64: wrong command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "tests/sim/sim.h"

enum { MOST_JOBS = 64 };

/* Of a process that runs seeds; in memory that it shares with the first one, since an assertion of
 * the core ends it. */
struct worker {
    uint64_t seed, done, repairs, actions, generations, gave_up;
    char failure[320];
};

struct command {
    struct options options;
    uint64_t seeds, first;
    int jobs;
    bool one, expect_found;
};

static const char *const plant_names[] = {
#define PLANT_NAME(name, what) #name,
    PLANTS(PLANT_NAME)
#undef PLANT_NAME
};
static const char *const plant_mistakes[] = {
#define PLANT_MISTAKE(name, what) what,
    PLANTS(PLANT_MISTAKE)
#undef PLANT_MISTAKE
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the command line ---- */
static int usage(void)
{
    fprintf(stderr, "usage: muster-sim (--seeds N [--first K] [--jobs N] | --seed K) [--ranks N] "
                    "[--hosts N] [--deaths N] [--plant NAME [--expect-found]]\nmistakes:\n");
    for (int i = 1; i < PLANT_COUNT; i++)
        fprintf(stderr, "  %-18s %s\n", plant_names[i], plant_mistakes[i]);
    return 64;
}

static bool number(const char *text, uint64_t *out)
{
    char *end;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == 0;
}

static bool plant(const char *name, enum plant *out)
{
    for (int i = 0; name && i < PLANT_COUNT; i++)
        if (strcmp(name, plant_names[i]) == 0) {
            *out = (enum plant)i;
            return true;
        }
    return false;
}

static bool parse(int argc, char **argv, struct command *c)
{
    *c = (struct command){.options = {.ranks = -1, .hosts = -1, .deaths = -1}, .jobs = 2};
    for (int i = 1; i < argc; i++) {
        const char *key = argv[i], *value = argv[i + 1];
        uint64_t n = 0;

        if (strcmp(key, "--expect-found") == 0) {
            c->expect_found = true;
            continue;
        }
        i++;
        if (strcmp(key, "--plant") == 0) {
            if (!plant(value, &c->options.plant))
                return false;
            continue;
        }
        if (!number(value, &n))
            return false;
        if (strcmp(key, "--seeds") == 0)
            c->seeds = n;
        else if (strcmp(key, "--first") == 0)
            c->first = n;
        else if (strcmp(key, "--jobs") == 0 && n > 0 && n <= MOST_JOBS)
            c->jobs = (int)n;
        else if (strcmp(key, "--ranks") == 0 && n > 0 && n <= 100000)
            c->options.ranks = (int)n;
        else if (strcmp(key, "--hosts") == 0 && n > 0 && n <= 100000)
            c->options.hosts = (int)n;
        else if (strcmp(key, "--deaths") == 0 && n <= 100000)
            c->options.deaths = (int)n;
        else if (strcmp(key, "--seed") == 0)
            c->first = n, c->one = true;
        else
            return false;
    }
    return c->one != (c->seeds > 0);
}

/* ---- runs ---- */
static void run(struct worker *w, const struct options *options)
{
    struct sim *s = sim_new(options);

    sim_run(s);
    w->repairs += s->repairs;
    w->actions += s->actions;
    w->generations += s->generation;
    w->gave_up += s->gave_up;
    if (s->violation[0] != 0)
        snprintf(w->failure, sizeof w->failure, "seed %llu: %s", (unsigned long long)options->seed,
                 s->violation);
    sim_free(s);
}

static void run_seeds(struct worker *w, const struct command *c, int job)
{
    struct options o = c->options;

    for (uint64_t i = (uint64_t)job; i < c->seeds && w->failure[0] == 0; i += (uint64_t)c->jobs) {
        w->seed = o.seed = c->first + i;
        run(w, &o);
        w->done++;
    }
}

static int run_one(const struct command *c)
{
    struct worker w = {0};
    struct options o = c->options;

    o.trace = true;
    o.seed = c->first;
    run(&w, &o);
    printf("%s\n", w.failure[0] != 0 ? w.failure : "the job went as it must");
    return (w.failure[0] != 0) == c->expect_found ? 0 : 1;
}

static void run_job(struct worker *w, const struct command *c, int job)
{
    if (c->options.plant != PLANT_none)
        mu_log_set_level(MU_LOG_SILENT);
    run_seeds(w, c, job);
    _exit(0);
}

static void wait_for_jobs(struct worker *worker, const pid_t *pid, int jobs)
{
    for (int i = 0; i < jobs; i++) {
        int status = 0;

        if (pid[i] > 0 && waitpid(pid[i], &status, 0) == pid[i] && status != 0 &&
            worker[i].failure[0] == 0)
            snprintf(worker[i].failure, sizeof worker[i].failure,
                     "seed %llu: an assertion of the core failed (status %d)",
                     (unsigned long long)worker[i].seed, status);
    }
}

static int run_many(const struct command *c)
{
    struct worker *worker = mmap(NULL, MOST_JOBS * sizeof *worker, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct worker *failed = NULL;
    pid_t pid[MOST_JOBS] = {0};
    struct worker all = {0};
    double begin = now_s(), seconds;

    if (worker == MAP_FAILED)
        return 1;
    for (int i = 0; i < c->jobs; i++)
        if ((pid[i] = fork()) == 0)
            run_job(&worker[i], c, i);
    wait_for_jobs(worker, pid, c->jobs);
    seconds = now_s() - begin;
    for (int i = 0; i < c->jobs; i++) {
        all.done += worker[i].done;
        all.repairs += worker[i].repairs;
        all.actions += worker[i].actions;
        all.generations += worker[i].generations;
        all.gave_up += worker[i].gave_up;
        if (worker[i].failure[0] != 0 && (!failed || worker[i].seed < failed->seed))
            failed = &worker[i];
    }
    printf("%llu seeds in %.1f s (%.0f seeds/s): %llu events, %llu repairs, %llu generations, %llu "
           "given up for want of progress\n",
           (unsigned long long)all.done, seconds, (double)all.done / seconds,
           (unsigned long long)all.actions, (unsigned long long)all.repairs,
           (unsigned long long)all.generations, (unsigned long long)all.gave_up);
    if (failed)
        printf("%s\nmuster-sim --seed %llu shows it\n", failed->failure,
               (unsigned long long)failed->seed);
    else if (c->expect_found)
        printf("the mistake was not found\n");
    return (failed != NULL) == c->expect_found ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct command c;

    if (!parse(argc, argv, &c))
        return usage();
    return c.one ? run_one(&c) : run_many(&c);
}
