/* orchestrator/sweep/pack.h: who begins, grows and makes way, where the answer can be told by hand.
 * Whole sweeps are in tests/sim/sweep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/sweep/pack.h"

enum { MOST = 64 };
#define ANYWHERE UINT32_MAX

static struct mu_pack_trial trial[MOST];
static struct mu_pack_host host[MOST];
static struct mu_pack_problem problem;
static struct mu_pack_command command[MOST];
static uint32_t count;

/* tests/CMakeLists.txt puts this in the place of calloc. */
static bool no_memory;
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return no_memory ? NULL : __real_calloc(n, size);
}

static int begin(void **unused)
{
    (void)unused;
    memset(trial, 0, sizeof trial);
    problem = (struct mu_pack_problem){.trial = trial, .host = host, .move_cost = 0.1};
    return 0;
}

static void add_host(uint32_t workers, uint32_t free, double bytes)
{
    host[problem.hosts++] = (struct mu_pack_host){workers, free, bytes};
}

static struct mu_pack_trial *add_waiting(double work)
{
    struct mu_pack_trial *t = &trial[problem.trials++];

    *t = (struct mu_pack_trial){.work = work, .most = 32, .least = 1, .bytes = 1, .host = ANYWHERE};
    return t;
}

static struct mu_pack_trial *add_training(double work, uint32_t workers, uint32_t on)
{
    struct mu_pack_trial *t = add_waiting(work);

    t->workers = workers;
    t->host = on;
    return t;
}

static void pack(void)
{
    assert_int_equal(mu_pack(&problem, command, &count), MU_OK);
}

static const struct mu_pack_command *command_of(const struct mu_pack_trial *t)
{
    for (uint32_t n = 0; n < count; n++)
        if (command[n].trial == (uint32_t)(t - trial))
            return &command[n];
    return NULL;
}

static uint32_t workers_of(const struct mu_pack_trial *t)
{
    const struct mu_pack_command *c = command_of(t);

    return c ? c->workers : t->workers;
}

static void nothing_to_do_is_no_command(void **unused)
{
    (void)unused;
    pack();
    assert_int_equal(count, 0);
    add_host(4, 4, INFINITY);
    pack();
    assert_int_equal(count, 0);
    problem.hosts = 0;
    add_waiting(1);
    pack();
    assert_int_equal(count, 0);
}

static void without_memory_there_is_no_decision(void **unused)
{
    (void)unused;
    add_host(4, 4, INFINITY);
    add_waiting(1);
    no_memory = true;
    assert_int_equal(mu_pack(&problem, command, &count), MU_NO_MEMORY);
    no_memory = false;
    assert_int_equal(count, 0);
}

static void while_others_are_to_come_a_move_gains_more(void **unused)
{
    const struct mu_pack_trial *a;

    (void)unused;
    add_host(2, 1, INFINITY);
    a = add_training(0.6, 1, 0); /* gains 0.3 s */
    problem.later = 1;
    pack();
    assert_int_equal(count, 0);
    problem.later = 0;
    pack();
    assert_int_equal(workers_of(a), 2);
}

static void the_longest_path_begins_first(void **unused)
{
    struct mu_pack_trial *trunk;

    (void)unused;
    add_host(2, 2, INFINITY);
    for (int i = 0; i < 8; i++)
        add_waiting(10);
    trunk = add_waiting(4);
    trunk->tail = 9;
    pack();
    assert_int_equal(count, 2);
    assert_int_equal(workers_of(trunk), 1);
    assert_int_equal(workers_of(&trial[0]), 1); /* of equal ones the first */
}

static void what_has_all_workers_begins_on_all(void **unused)
{
    struct mu_pack_trial *t;

    (void)unused;
    add_host(8, 8, INFINITY);
    t = add_waiting(10);
    pack();
    assert_int_equal(workers_of(t), 8);
    t->most = 3;
    pack();
    assert_int_equal(workers_of(t), 3);
}

static void few_trials_end_together(void **unused)
{
    const struct mu_pack_trial *a, *b, *c;

    (void)unused;
    add_host(8, 8, INFINITY);
    a = add_waiting(40);
    b = add_waiting(20);
    c = add_waiting(20);
    pack();
    assert_int_equal(workers_of(a), 4);
    assert_int_equal(workers_of(b), 2);
    assert_int_equal(workers_of(c), 2);
}

static void few_trials_are_spread_over_hosts(void **unused)
{
    const struct mu_pack_trial *a, *b, *c;

    (void)unused;
    add_host(8, 8, INFINITY);
    add_host(8, 8, INFINITY);
    a = add_waiting(100);
    b = add_waiting(10);
    c = add_waiting(10);
    pack();
    assert_int_equal(workers_of(a), 8);
    assert_int_equal(workers_of(b), 4);
    assert_int_equal(workers_of(c), 4);
    assert_int_not_equal(command_of(a)->host, command_of(b)->host);
    assert_int_equal(command_of(b)->host, command_of(c)->host);
}

static void a_trial_of_most_of_the_work_begins_wide(void **unused)
{
    const struct mu_pack_trial *giant;

    (void)unused;
    add_host(8, 8, INFINITY);
    giant = add_waiting(400);
    for (int i = 0; i < 40; i++)
        add_waiting(10); /* 800 s of work: 100 s on 8, of which the giant needs 4 */
    pack();
    assert_int_equal(workers_of(giant), 4);
    assert_int_equal(count, 5);
}

static void who_is_late_gets_free_workers_before_who_waits(void **unused)
{
    const struct mu_pack_trial *giant;

    (void)unused;
    add_host(8, 2, INFINITY);
    giant = add_training(400, 2, 0);
    for (int i = 0; i < 4; i++)
        add_training(10, 1, 0);
    for (int i = 0; i < 36; i++)
        add_waiting(10);
    pack();
    assert_int_equal(count, 1);
    assert_int_equal(workers_of(giant), 4);
}

static void free_workers_go_to_what_ends_last(void **unused)
{
    const struct mu_pack_trial *a, *b;

    (void)unused;
    add_host(4, 2, INFINITY);
    a = add_training(30, 1, 0);
    b = add_training(10, 1, 0);
    pack();
    assert_int_equal(workers_of(a), 3);
    assert_int_equal(workers_of(b), 1);
    assert_int_equal(count, 1);
}

static void a_move_gains_clearly_or_is_not_made(void **unused)
{
    const struct mu_pack_trial *a;

    (void)unused;
    add_host(2, 1, INFINITY);
    a = add_training(0.3, 1, 0); /* gains 0.15 s, and loses 0.1 s */
    pack();
    assert_int_equal(count, 0);
    trial[0].work = 1;
    pack();
    assert_int_equal(workers_of(a), 2);
    trial[0].serial = 0.9; /* gains 0.05 s */
    pack();
    assert_int_equal(count, 0);
    trial[0].serial = 0;
    trial[0].moving = true;
    pack();
    assert_int_equal(count, 0);
}

/* Two of three would gain too little; the third has all that is free. */
static void what_gains_too_little_leaves_its_share_to_others(void **unused)
{
    const struct mu_pack_trial *a;

    (void)unused;
    add_host(6, 3, INFINITY);
    a = add_training(0.5, 1, 0);
    add_training(20, 1, 0)->serial = 1;
    add_training(10, 1, 0)->most = 1;
    pack();
    assert_int_equal(count, 1);
    assert_int_equal(workers_of(a), 4);
}

static void memory_is_never_exceeded(void **unused)
{
    struct mu_pack_trial *big, *small;

    (void)unused;
    add_host(4, 3, 10);
    add_host(4, 4, 100);
    add_training(5, 1, 0)->bytes = 50;
    big = add_waiting(10);
    big->bytes = 70;
    small = add_waiting(5);
    small->bytes = 40;
    pack();
    assert_int_equal(command_of(big)->host, 1);
    assert_null(command_of(small));
    big->bytes = 110; /* nowhere: no host has so much */
    pack();
    assert_null(command_of(big));
    assert_int_equal(command_of(small)->host, 1);
}

static void state_in_memory_stays_where_it_is(void **unused)
{
    struct mu_pack_trial *t;

    (void)unused;
    add_host(4, 4, INFINITY);
    add_host(4, 1, INFINITY);
    add_training(100, 3, 1)->most = 3;
    t = add_waiting(10);
    t->host = 1;
    pack();
    assert_int_equal(command_of(t)->host, 1);
    host[1].free = 0;
    pack();
    assert_null(command_of(t));
    host[1].workers = 0; /* nobody lives there */
    trial[0].host = 0;
    host[0].free = 1;
    pack();
    assert_int_equal(command_of(t)->host, 0);
}

static void a_wide_trial_is_not_passed_for_ever(void **unused)
{
    struct mu_pack_trial *wide, *longer, *shorter;

    (void)unused;
    add_host(4, 2, INFINITY);
    add_training(10, 2, 0)->most = 2;
    wide = add_waiting(100);
    wide->least = wide->most = 4;
    longer = add_waiting(20);
    longer->most = 1;
    shorter = add_waiting(5);
    shorter->most = 1;
    pack();
    assert_null(command_of(wide));
    assert_null(command_of(longer));
    assert_int_equal(workers_of(shorter), 1);
    wide->least = 5; /* no host is so wide: nothing is kept for it */
    pack();
    assert_int_equal(workers_of(longer), 1);
}

/* It has grown while nothing else was there; now another waits that would end last. */
static void a_wide_group_makes_way_if_the_whole_ends_sooner(void **unused)
{
    struct mu_pack_trial *wide, *other;

    (void)unused;
    add_host(16, 0, INFINITY);
    wide = add_training(160, 16, 0);
    other = add_waiting(10);
    pack();
    assert_int_equal(count, 0); /* 10.6 s in turn: side by side is no better */
    other->most = 1;            /* 20 s in turn, 10.8 s side by side */
    pack();
    assert_int_equal(count, 1);
    assert_int_equal(workers_of(wide), 15);
    other->most = 32;
    wide->serial = 0.1; /* 16 workers get in each other's way */
    pack();
    assert_true(workers_of(wide) < 16);
    wide->least = 16;
    pack();
    assert_int_equal(count, 0);
}

static void one_is_asked_for_one_that_waits(void **unused)
{
    (void)unused;
    add_host(16, 0, INFINITY);
    add_training(80, 8, 0)->moving = true;
    add_training(80, 8, 0);
    add_waiting(10)->most = 1;
    pack();
    assert_int_equal(count, 0);
    trial[0].moving = false;
    pack();
    assert_int_equal(count, 1);
}

static void seconds_follow_amdahl(void **unused)
{
    (void)unused;
    assert_true(mu_pack_seconds(10, 0, 1) == 10);
    assert_true(mu_pack_seconds(10, 0, 4) == 2.5);
    assert_true(mu_pack_seconds(10, 0.5, 2) == 7.5);
    assert_true(mu_pack_seconds(10, 1, 100) == 10);
}

static void speed_is_a_guess_until_heard(void **unused)
{
    struct mu_pack_speed s = {.guess = NAN};

    (void)unused;
    assert_true(isnan(mu_pack_speed_step(&s)));
    s.guess = 3;
    assert_true(mu_pack_speed_step(&s) == 3);
    mu_pack_speed_hear(&s, 0, 1);
    mu_pack_speed_hear(&s, 1, 0);
    mu_pack_speed_hear(&s, 1, NAN);
    mu_pack_speed_hear(&s, 1, INFINITY);
    assert_true(mu_pack_speed_step(&s) == 3);
    mu_pack_speed_hear(&s, 2, 0.5); /* as if nothing were serial */
    assert_true(fabs(mu_pack_speed_step(&s) - 1) < 1e-12);
    assert_true(s.serial == 0);
}

static void the_serial_share_is_learned(void **unused)
{
    static const uint32_t workers[] = {1, 1, 2, 8, 4, 1};

    (void)unused;
    for (int tenths = 0; tenths <= 10; tenths++) {
        struct mu_pack_speed s = {.guess = 1};

        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++)
            mu_pack_speed_hear(&s, workers[i], mu_pack_seconds(2, tenths / 10.0, workers[i]));
        assert_true(fabs(s.serial - tenths / 10.0) < 1e-9);
        assert_true(fabs(mu_pack_speed_step(&s) - 2) < 1e-9);
    }
}

static void what_cannot_be_is_cut_off(void **unused)
{
    struct mu_pack_speed slower = {.guess = 1}, faster = {.guess = 1};

    (void)unused;
    mu_pack_speed_hear(&slower, 1, 1);
    mu_pack_speed_hear(&slower, 4, 2);
    assert_true(slower.serial == 1);
    mu_pack_speed_hear(&faster, 1, 1); /* faster than workers are more */
    mu_pack_speed_hear(&faster, 4, 0.1);
    assert_true(faster.serial == 0);
    assert_true(faster.one > 0.3 && faster.one < 1.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, begin)
        T(nothing_to_do_is_no_command),
        T(without_memory_there_is_no_decision),
        T(while_others_are_to_come_a_move_gains_more),
        T(the_longest_path_begins_first),
        T(what_has_all_workers_begins_on_all),
        T(few_trials_end_together),
        T(few_trials_are_spread_over_hosts),
        T(a_trial_of_most_of_the_work_begins_wide),
        T(who_is_late_gets_free_workers_before_who_waits),
        T(free_workers_go_to_what_ends_last),
        T(a_move_gains_clearly_or_is_not_made),
        T(what_gains_too_little_leaves_its_share_to_others),
        T(memory_is_never_exceeded),
        T(state_in_memory_stays_where_it_is),
        T(a_wide_trial_is_not_passed_for_ever),
        T(a_wide_group_makes_way_if_the_whole_ends_sooner),
        T(one_is_asked_for_one_that_waits),
        T(seconds_follow_amdahl),
        T(speed_is_a_guess_until_heard),
        T(the_serial_share_is_learned),
        T(what_cannot_be_is_cut_off),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
