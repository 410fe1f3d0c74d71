/* What model.kind = "llama" has of its own: tensors, initial values, facts, angles, and settings
 * that do not go together. Loss and gradient: test_gpt_gradient.c, test_gpt_curve.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "tests/support/gpt_fixture.h"
#include "worker/workload/gpt.h"

static char folder[] = "/tmp/muster-llama-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return fixture_make_folder(folder, 2000) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

static void tensors_have_hugging_face_names(void **state)
{
    static const struct {
        const char *name;
        uint64_t rows, cols;
    } expected[] = {
        {"input_layernorm", 1, 18},   {"self_attn.qkv_proj", 54, 18},
        {"self_attn.o_proj", 18, 18}, {"post_attention_layernorm", 1, 18},
        {"mlp.gate_up_proj", 42, 18}, {"mlp.down_proj", 18, 21},
    };
    const struct mu_settings s = fixture_llama(folder);
    struct mu_workload *w;
    char name[64];

    (void)state;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    assert_string_equal(w->ops->name, "llama");
    assert_int_equal(w->layout.tensor_count, 1 + 2 * 6 + 1);
    fixture_check_tensor(&w->layout, 0, "model.embed_tokens.weight", 13, 18, 1);
    for (uint32_t l = 0; l < 2; l++) {
        for (uint32_t k = 0; k < 6; k++) {
            snprintf(name, sizeof name, "model.layers.%" PRIu32 ".%s.weight", l, expected[k].name);
            fixture_check_tensor(&w->layout, 1 + 6 * l + k, name, expected[k].rows,
                                 expected[k].cols, 0);
        }
    }
    fixture_check_tensor(&w->layout, 13, "model.norm.weight", 1, 18, 0);
    mu_workload_close(w);
}

/* Deviation of n numbers that were drawn around 0: known to 4 / sqrt(2 n) of itself. */
static void check_drawn(const float *x, uint64_t n, double deviation)
{
    double sum = 0, squares = 0;

    for (uint64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    assert_true(fabs(sum / (double)n) < 4 * deviation / sqrt((double)n));
    assert_true(fabs(sqrt(squares / (double)n) - deviation) < 4 * deviation / sqrt(2 * (double)n));
}

static void initial_values(void **state)
{
    struct mu_settings s = fixture_llama(folder);
    struct mu_workload *w;
    float *x = calloc(2 * 256 * 96, sizeof *x);

    (void)state;
    s.model_width = 96;
    s.model_hidden = 256;
    s.model_layers = 8;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    for (uint32_t t = 0; t < w->layout.tensor_count; t++) {
        const struct mu_tensor_spec *spec = &w->layout.tensors[t].spec;
        const uint64_t n = spec->rows * spec->cols;
        const bool into_stream =
            strstr(spec->name, "o_proj.weight") || strstr(spec->name, "down_proj.weight");

        w->ops->init_tensor(w, t, 0, n, x);
        if (spec->rows > 1)
            check_drawn(x, n, into_stream ? 0.02 / 4 : 0.02); /* 1 / sqrt(2 * 8) = 1 / 4 */
        for (uint64_t i = 0; spec->rows == 1 && i < n; i++)
            assert_true(x[i] == 1);
    }
    free(x);
    mu_workload_close(w);
}

static void facts(void **state)
{
    const struct mu_settings s = fixture_llama(folder);
    struct mu_workload *w;

    (void)state;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    /* a block: 4 C^2 + 3 C F + 2 C = 2466; 2 of them, the last norm 18, the embedding 234 */
    assert_int_equal(w->layout.parameters, 2 * 2466 + 18 + 234);
    assert_true(w->facts.flops_per_token == 6.0 * (2 * 2466 + 18 + 234) + 12.0 * 2 * 18 * 7);
    assert_string_equal(w->facts.summary,
                        "llama, 2 layers, width 18, hidden 21, 3 heads, context 7, vocabulary 13: "
                        "0.01M parameters");
    mu_workload_close(w);
}

/* The table on the device, against libm. */
static void angles(void **state)
{
    struct mu_settings s = fixture_llama(folder);
    struct mu_device *d = fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    struct mu_workload *w;
    const float *turn;

    (void)state;
    s.model_context = 1000;
    s.model_rope_theta = 10000;
    s.data_valid[0] = '\0';
    s.batch_sequences = s.batch_shards = s.batch_micro = 1;
    assert_int_equal(mu_workload_open(&s, d, &w), MU_OK);
    turn = ((const struct mu_gpt *)w)->buffers.turn;
    for (int t = 0; t < 1000; t++) {
        for (int i = 0; i < 3; i++) { /* heads of 6 */
            const double angle = t * pow(10000, -2.0 * i / 6);

            assert_true(fabs((double)turn[(t * 3 + i) * 2] - cos(angle)) < 1e-7);
            assert_true(fabs((double)turn[(t * 3 + i) * 2 + 1] - sin(angle)) < 1e-7);
        }
    }
    mu_workload_close(w);
    mu_device_close(d);
}

static void heads_of_odd_size_are_refused(void **state)
{
    struct mu_settings s = fixture_llama(folder);
    struct mu_workload *w;

    (void)state;
    s.model_width = 15;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_CONFIG);
    mu_log_set_level(MU_LOG_INFO);
    s.model_heads = 1;
    s.model_width = 14;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    mu_workload_close(w);
}

static void the_hidden_width_that_auto_gives(void **state)
{
    static const struct {
        enum mu_model kind;
        int64_t width, hidden;
    } cases[] = {
        {MU_MODEL_LLAMA, 768, 2048},    {MU_MODEL_LLAMA, 4096, 10944}, {MU_MODEL_LLAMA, 24, 64},
        {MU_MODEL_LLAMA, 26, 128},      {MU_MODEL_LLAMA, 2, 64},       {MU_MODEL_GPT2, 24, 96},
        {MU_MODEL_GPT2, 65536, 262144},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_settings s = fixture_settings(folder);

        s.model_kind = (int)cases[i].kind;
        s.model_width = cases[i].width;
        s.model_hidden = MU_AUTO;
        assert_int_equal(mu_workload_resolve(&s), MU_OK);
        assert_int_equal(s.model_hidden, cases[i].hidden);
        s.model_hidden = 100;
        assert_int_equal(mu_workload_resolve(&s), MU_OK);
        assert_int_equal(s.model_hidden, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_have_hugging_face_names),
        cmocka_unit_test(initial_values),
        cmocka_unit_test(facts),
        cmocka_unit_test(angles),
        cmocka_unit_test(heads_of_odd_size_are_refused),
        cmocka_unit_test(the_hidden_width_that_auto_gives),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
