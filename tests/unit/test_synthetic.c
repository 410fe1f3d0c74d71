/* The synthetic workload: its losses are the law's, so that a fit can be judged by it; its gradient
 * is a real one; its pace is kept with polls in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "tests/support/gpt_fixture.h"

/* Chinchilla's third fit (Hoffmann et al. 2022, appendix D.3), as in the schema's defaults. */
static struct mu_settings law(void)
{
    return (struct mu_settings){
        .run_seed = 5,
        .run_steps = 100,
        .model_kind = MU_MODEL_SYNTHETIC,
        .model_context = 100,
        .model_vocab = 2,
        .batch_sequences = 40,
        .batch_shards = 4,
        .batch_micro = 10,
        .eval_tokens = 10,
        .synthetic_e = 1.69,
        .synthetic_a = 406.4,
        .synthetic_b = 410.7,
        .synthetic_alpha = 0.34,
        .synthetic_beta = 0.28,
        .synthetic_params = 1000000,
    };
}

struct rig {
    struct mu_device *device;
    struct mu_workload *workload;
    struct fixture_weights weights;
    unsigned polls, polls_until_death; /* 0: nobody dies */
};

static enum mu_status count_poll(void *context)
{
    struct rig *r = context;

    r->polls++;
    return r->polls_until_death > 0 && r->polls >= r->polls_until_death ? MU_PEER_LOST : MU_OK;
}

static void rig_open(struct rig *r, const struct mu_settings *s)
{
    const struct mu_device_options options = {.kind = MU_DEVICE_REFERENCE,
                                              .isa = MU_ISA_GENERIC,
                                              .threads = 1,
                                              .poll = count_poll,
                                              .poll_context = r};

    *r = (struct rig){0};
    assert_int_equal(mu_device_open(&options, &r->device), MU_OK);
    assert_int_equal(mu_workload_open(s, r->device, &r->workload), MU_OK);
    r->weights = fixture_init(r->device, r->workload, 0);
}

static void rig_close(struct rig *r)
{
    fixture_free(r->device, &r->weights);
    mu_workload_close(r->workload);
    mu_device_close(r->device);
}

/* Mean loss of an evaluation. */
static double evaluate(struct rig *r, int64_t step)
{
    const struct mu_weights w = fixture_view(&r->weights);
    double loss = 0, tokens = 0;

    for (uint64_t p = 0; p < r->workload->facts.eval_pieces; p++) {
        struct mu_piece_result piece;

        assert_int_equal(r->workload->ops->evaluate(r->workload, &w, step, p, &piece), MU_OK);
        loss += piece.loss_nats;
        tokens += (double)piece.tokens;
    }
    assert_true(tokens == 10);
    return loss / tokens;
}

static void test_losses_are_the_law(void **state)
{
    const struct mu_settings s = law();
    struct mu_shard_result shard;
    struct mu_weights w;
    struct rig r;
    double expected;

    (void)state;
    rig_open(&r, &s);
    w = fixture_view(&r.weights);
    /* 25 steps of 4,000 tokens; libm's pow is another road to the same number */
    expected = 1.69 + 406.4 / pow(1e6, 0.34) + 410.7 / pow(1e5, 0.28);
    assert_true(fabs(evaluate(&r, 25) - expected) < 1e-12 * expected);
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 24, 3, &shard), MU_OK);
    assert_int_equal(shard.tokens, 1000);
    assert_true(fabs(shard.loss_nats / 1000 - expected) < 1e-12 * expected);
    rig_close(&r);
}

/* With exponents of 1 and 1/2 four points give the four constants back by elimination. */
static void test_constants_can_be_recovered(void **state)
{
    struct mu_settings s = law();
    double loss[2][2], e, a, b;

    (void)state;
    s.synthetic_alpha = 1;
    s.synthetic_beta = 0.5;
    for (int n = 0; n < 2; n++) {
        struct rig r;

        s.synthetic_params = n == 0 ? 1000 : 2000;
        rig_open(&r, &s);
        loss[n][0] = evaluate(&r, 1); /* D = 4000 */
        loss[n][1] = evaluate(&r, 4); /* D = 16000: D^-1/2 halves */
        rig_close(&r);
    }
    a = (loss[0][0] - loss[1][0]) * 2000;
    b = (loss[0][0] - loss[0][1]) * 2 * sqrt(4000);
    e = loss[0][0] - a / 1000 - b / sqrt(4000);
    assert_true(fabs(a - 406.4) < 1e-9 && fabs(b - 410.7) < 1e-9 && fabs(e - 1.69) < 1e-9);
}

static void test_noise_is_a_run_s_luck(void **state)
{
    enum { SEEDS = 400 };
    struct mu_settings s = law();
    double sum = 0, squares = 0, clean;
    struct rig r;

    (void)state;
    rig_open(&r, &s);
    clean = evaluate(&r, 10);
    rig_close(&r);
    s.synthetic_noise = 0.25;
    for (int64_t seed = 0; seed < SEEDS; seed++) {
        double noise;

        s.run_seed = seed;
        rig_open(&r, &s);
        noise = evaluate(&r, 10) - clean;
        assert_true(evaluate(&r, 10) - clean == noise);
        rig_close(&r);
        sum += noise;
        squares += noise * noise;
    }
    /* four standard errors */
    assert_true(fabs(sum / SEEDS) < 4 * 0.25 / sqrt(SEEDS));
    assert_true(fabs(sqrt(squares / SEEDS) - 0.25) < 4 * 0.25 / sqrt(2 * SEEDS));
}

/* A plain descent of rate 1 leads to the mean of the targets of that step; the gradient there,
 * with the same jitter, is zero. */
static void test_the_gradient_is_of_a_quadratic(void **state)
{
    const struct mu_settings s = law();
    struct rig r;
    struct mu_weights w;
    double *gradient, before = 0, after = 0;
    uint64_t n;

    (void)state;
    rig_open(&r, &s);
    w = fixture_view(&r.weights);
    n = r.workload->layout.elements;
    assert_int_equal(r.workload->layout.parameters, 4096 + 100);
    gradient = calloc(n, sizeof *gradient);
    for (int round = 0; round < 2; round++) {
        double *norm = round == 0 ? &before : &after;

        memset(gradient, 0, n * sizeof *gradient);
        for (uint32_t k = 0; k < 4; k++) {
            struct mu_shard_result out;

            assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 6, k, &out), MU_OK);
            assert_int_equal(out.row_count, 0);
            fixture_add(&r.workload->layout, &out, gradient);
        }
        for (uint64_t i = 0; i < n; i++) {
            *norm += gradient[i] * gradient[i];
            r.weights.f32[i] -= (float)gradient[i];
        }
    }
    assert_true(before > 1000 && after < 1e-9);
    free(gradient);
    rig_close(&r);
}

static void test_steps_are_paced_with_polls(void **state)
{
    struct mu_settings s = law();
    struct mu_shard_result out;
    struct mu_weights w;
    struct rig r;
    double from;

    (void)state;
    s.synthetic_step_ms = 200; /* 50 ms a shard */
    rig_open(&r, &s);
    w = fixture_view(&r.weights);
    from = mu_clock_s();
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &out), MU_OK);
    assert_true(mu_clock_s() - from >= 0.050);
    assert_true(r.polls >= 5); /* every 10 ms at the very least, even on a loaded machine */
    rig_close(&r);
}

static void test_a_death_ends_the_wait(void **state)
{
    struct mu_settings s = law();
    struct mu_shard_result out;
    struct mu_weights w;
    struct rig r;

    (void)state;
    s.synthetic_step_ms = 4000000; /* 1000 s a shard */
    rig_open(&r, &s);
    w = fixture_view(&r.weights);
    r.polls_until_death = 3;
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &out), MU_PEER_LOST);
    assert_int_equal(r.polls, 3);
    rig_close(&r);
}

static void test_shards_must_divide(void **state)
{
    struct mu_settings s = law();
    struct mu_workload *w;

    (void)state;
    s.batch_shards = 7;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_CONFIG);
    mu_log_set_level(MU_LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_are_the_law),
        cmocka_unit_test(test_constants_can_be_recovered),
        cmocka_unit_test(test_noise_is_a_run_s_luck),
        cmocka_unit_test(test_the_gradient_is_of_a_quadratic),
        cmocka_unit_test(test_steps_are_paced_with_polls),
        cmocka_unit_test(test_a_death_ends_the_wait),
        cmocka_unit_test(test_shards_must_divide),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
