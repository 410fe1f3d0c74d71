/* What the master of a sweep spends on what it hears, and on a decision, CPU time, as a share of
 * the millisecond that each may take (orchestrator/sweep_run/master.h). A whole sweep is heard and
 * decided: its groups tell of steps and end in turn, and twice a host dies. The first decision, of
 * nearly all ranks at once, is told by itself.
 *
 *   bench-sweep-master [hosts [ranks of a host]]   1,000 trials */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "orchestrator/sweep_run/master.h"

enum { MOST = 1 << 20, FIRST_GROUP = 2 };
static const double limit_s = 1e-3;
static const char *const text =
    "run = { steps = 100; }; model = { kind = \"synthetic\"; };"
    "batch = { sequences = 64; shards = 8; };"
    "optim = { schedule = { kind = \"wsd\"; cooldown = 0.2; }; };"
    "sweep = { name = \"bench\"; kind = \"grid\"; grid = ("
    "{ key = \"synthetic.params\"; values = [\"10000\", \"20000\", \"40000\", \"80000\", "
    "\"160000\"]; },"
    "{ key = \"run.steps\"; values = [\"100\", \"120\", \"140\", \"160\", \"180\", \"200\", "
    "\"220\", "
    "\"240\", \"260\", \"280\"]; },"
    "{ key = \"run.seed\"; values = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", "
    "\"9\", "
    "\"10\", \"11\", \"12\", \"13\", \"14\", \"15\", \"16\", \"17\", \"18\", \"19\", \"20\"]; });"
    "};";

enum timed { FIRST, DECIDE, ADVANCE, READY, OUTCOME, PROGRESS, WORDS, TIMED };
static const char *const timed_name[TIMED] = {
    "the first decision", "a decision", "results looked at", "a rank is ready",
    "an outcome",         "a step",     "a repair's words"};

struct bench {
    struct mu_sweep_master master;
    double *seconds[TIMED], from;
    uint32_t count[TIMED];
    struct mu_rank_word *word;
};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void took(struct bench *b, enum timed what)
{
    const double seconds = cpu_s() - b->from;

    if (b->count[what] < MOST)
        b->seconds[what][b->count[what]++] = seconds;
}

static void decide(struct bench *b)
{
    struct mu_sweep_master *m = &b->master;

    m->state.now += 2;
    b->from = cpu_s();
    mu_sweep_master_advance(m);
    took(b, ADVANCE);
    b->from = cpu_s();
    mu_sweep_master_decide(m);
    took(b, b->count[FIRST] == 0 ? FIRST : DECIDE);
    MU_ASSERT(m->status == MU_OK);
    m->news_count = 0;
}

static void ready(struct bench *b, const struct mu_sweep_member *r)
{
    b->from = cpu_s();
    mu_sweep_master_hear_ready(&b->master, r->name, r->group);
    took(b, READY);
}

/* The group takes a step, and ends with every third. */
static void go_on(struct bench *b, uint64_t group, uint32_t round)
{
    struct mu_sweep_master *m = &b->master;
    const struct mu_sweep_group g = *mu_sweep_master_group(m, group);
    const struct mu_trial_outcome o = {.end = g.makes_way ? MU_TRIAL_MADE_WAY : MU_TRIAL_COMPLETE,
                                       .leads = true,
                                       .step = g.makes_way ? 50 : 300,
                                       .train_loss = 3,
                                       .valid_loss = 3,
                                       .valid_bits_per_byte = NAN};

    b->from = cpu_s();
    mu_sweep_master_hear_progress(m, group, 20 + round, 3, 1e5);
    took(b, PROGRESS);
    if ((group + round) % 3 != 0)
        return;
    b->from = cpu_s();
    mu_sweep_master_hear_outcome(m, group, &o);
    took(b, OUTCOME);
    for (uint32_t i = 0; i < m->host[g.host].ranks; i++)
        if (mu_sweep_master_rank(m, g.host, i)->group == group)
            ready(b, mu_sweep_master_rank(m, g.host, i));
}

static void lose_host(struct bench *b, uint32_t host)
{
    struct mu_sweep_master *m = &b->master;
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->members; i++)
        if (m->member[i].lives && m->member[i].host != host)
            b->word[count++] =
                (struct mu_rank_word){.name = m->member[i].name, .group = m->member[i].group};
    b->from = cpu_s();
    mu_sweep_master_hear_words(m, b->word, count);
    took(b, WORDS);
    for (uint32_t i = 0; i < m->members; i++)
        if (m->member[i].lives && m->member[i].group == 0)
            ready(b, &m->member[i]);
}

static void run(struct bench *b)
{
    struct mu_sweep_master *m = &b->master;

    for (uint32_t i = 0; i < m->members; i++)
        ready(b, &m->member[i]);
    decide(b);
    for (uint32_t round = 1; round < 100 && !mu_sweep_master_is_over(m); round++) {
        for (uint32_t i = 0; i < m->known; i++) {
            if (m->state.cell[i].group != 0)
                go_on(b, m->state.cell[i].group, round);
            if (i % 10 == 0)
                decide(b);
        }
        if (round <= 2)
            lose_host(b, round);
    }
    printf("%u trials, %u groups, %s\n", m->known, m->groups,
           mu_sweep_master_is_over(m) ? "all have ended" : "not all have ended");
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void tell(struct bench *b)
{
    for (int i = 0; i < TIMED; i++) {
        const uint32_t n = b->count[i];
        double *seconds = b->seconds[i];

        if (n == 0)
            continue;
        qsort(seconds, n, sizeof *seconds, by_value);
        printf(
            "%-20s %7u times: median %8.4f ms, 99 %% %8.4f ms, most %8.4f ms, %6.1f %% of 1 ms\n",
            timed_name[i], n, 1e3 * seconds[n / 2], 1e3 * seconds[(uint64_t)n * 99 / 100],
            1e3 * seconds[n - 1], 100 * seconds[n / 2] / limit_s);
    }
}

int main(int argc, char **argv)
{
    const uint32_t hosts = argc > 1 ? (uint32_t)atoi(argv[1]) : 1250;
    const uint32_t width = argc > 2 ? (uint32_t)atoi(argv[2]) : 8, ranks = hosts * width;
    struct bench *b = calloc(1, sizeof *b);
    struct mu_sweep_spec *spec = calloc(1, sizeof *spec);
    struct mu_settings base;
    struct mu_sweep_stages stages;
    int *name = calloc(ranks, sizeof *name);
    uint32_t *host = calloc(ranks, sizeof *host);

    MU_ASSERT(b && spec && name && host && ranks > 0);
    b->word = calloc(ranks, sizeof *b->word);
    for (int i = 0; i < TIMED; i++)
        b->seconds[i] = calloc(MOST, sizeof *b->seconds[i]);
    for (uint32_t i = 0; i < ranks; i++) {
        name[i] = (int)i;
        host[i] = i / width;
    }
    MU_ASSERT(mu_sweep_read(&(struct mu_config_source){.text = text,
                                                       .text_size = strlen(text),
                                                       .text_name = "bench"},
                            &base, spec) == MU_OK);
    MU_ASSERT(mu_sweep_stages_init(&stages, spec, &base, "bench") == MU_OK);
    MU_ASSERT(mu_sweep_master_init(&b->master, "", &stages, name, host, ranks, FIRST_GROUP) ==
              MU_OK);
    printf("%u ranks of %u hosts\n", ranks, hosts);
    mu_sweep_master_advance(&b->master);
    run(b);
    tell(b);
    mu_sweep_master_deinit(&b->master);
    for (int i = 0; i < TIMED; i++)
        free(b->seconds[i]);
    free(b->word);
    free(b);
    free(spec);
    free(name);
    free(host);
    return 0;
}
