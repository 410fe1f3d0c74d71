/* The gpt workload's contract apart from its derivatives: tensors, initial values, evaluation, and
 * what it says to settings and files that do not fit. What is a llama's alone: test_llama.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "tests/support/gpt64.h"
#include "tests/support/gpt_fixture.h"

enum { VOCAB = 13, VALID_TOKENS = 100 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/muster-gpt-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    return fixture_write(in_folder("train.tok"), VOCAB, 200) &&
                   fixture_write(in_folder("valid.tok"), VOCAB, VALID_TOKENS) &&
                   fixture_write(in_folder("short.tok"), VOCAB, 7) &&
                   fixture_write(in_folder("wide.tok"), VOCAB + 1, 200)
               ? 0
               : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void test_tensors_are_those_of_gpt2(void **state)
{
    const struct mu_settings s = fixture_settings(folder);
    struct mu_workload *w;
    char name[64];

    (void)state;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    assert_int_equal(w->layout.tensor_count, 2 + 2 * 12 + 2);
    fixture_check_tensor(&w->layout, 0, "wte.weight", 13, 9, 1);
    fixture_check_tensor(&w->layout, 1, "wpe.weight", 7, 9, 0);
    for (uint32_t l = 0; l < 2; l++) {
        const struct {
            const char *name;
            uint64_t rows, cols;
        } expected[] = {
            {"ln_1.weight", 1, 9},    {"ln_1.bias", 1, 9},        {"attn.qkv.weight", 27, 9},
            {"attn.qkv.bias", 1, 27}, {"attn.proj.weight", 9, 9}, {"attn.proj.bias", 1, 9},
            {"ln_2.weight", 1, 9},    {"ln_2.bias", 1, 9},        {"mlp.up.weight", 36, 9},
            {"mlp.up.bias", 1, 36},   {"mlp.down.weight", 9, 36}, {"mlp.down.bias", 1, 9},
        };

        for (uint32_t k = 0; k < 12; k++) {
            snprintf(name, sizeof name, "h.%" PRIu32 ".%s", l, expected[k].name);
            fixture_check_tensor(&w->layout, 2 + 12 * l + k, name, expected[k].rows,
                                 expected[k].cols, 0);
        }
    }
    fixture_check_tensor(&w->layout, 26, "ln_f.weight", 1, 9, 0);
    fixture_check_tensor(&w->layout, 27, "ln_f.bias", 1, 9, 0);
    mu_workload_close(w);
}

static void moments(const float *x, uint64_t n, double *mean, double *deviation)
{
    double sum = 0, squares = 0;

    for (uint64_t i = 0; i < n; i++)
        sum += (double)x[i];
    *mean = sum / (double)n;
    for (uint64_t i = 0; i < n; i++)
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *deviation = sqrt(squares / (double)n);
}

/* Width 96 and 8 layers: enough numbers that mean and deviation are known to a few percent
 * (4 / sqrt(n) of the deviation is never passed by chance). */
static void test_initial_values(void **state)
{
    struct mu_settings s = fixture_settings(folder);
    struct mu_workload *w;
    float *x = calloc(4 * 96 * 96, sizeof *x);

    (void)state;
    s.model_width = 96;
    s.model_layers = 8;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    for (uint32_t t = 0; t < w->layout.tensor_count; t++) {
        const struct mu_tensor_spec *spec = &w->layout.tensors[t].spec;
        const uint64_t n = spec->rows * spec->cols;
        const bool into_stream =
            strstr(spec->name, "proj.weight") || strstr(spec->name, "down.weight");
        const double expected = into_stream ? 0.02 / 4 : 0.02; /* 1 / sqrt(2 * 8) = 1 / 4 */
        const bool norm = strstr(spec->name, "ln_") && strstr(spec->name, "weight");
        double mean, deviation;

        w->ops->init_tensor(w, t, 0, n, x);
        moments(x, n, &mean, &deviation);
        if (spec->rows > 1) {
            assert_true(fabs(mean) < 4 * expected / sqrt((double)n));
            assert_true(fabs(deviation - expected) < 4 * expected / sqrt(2 * (double)n));
        } else {
            assert_true(deviation == 0);
            assert_true(mean == (norm ? 1 : 0));
        }
    }
    free(x);
    mu_workload_close(w);
}

static void test_any_range_can_be_filled_by_anybody(void **state)
{
    const struct mu_settings s = fixture_settings(folder);
    struct mu_workload *w;
    float whole[27 * 9], part[27 * 9];
    const uint64_t cuts[] = {0, 1, 6, 7, 128, 243};

    (void)state;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    w->ops->init_tensor(w, 4, 0, 243, whole); /* h.0.attn.qkv.weight */
    for (size_t k = 0; k + 1 < sizeof cuts / sizeof *cuts; k++)
        w->ops->init_tensor(w, 4, cuts[k], cuts[k + 1], part + cuts[k]);
    assert_memory_equal(whole, part, sizeof whole);
    w->ops->init_tensor(w, 16, 0, 243, part); /* h.1.attn.qkv.weight: other numbers */
    assert_memory_not_equal(whole, part, sizeof whole);
    mu_workload_close(w);
}

static void test_facts(void **state)
{
    const struct mu_settings s = fixture_settings(folder);
    struct mu_workload *w;

    (void)state;
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    /* a block: 12 C^2 + 13 C = 1089; 2 of them, ln_f 18, wte 117, wpe 63 */
    assert_int_equal(w->layout.parameters, 2 * 1089 + 18 + 117 + 63);
    assert_int_equal(w->facts.tokens_per_step, 12 * 7);
    assert_true(w->facts.flops_per_token == 6.0 * (2 * 1089 + 18 + 117) + 12.0 * 2 * 9 * 7);
    assert_int_equal(w->facts.shards, 3);
    assert_true(w->facts.train_windows == 28); /* (200 - 1) / 7 */
    assert_int_equal(w->facts.eval_pieces, 5); /* 70 tokens: 10 sequences, 2 a piece */
    assert_string_equal(w->facts.summary, "gpt2, 2 layers, width 9, 3 heads, context 7, vocabulary "
                                          "13: 0.00M parameters");
    mu_workload_close(w);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

struct rig {
    struct mu_device *device;
    struct mu_workload *workload;
    struct fixture_weights weights;
};

static struct rig rig_open(const struct mu_settings *s)
{
    struct rig r = {.device = fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32)};

    assert_non_null(r.device);
    assert_int_equal(mu_workload_open(s, r.device, &r.workload), MU_OK);
    r.weights = fixture_init(r.device, r.workload, 0.1);
    return r;
}

static void rig_close(struct rig *r)
{
    fixture_free(r->device, &r->weights);
    mu_workload_close(r->workload);
    mu_device_close(r->device);
}

/* All pieces together are the first windows of the validation file, one after the other. */
static void check_evaluation(struct mu_settings s, uint64_t sequences, uint64_t pieces)
{
    struct rig r = rig_open(&s);
    const struct mu_weights w = fixture_view(&r.weights);
    double *p = calloc(r.workload->layout.elements, sizeof *p), loss = 0, bytes = 0, expected = 0;
    const struct gpt64 m = {&r.workload->layout, 2, 3, 9, 7, VOCAB, p, 0, 0};
    uint64_t tokens = 0;

    for (uint64_t i = 0; i < r.workload->layout.elements; i++)
        p[i] = (double)r.weights.f32[i];
    for (uint64_t q = 0; q < sequences; q++) {
        int window[8];

        for (uint64_t i = 0; i < 8; i++)
            window[i] = (int)fixture_token(7 * q + i, VOCAB);
        expected += gpt64_loss(&m, window);
    }
    assert_int_equal(r.workload->facts.eval_pieces, pieces);
    for (uint64_t k = pieces; k-- > 0;) { /* in any order */
        struct mu_piece_result piece;

        assert_int_equal(r.workload->ops->evaluate(r.workload, &w, 0, k, &piece), MU_OK);
        loss += piece.loss_nats;
        tokens += piece.tokens;
        bytes += piece.bytes;
    }
    assert_int_equal(tokens, 7 * sequences);
    assert_true(fabs(loss - expected) < 1e-6 * expected);
    assert_true(fabs(bytes - 3 * 7 * (double)sequences) < 1e-9); /* the fixture says 3 a token */
    free(p);
    rig_close(&r);
}

static void test_evaluation_is_a_fixed_token_set(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    check_evaluation(s, 10, 5);
    s.eval_tokens = 71; /* begins an eleventh sequence: the last piece is shorter */
    check_evaluation(s, 11, 6);
    s.eval_tokens = 1000000; /* all that the file has: (100 - 1) / 7 */
    check_evaluation(s, 14, 7);
    s.batch_micro = 4;
    check_evaluation(s, 14, 4);
}

static void test_without_validation_data(void **state)
{
    struct mu_settings s = fixture_settings(folder);
    struct mu_workload *w;

    (void)state;
    s.data_valid[0] = '\0';
    assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
    assert_int_equal(w->facts.eval_pieces, 0);
    mu_workload_close(w);
}

/* With an embedding of zeros every logit is 0: the loss of a token is ln V, whatever else. */
static void test_a_uniform_model_has_loss_ln_vocabulary(void **state)
{
    const struct mu_settings s = fixture_settings(folder);
    struct rig r = rig_open(&s);
    const struct mu_weights w = fixture_view(&r.weights);
    struct mu_shard_result shard;

    (void)state;
    memset(r.weights.f32, 0, VOCAB * 9 * sizeof(float));
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &shard), MU_OK);
    assert_true(fabs(shard.loss_nats - 28 * log(VOCAB)) < 28 * 1e-6);
    rig_close(&r);
}

/* ---- giving up ------------------------------------------------------------------------------- */

struct death {
    int polls, at; /* 0: nobody dies */
};

static enum mu_status poll_until_death(void *context)
{
    struct death *d = context;

    return ++d->polls >= d->at && d->at > 0 ? MU_PEER_LOST : MU_OK;
}

/* A shard of 2 micro-batches and 8 layers: from a death to the end of the layer is less than an
 * eighth of it. What was given up leaves no trace in what is computed next. */
static void check_death(struct mu_settings s, enum mu_recompute recompute)
{
    struct death death = {0};
    struct mu_shard_result shard;
    struct mu_weights w;
    double *kept, *again;
    uint64_t n;
    struct rig r;
    int whole;

    s.model_layers = 8;
    s.device_recompute = (int)recompute;
    r = rig_open(&s);
    w = fixture_view(&r.weights);
    n = r.workload->layout.elements;
    kept = calloc(n, sizeof *kept);
    again = calloc(n, sizeof *again);
    r.device->options.poll = poll_until_death;
    r.device->options.poll_context = &death;
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &shard), MU_OK);
    fixture_add(&r.workload->layout, &shard, kept);
    whole = death.polls;
    for (int eighth = 0; eighth < 8; eighth++) {
        death = (struct death){.at = 1 + whole * eighth / 8};
        assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 1, &shard),
                         MU_PEER_LOST);
        assert_in_range(death.polls, death.at, death.at + whole / 8);
        r.device->status = MU_OK;
    }
    death = (struct death){.at = 1};
    assert_int_equal(r.workload->ops->evaluate(r.workload, &w, 0, 0, &(struct mu_piece_result){0}),
                     MU_PEER_LOST);
    r.device->status = MU_OK;
    death = (struct death){0};
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &shard), MU_OK);
    fixture_add(&r.workload->layout, &shard, again);
    assert_memory_equal(kept, again, n * sizeof *kept);
    free(kept);
    free(again);
    rig_close(&r);
}

static void test_a_death_ends_the_shard_within_a_layer(void **state)
{
    (void)state;
    for (int k = MU_RECOMPUTE_NONE; k <= MU_RECOMPUTE_BLOCK; k++) {
        check_death(fixture_settings(folder), (enum mu_recompute)k);
        check_death(fixture_llama(folder), (enum mu_recompute)k);
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* What opening says on stderr. */
static enum mu_status refused(const struct mu_settings *s, char *text, size_t size)
{
    FILE *file = tmpfile();
    const int kept = dup(STDERR_FILENO);
    struct mu_workload *w = NULL;
    enum mu_status st;
    size_t got;

    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    st = mu_workload_open(s, NULL, &w);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    fclose(file);
    if (st == MU_OK)
        mu_workload_close(w);
    return st;
}

static void check_refused(const struct mu_settings *s, enum mu_status expected, const char *said)
{
    char text[2048];

    assert_int_equal(refused(s, text, sizeof text), expected);
    if (strstr(text, said) == NULL)
        fail_msg("expected \"%s\" in: %s", said, text);
}

static void test_settings_that_do_not_fit(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    s.model_heads = 4;
    check_refused(&s, MU_CONFIG, "model.heads = 4 does not divide model.width = 9");
    s = fixture_settings(folder);
    s.batch_shards = 5;
    check_refused(&s, MU_CONFIG, "batch.shards = 5 does not divide batch.sequences = 12");
    s = fixture_settings(folder);
    s.batch_micro = 3;
    check_refused(&s, MU_CONFIG, "batch.micro = 3 does not divide");
    s = fixture_settings(folder);
    s.data_train[0] = '\0';
    check_refused(&s, MU_CONFIG, "data.train is not set");
}

static void test_data_that_do_not_fit(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    strcpy(s.data_train, in_folder("short.tok"));
    check_refused(&s, MU_CONFIG, "7 tokens, but one sequence needs model.context + 1 = 8");
    s = fixture_settings(folder);
    strcpy(s.data_valid, in_folder("wide.tok"));
    check_refused(&s, MU_CONFIG, "model.vocab = 13 is smaller than the vocabulary of data.valid");
}

/* llm.c's format promises GPT-2's vocabulary and cannot enforce it. */
static void test_a_token_beyond_the_vocabulary_is_refused(void **state)
{
    static int32_t header[256] = {20240520, 1, 200};
    static uint16_t tokens[200];
    struct mu_settings s = fixture_settings(folder);
    struct mu_shard_result shard;
    struct mu_weights w;
    struct rig r;
    FILE *file = fopen(in_folder("llm.bin"), "wb");

    (void)state;
    for (int i = 0; i < 200; i++)
        tokens[i] = 60000;
    assert_non_null(file);
    assert_int_equal(fwrite(header, sizeof header, 1, file), 1);
    assert_int_equal(fwrite(tokens, sizeof tokens, 1, file), 1);
    fclose(file);
    strcpy(s.data_train, in_folder("llm.bin"));
    s.model_vocab = 50257;
    r = rig_open(&s);
    w = fixture_view(&r.weights);
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(r.workload->ops->shard_gradient(r.workload, &w, 0, 0, &shard), MU_CORRUPT);
    mu_log_set_level(MU_LOG_INFO);
    rig_close(&r);
}

static void test_resolve_settles_what_is_auto(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    s.model_vocab = s.batch_shards = s.batch_micro = MU_AUTO;
    s.batch_sequences = 1024;
    assert_int_equal(mu_workload_resolve(&s), MU_OK);
    assert_int_equal(s.model_vocab, VOCAB);
    assert_int_equal(s.batch_shards, 8); /* 128 sequences of 7: 896 tokens; 64 would be 448 */
    assert_int_equal(s.batch_micro, 128);
    mu_log_set_level(MU_LOG_SILENT);
    s.model_vocab = MU_AUTO;
    s.data_train[0] = '\0';
    assert_int_equal(mu_workload_resolve(&s), MU_CONFIG);
    mu_log_set_level(MU_LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_are_those_of_gpt2),
        cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_any_range_can_be_filled_by_anybody),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_evaluation_is_a_fixed_token_set),
        cmocka_unit_test(test_without_validation_data),
        cmocka_unit_test(test_a_uniform_model_has_loss_ln_vocabulary),
        cmocka_unit_test(test_a_death_ends_the_shard_within_a_layer),
        cmocka_unit_test(test_settings_that_do_not_fit),
        cmocka_unit_test(test_data_that_do_not_fit),
        cmocka_unit_test(test_a_token_beyond_the_vocabulary_is_refused),
        cmocka_unit_test(test_resolve_settles_what_is_auto),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
