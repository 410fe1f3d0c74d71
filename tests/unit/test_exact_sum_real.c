/* How near exact sums are to float64 ones on the gradients of a small gpt in training, early and
 * late, at 8, 64 and 256 shards; and how many blocks escape. Words are drawn by Zipf's law: the
 * rows of rare words, nothing in one step and large in the next, are the hard case. */
#include "tests/support/fleet_sum.h"
#include "tests/support/gpt_fixture.h"

enum {
    vocab = 512,
    words = 100000,
    steps = 30,       /* trained with 8 shards */
    late = steps - 1, /* measured here, and at step 1: step 0 is a redo */
};

static char folder[64];

/* Rank r with probability proportional to 1 / (r + 3); every other word follows from the one before
 * it, so that there is something to learn. */
static bool write_words(const char *path)
{
    struct mu_token_writer w;
    double cumulative[vocab], total = 0;
    uint32_t token = 0;
    bool ok = mu_token_writer_open(&w, path, 2, vocab, "test") == MU_OK;

    for (int r = 0; r < vocab; r++)
        cumulative[r] = total += 1.0 / (r + 3);
    for (uint64_t i = 0; ok && i < words; i++) {
        const struct mu_rng_words draw = mu_rng_draw(5, MU_RNG_SYNTHETIC, 0, i);
        const double at = mu_rng_uniform(draw.w[0]) * total;

        if (draw.w[1] & 1)
            token = (token * 7 + 3) % vocab;
        else
            for (token = 0; cumulative[token] < at; token++)
                ;
        const uint8_t raw[2] = {(uint8_t)token, (uint8_t)(token >> 8)};

        ok = mu_token_writer_put(&w, raw, sizeof raw) == MU_OK;
    }
    ok = ok && mu_token_writer_finish(&w, 5 * words) == MU_OK &&
         mu_token_writer_publish(&w) == MU_OK;
    mu_token_writer_abandon(&w);
    return ok;
}

static int make_folder(void **state)
{
    char path[128];

    (void)state;
    strcpy(folder, "/tmp/muster-exact-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/train.tok", folder);
    return write_words(path) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* The same model, with a batch of `shards` shards of 96 tokens. Fewer tokens make noisier shards,
 * whose sum is small beside them: at 256 shards of 16 tokens the error passes 1e-6. */
struct rig {
    uint32_t shards;
    struct mu_workload *workload;
    struct fleet fleet;
    double *sum64; /* elements: the shards' gradients, added in float64 */
    double loss;   /* mean, of the last step */
    uint64_t escapes, redos;
};

static void rig_open(struct rig *r, struct mu_device *device, uint32_t shards)
{
    struct mu_settings s = fixture_settings(folder);
    struct mu_tensor_spec spec[64];
    const struct mu_layout *l;

    s.data_valid[0] = 0;
    s.model_heads = 4;
    s.model_width = 32;
    s.model_context = 32;
    s.model_vocab = vocab;
    s.batch_shards = shards;
    s.batch_micro = 3;
    s.batch_sequences = s.batch_shards * s.batch_micro;
    *r = (struct rig){.shards = shards};
    assert_int_equal(mu_workload_open(&s, device, &r->workload), MU_OK);
    l = &r->workload->layout;
    assert_in_range(l->tensor_count, 1, 64);
    for (uint32_t t = 0; t < l->tensor_count; t++)
        spec[t] = l->tensors[t].spec;
    fleet_open(&r->fleet, spec, l->tensor_count, shards, device->options.kind);
    r->sum64 = calloc(l->elements, sizeof *r->sum64);
}

static void rig_close(struct rig *r)
{
    free(r->sum64);
    fleet_close(&r->fleet);
    mu_workload_close(r->workload);
}

/* Sums the step's gradients both ways and learns from them. */
static struct fleet_total sum_step(struct rig *r, const struct mu_weights *weights, int64_t step)
{
    const struct mu_layout *l = &r->fleet.layout;
    struct fleet_total total;
    int16_t top[64];

    for (int pass = 0;; pass++) {
        memset(r->sum64, 0, l->elements * sizeof *r->sum64);
        r->loss = 0;
        for (uint32_t s = 0; s < r->shards; s++) {
            struct mu_shard_result g;

            assert_int_equal(r->workload->ops->shard_gradient(r->workload, weights, step, s, &g),
                             MU_OK);
            mu_exact_sum_add(&r->fleet.exact, &r->fleet.sum[0], r->fleet.prediction, &g, s == 0);
            fixture_add(l, &g, r->sum64);
            r->loss += g.loss_nats / (double)r->workload->facts.tokens_per_step;
        }
        total = fleet_collect(&r->fleet, 1);
        if (!mu_exact_sum_must_redo(total.escapes, r->fleet.exact.capacity, total.flags))
            break;
        assert_int_equal(pass, 0); /* once is enough */
        mu_predict_raise(l, r->fleet.prediction, total.largest, r->fleet.prediction);
        fleet_total_close(&total);
        r->redos++;
    }
    r->escapes += total.escapes;
    mu_predict_tensor_maxima(l, r->fleet.prediction, total.largest, top);
    for (uint32_t c = 0; c < l->chunk_count; c++)
        mu_predict_chunk(l, &l->chunks[c], r->fleet.prediction, total.largest, top,
                         r->fleet.prediction);
    return total;
}

static double error(const struct rig *r, const struct fleet_total *t)
{
    double difference = 0, size = 0;

    for (uint64_t i = 0; i < r->fleet.layout.elements; i++) {
        double d = (double)t->gradient[i] - r->sum64[i];

        difference += d * d;
        size += r->sum64[i] * r->sum64[i];
    }
    return sqrt(difference / size);
}

/* Adam's moments in float64, of exact sums and of float64 ones. */
struct moments {
    double *m, *v, *m64, *v64;
    int count; /* steps taken */
};

/* The update of one element, by moments m and v and one more gradient. */
static double adam(double m, double v, double g, int t)
{
    m = 0.9 * m + 0.1 * g;
    v = 0.95 * v + 0.05 * g * g;
    return m / (1 - pow(0.9, t)) / (sqrt(v / (1 - pow(0.95, t))) + 1e-8);
}

/* Softmax does not see what is added to all keys of a query: the true gradient of their biases is
 * zero, what is computed is rounding noise, and Adam makes updates of full size of it. */
static bool is_key_bias(const struct mu_layout *l, uint64_t element)
{
    for (uint32_t t = 0; t < l->tensor_count; t++) {
        const struct mu_tensor *tensor = &l->tensors[t];
        uint64_t width = tensor->spec.cols / 3;

        if (strstr(tensor->spec.name, "attn.qkv.bias") && element >= tensor->offset + width &&
            element < tensor->offset + 2 * width)
            return true;
    }
    return false;
}

/* Share of Adam's updates that differ by more than one in a hundred, key biases apart. */
static double updates_off(const struct rig *r, const struct fleet_total *t, const struct moments *s)
{
    uint64_t off = 0;

    for (uint64_t i = 0; i < r->fleet.layout.elements; i++) {
        double u = adam(s->m[i], s->v[i], (double)t->gradient[i], s->count + 1);
        double u64 = adam(s->m64[i], s->v64[i], r->sum64[i], s->count + 1);

        if (fabs(u - u64) > 1e-2 * fabs(u64) && !is_key_bias(&r->fleet.layout, i))
            off++;
    }
    return (double)off / (double)r->fleet.layout.parameters;
}

static void check(const struct rig *r, const struct fleet_total *t, const struct moments *s)
{
    double relative = error(r, t), off = updates_off(r, t, s);

    print_message("%s, %3u shards: error %.1e, %.4f %% of updates off by more than 1 %%, %.2f %% "
                  "of blocks escaped\n",
                  s->count == 1 ? "early" : "late ", r->shards, relative, 100 * off,
                  100 * (double)t->escapes / (double)r->fleet.layout.blocks);
    assert_true(relative <= 1e-6);
    assert_true(off <= 1e-3);
}

static void train(struct rig *r, const struct fleet_total *t, struct moments *s, float *weight)
{
    s->count++;
    for (uint64_t i = 0; i < r->fleet.layout.elements; i++) {
        double g = (double)t->gradient[i], g64 = r->sum64[i];

        weight[i] -= (float)(3e-3 * adam(s->m[i], s->v[i], g, s->count));
        s->m[i] = 0.9 * s->m[i] + 0.1 * g;
        s->v[i] = 0.95 * s->v[i] + 0.05 * g * g;
        s->m64[i] = 0.9 * s->m64[i] + 0.1 * g64;
        s->v64[i] = 0.95 * s->v64[i] + 0.05 * g64 * g64;
    }
}

static void near_float64_in_training(void **state)
{
    struct fixture_weights weights;
    struct mu_weights view;
    struct mu_device *device = fixture_device(MU_DEVICE_CPU, MU_PRECISION_FP32);
    struct moments s = {.count = 0};
    struct rig small, more[2];
    double first_loss = 0;
    uint64_t n;

    (void)state;
    assert_non_null(device);
    rig_open(&small, device, 8);
    rig_open(&more[0], device, 64);
    rig_open(&more[1], device, 256);
    weights = fixture_init(device, small.workload, 0);
    view = fixture_view(&weights);
    n = small.fleet.layout.elements;
    s.m = calloc(4 * n, sizeof *s.m);
    s.v = s.m + n;
    s.m64 = s.v + n;
    s.v64 = s.m64 + n;
    for (int step = 0; step < steps; step++) {
        struct fleet_total total = sum_step(&small, &view, step);

        if (step == 0)
            first_loss = small.loss;
        if (step == 1 || step == late) {
            check(&small, &total, &s);
            for (int i = 0; i < 2; i++) {
                /* learns from another batch first */
                struct fleet_total other = sum_step(&more[i], &view, 2 * step);

                fleet_total_close(&other);
                other = sum_step(&more[i], &view, 2 * step + 1);
                check(&more[i], &other, &s);
                fleet_total_close(&other);
            }
        }
        train(&small, &total, &s, weights.f32);
        fleet_total_close(&total);
    }
    print_message("loss %.2f to %.2f in %d steps; %.2f %% of %llu blocks escaped, %llu redos\n",
                  first_loss, small.loss, steps,
                  100 * (double)small.escapes / (steps - 1) / (double)small.fleet.layout.blocks,
                  (unsigned long long)small.fleet.layout.blocks, (unsigned long long)small.redos);
    assert_true(small.loss < first_loss - 0.5); /* or these are not gradients of training */
    assert_in_range(small.redos, 1, 2);
    free(s.m);
    fixture_free(device, &weights);
    rig_close(&small);
    rig_close(&more[0]);
    rig_close(&more[1]);
    mu_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(near_float64_in_training),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
