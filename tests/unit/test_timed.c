/* The stopwatch: a timed device computes the bits of the plain one, its rows add up, every other
 * step is timed; and the work of operations, by hand. */
#include "kernels/timed.h"

#include "orchestrator/base/clock.h"
#include "tests/support/kernel_run.h"

static const struct kernel_shape small = {.b = 2, .t = 5, .h = 2, .d = 6, .v = 11, .out = 7};

static void work_of_products(void **state)
{
    /* y (3, 5) = x (3, 4) W^T, W (5, 4): 15 sums of 4 products */
    const struct mu_linear s = {.rows = 3, .in = 4, .out = 5};
    struct mu_work w = mu_work_linear(s, 4, true, false, true);

    (void)state;
    assert_true(w.flops == 2 * 15 * 4);
    assert_true(w.bytes == 4 * (12 + 20 + 15 + 5));
    w = mu_work_linear(s, 2, false, true, false); /* bf16 in, fp32 out, the value before GELU */
    assert_true(w.bytes == 2 * (12 + 20 + 15) + 4 * 15);
    w = mu_work_linear_backward_input(s, 4, false);
    assert_true(w.flops == 120 && w.bytes == 4 * (15 + 20 + 12));
    w = mu_work_linear_backward_weight(s, 4, true, false); /* dW and db are read, too */
    assert_true(w.flops == 120 && w.bytes == 4 * (12 + 15 + 2 * (20 + 5)));
    w = mu_work_linear_backward_weight(s, 4, false, true);
    assert_true(w.bytes == 4 * (12 + 15 + 20));
}

static void work_of_the_rest(void **state)
{
    /* 1 sequence of 3 tokens, 2 heads of size 4: 6 of 9 pairs are causal; 2 products forward */
    const struct mu_attention s = {.batch = 1, .context = 3, .heads = 2, .head_size = 4};

    (void)state;
    assert_true(mu_work_attention(s, 4).flops == 2 * (2 * 6 * 4) * 2);
    assert_true(mu_work_attention_backward(s, 4).flops == 5 * (2 * 6 * 4) * 2);
    assert_true(mu_work_attention(s, 4).bytes == 4 * (4 * 24) + 4 * 6);
    assert_true(mu_work_classifier(3, 4, 5, 4, false, true).flops == 2 * 60);
    assert_true(mu_work_classifier(3, 4, 5, 4, true, true).flops == 6 * 60);
    assert_true(mu_work_adamw(10, false).bytes == 280);
    assert_true(mu_work_quantise(10, false).bytes == 120);
}

static void compare(const struct kernel_run *a, const struct kernel_run *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        assert_string_equal(a->outputs[i].name, b->outputs[i].name);
        if (memcmp(a->outputs[i].data, b->outputs[i].data, a->outputs[i].bytes) != 0)
            fail_msg("%s: other bits when timed", a->outputs[i].name);
    }
}

static struct mu_timed *watch(struct mu_device *d, int64_t steps)
{
    const struct mu_timed_plan plan = {.warm_up = 1, .steps = steps, .traces = true};
    struct mu_timed *t;

    assert_int_equal(mu_timed_open(&plan, &t), MU_OK);
    mu_timed_attach(t, d);
    return t;
}

static void timed_operations_compute_the_same(void **state)
{
    (void)state;
    for (int add = 0; add < 2; add++) {
        struct mu_device *plain = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, MU_ISA_GENERIC, 2);
        struct mu_device *other = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, MU_ISA_GENERIC, 2);
        struct mu_timed *t = watch(other, 1);
        struct kernel_run *a, *b;

        mu_timed_step(t, 0);
        assert_ptr_equal(other->ops, plain->ops);
        mu_timed_step(t, 1);
        assert_ptr_equal(other->ops, &t->ops);
        a = kernel_run(plain, small, add);
        b = kernel_run(other, small, add);
        compare(a, b);
        /* every operation was seen: those that a CPU has */
        for (int row = 0; row <= MU_TIMED_ADD_INT32; row++)
            if (t->cell[row].calls == 0 || t->cell[row].ns == 0)
                fail_msg("%s was not timed", mu_timed_word((enum mu_timed_row)row));
        assert_int_equal(t->depth, 0);
        kernel_run_free(a);
        kernel_run_free(b);
        mu_device_close(plain);
        mu_device_close(other);
        mu_timed_close(t);
    }
}

static uint64_t sum_of(const struct mu_timed *t)
{
    uint64_t ns = 0;

    for (int row = 0; row < MU_TIMED_ROW_COUNT; row++)
        ns += t->cell[row].ns;
    return ns;
}

/* A step of 30 ms in WAIT within EXCHANGE, of which nothing is EXCHANGE's, and 1 ms between: far
 * apart, since this machine may have other things to do. */
static void take_step(struct mu_timed *t, int64_t step)
{
    mu_timed_step(t, step);
    mu_timed_enter(t, MU_TIMED_PART_REST);
    mu_timed_enter(t, MU_TIMED_PART_EXCHANGE);
    mu_timed_enter(t, MU_TIMED_PART_WAIT);
    mu_clock_sleep_us(30000);
    mu_timed_leave(t);
    mu_timed_leave(t);
    mu_timed_polled(t);
    mu_timed_leave(t);
    mu_clock_sleep_us(1000);
    mu_timed_polled(t);
}

static void rows_add_up_to_the_step(void **state)
{
    struct mu_device *d = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    struct mu_timed *t = watch(d, 3);
    double timed_ns = 0;

    (void)state;
    for (int64_t step = 0; step < mu_timed_steps_in_all(&t->plan); step++) {
        take_step(t, step);
        assert_int_equal(t->is_on, step % 2 == 1 && step < 7);
        mu_timed_step(t, step); /* gone on with after a repair: the same one */
    }
    assert_int_equal(t->timed_count, 3);
    assert_int_equal(t->plain_count, 3);
    for (int i = 0; i < 3; i++) {
        timed_ns += 1e6 * t->timed_ms[i];
        assert_true(t->timed_ms[i] >= 31 && t->plain_ms[i] >= 31);
    }
    assert_true(fabs(timed_ns - (double)sum_of(t)) < 1);
    assert_int_equal(t->cell[MU_TIMED_PART_WAIT].calls, 3);
    assert_true(t->cell[MU_TIMED_PART_WAIT].ns >= 90000000);
    assert_true(t->cell[MU_TIMED_PART_BETWEEN].ns >= 3000000);
    assert_true(t->cell[MU_TIMED_PART_EXCHANGE].ns < t->cell[MU_TIMED_PART_WAIT].ns);
    assert_true(t->longest_gap_ns >= 30000000);
    assert_int_equal(t->gap_row, MU_TIMED_PART_WAIT);
    /* the trace is of one step: its three rows, the innermost first */
    assert_int_equal(t->event_count, 3);
    assert_int_equal(t->event[0].row, MU_TIMED_PART_WAIT);
    assert_true(t->event[0].from_ns >= t->event[1].from_ns);
    assert_true(t->event[0].to_ns <= t->event[1].to_ns);
    assert_true(t->bandwidth > 0 && t->peak_flops > 0);
    mu_device_close(d);
    mu_timed_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_of_products),
        cmocka_unit_test(work_of_the_rest),
        cmocka_unit_test(timed_operations_compute_the_same),
        cmocka_unit_test(rows_add_up_to_the_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
