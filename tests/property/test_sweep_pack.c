/* orchestrator/sweep/pack.h, of any problem: commands that can be carried out, nobody left waiting
 * beside what is free, and no going back and forth: the same problem with the commands carried out,
 * and so on, soon asks for nothing more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/sweep/pack.h"
#include "tests/support/seed.h"

enum { PROBLEMS = 4000, TRIALS = 60, HOSTS = 9, WIDTH = 16 };

static struct mu_pack_trial trial[TRIALS];
static struct mu_pack_host host[HOSTS];
static struct mu_pack_problem problem = {.trial = trial, .host = host};
static struct mu_pack_command command[TRIALS];
static uint32_t count, draws;
static uint64_t number;

static double uniform(void)
{
    return mu_rng_uniform(mu_rng_draw(seed + number, MU_RNG_SYNTHETIC, 0, draws++).w[0]);
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(uniform() * n);
}

static void make_trial(struct mu_pack_trial *t, bool is_short_of_memory)
{
    *t = (struct mu_pack_trial){
        .work = below(10) == 0 ? 0 : pow(1000, uniform()),
        .tail = below(4) == 0 ? 100 * uniform() : 0,
        .serial = below(3) == 0 ? uniform() : below(2) * 0.05,
        .least = below(5) == 0 ? 1 + below(WIDTH) : 1,
        .bytes = is_short_of_memory ? uniform() : 1e-3,
        .host = UINT32_MAX,
    };
    t->most = t->least + below(WIDTH);
}

/* Some train, some wait for the host that has their state, some hosts are dead. */
static void make(void)
{
    const bool is_short_of_memory = below(3) == 0;

    draws = 0;
    problem.hosts = 1 + below(HOSTS);
    problem.trials = below(TRIALS + 1);
    problem.move_cost = below(3) == 0 ? 0 : uniform();
    problem.later = below(3);
    for (uint32_t h = 0; h < problem.hosts; h++) {
        host[h].workers = host[h].free = below(6) == 0 ? 0 : 1 + below(WIDTH);
        host[h].bytes_left = is_short_of_memory ? 3 * uniform() : INFINITY;
    }
    for (uint32_t i = 0; i < problem.trials; i++) {
        struct mu_pack_trial *t = &trial[i];
        const uint32_t h = below(problem.hosts);

        make_trial(t, is_short_of_memory);
        if (below(3) == 0 && host[h].free >= t->least && host[h].bytes_left >= t->bytes) {
            const uint32_t room = host[h].free < t->most ? host[h].free : t->most;

            t->workers = t->least + below(room - t->least + 1);
            t->host = h;
            t->moving = below(6) == 0;
            host[h].free -= t->workers;
            host[h].bytes_left -= t->bytes;
        } else if (below(5) == 0) {
            t->host = h;
        }
    }
}

static void pack(void)
{
    assert_int_equal(mu_pack(&problem, command, &count), MU_OK);
}

/* Carries out one, in its turn: there must be room for it. */
static void obey(const struct mu_pack_command *c)
{
    struct mu_pack_trial *t = &trial[c->trial];

    assert_in_range(c->trial, 0, problem.trials - 1);
    assert_in_range(c->host, 0, problem.hosts - 1);
    assert_in_range(c->workers, t->least, t->most);
    assert_int_not_equal(c->workers, t->workers);
    assert_false(t->moving);
    assert_true(c->workers <= t->workers + host[c->host].free);
    if (t->workers > 0) {
        assert_int_equal(c->host, t->host);
    } else {
        assert_true(t->bytes <= host[c->host].bytes_left);
        if (t->host != UINT32_MAX && host[t->host].workers >= t->least)
            assert_int_equal(c->host, t->host);
        host[c->host].bytes_left -= t->bytes;
    }
    host[c->host].free = host[c->host].free + t->workers - c->workers;
    t->host = c->host;
    t->workers = c->workers;
}

static void obey_all(void)
{
    bool commanded[TRIALS] = {false};

    for (uint32_t n = 0; n < count; n++) {
        assert_false(commanded[command[n].trial]);
        commanded[command[n].trial] = true;
        obey(&command[n]);
    }
}

static void commands_can_be_carried_out_and_settle(void **unused)
{
    (void)unused;
    for (number = 0; number < PROBLEMS; number++) {
        uint32_t rounds = 0;

        make();
        for (pack(); count > 0; pack()) {
            obey_all();
            if (++rounds > TRIALS)
                fail_msg("problem %llu does not settle", (unsigned long long)number);
        }
    }
}

static void tremble(const double *work)
{
    for (uint32_t i = 0; i < problem.trials; i++)
        trial[i].work = work[i] * (1 + 0.02 * (uniform() - 0.5));
}

static void keep(double *work)
{
    for (uint32_t i = 0; i < problem.trials; i++)
        work[i] = trial[i].work;
}

/* Figures that tremble by a hundredth, fifty times over. */
static void trembling_figures_move_few(void **unused)
{
    uint64_t trials = 0, moved = 0;

    (void)unused;
    for (number = 0; number < PROBLEMS / 10; number++) {
        double work[TRIALS];

        make();
        keep(work);
        for (pack(); count > 0; pack())
            obey_all();
        for (int again = 0; again < 50; again++) {
            tremble(work);
            pack();
            obey_all();
            moved += count;
        }
        trials += problem.trials;
    }
    print_message("%llu moved of %llu\n", (unsigned long long)moved, (unsigned long long)trials);
    assert_true(moved < trials / 10);
}

/* Where all are narrow and memory is no matter, no worker stays free while a trial waits. */
static void nobody_waits_beside_free_workers(void **unused)
{
    (void)unused;
    for (number = 0; number < PROBLEMS; number++) {
        uint32_t waiting = 0, free = 0;

        make();
        for (uint32_t i = 0; i < problem.trials; i++) {
            trial[i].least = 1;
            trial[i].bytes = 0;
            trial[i].host = trial[i].workers > 0 ? trial[i].host : UINT32_MAX;
        }
        pack();
        for (uint32_t n = 0; n < count; n++)
            if (command[n].workers > trial[command[n].trial].workers)
                obey(&command[n]);
        for (uint32_t i = 0; i < problem.trials; i++)
            waiting += trial[i].workers == 0;
        for (uint32_t h = 0; h < problem.hosts; h++)
            free += host[h].free;
        assert_true(waiting == 0 || free == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_can_be_carried_out_and_settle),
        cmocka_unit_test(trembling_figures_move_few),
        cmocka_unit_test(nobody_waits_beside_free_workers),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
