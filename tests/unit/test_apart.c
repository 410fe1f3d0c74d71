/* Workloads over a device whose memory the host cannot touch: gradients and losses have the bits
 * that the wrapped device gives alone. And the wrapper (tests/support/apart_device.h) sees
 * mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "tests/support/gpt_fixture.h"

static char folder[] = "/tmp/muster-apart-XXXXXX";

static int make_folder(void **state)
{
    char path[128];

    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/train.tok", folder);
    if (!fixture_write(path, 13, 200))
        return -1;
    snprintf(path, sizeof path, "%s/valid.tok", folder);
    return fixture_write(path, 13, 100) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* ---- mistakes -------------------------------------------------------------------------------- */

enum mistake { NONE, HOST_READS, HOST_WRITES, HOST_MEMORY_TO_OPERATION, BEYOND_THE_END };

static void make_mistake(struct mu_device *d, enum mistake m)
{
    volatile float *own = mu_device_alloc(d, 64 * sizeof(float));
    float *lent = mu_device_alloc_lent(d, 64 * sizeof(float)), host[64] = {0};
    float *device = (float *)(uintptr_t)own;

    if (m == HOST_READS)
        host[0] = own[3];
    if (m == HOST_WRITES)
        own[3] = 1;
    if (m == HOST_MEMORY_TO_OPERATION)
        d->ops->add(d, device, host, 64, false);
    if (m == BEYOND_THE_END)
        d->ops->add(d, device, lent, 65, false);
    lent[5] = 2;
    d->ops->add(d, device, lent, 64, true);
    mu_device_download(d, host, device, sizeof host);
    _exit(host[5] == 2 && host[6] == 0 ? 0 : 1);
}

/* How a child ends that makes it. */
static int end_of(enum mistake m)
{
    struct mu_device *d = apart_wrap(fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32));
    const struct rlimit no_core = {0, 0};
    int end = 0;
    pid_t child = fork();

    if (child == 0) {
        mu_log_set_level(MU_LOG_SILENT);
        setrlimit(RLIMIT_CORE, &no_core);
        for (int i = 1; i < NSIG; i++)
            signal(i, SIG_DFL); /* cmocka's, and those of a sanitizer */
        make_mistake(d, m);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &end, 0), child);
    mu_device_close(d);
    return end;
}

static void mistakes_are_seen(void **state)
{
    (void)state;
    assert_int_equal(end_of(NONE), 0);
    assert_int_equal(WTERMSIG(end_of(HOST_READS)), SIGSEGV);
    assert_int_equal(WTERMSIG(end_of(HOST_WRITES)), SIGSEGV);
    assert_int_equal(WTERMSIG(end_of(HOST_MEMORY_TO_OPERATION)), SIGABRT);
    assert_int_equal(WTERMSIG(end_of(BEYOND_THE_END)), SIGABRT);
}

/* ---- workloads ------------------------------------------------------------------------------- */

/* What came out of a device: all gradients of two steps, losses of all pieces. */
struct outcome {
    float *gradient; /* 2 steps x shards x elements; what no shard has touched is 0 */
    double loss[64]; /* shards, then pieces */
    uint32_t losses;
    uint64_t bytes;
};

/* Dense parts and rows where they belong in the layout; rows are added, and may be none. */
static void keep_gradient(struct mu_device *d, const struct mu_layout *l,
                          const struct mu_shard_result *g, float *to)
{
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        if (t->spec.dense)
            mu_device_download(d, to + t->offset, g->dense + t->offset,
                               t->spec.rows * t->spec.cols * sizeof *to);
    }
    for (uint32_t k = 0; k < g->row_count; k++) {
        const struct mu_tensor *t = &l->tensors[g->rows[k].tensor];
        float row[1024];

        assert_true(t->spec.cols <= 1024);
        for (uint32_t j = 0; j < g->rows[k].count; j++) {
            mu_device_download(d, row, g->rows[k].value + j * t->spec.cols,
                               t->spec.cols * sizeof *row);
            for (uint64_t c = 0; c < t->spec.cols; c++)
                to[t->offset + g->rows[k].row[j] * t->spec.cols + c] += row[c];
        }
    }
}

/* Weights in the device's own memory, so that a workload which reads them is seen. */
static struct mu_weights own_weights(struct mu_device *d, const struct mu_workload *w,
                                     const struct fixture_weights *x)
{
    const uint64_t n = w->layout.elements;
    float *f32 = mu_device_alloc(d, n * sizeof *f32);
    uint16_t *bf16 = mu_device_alloc(d, n * sizeof *bf16);

    mu_device_upload(d, f32, x->f32, n * sizeof *f32);
    mu_device_upload(d, bf16, x->bf16, n * sizeof *bf16);
    return (struct mu_weights){.f32 = f32, .bf16 = bf16};
}

static struct outcome compute(const struct mu_settings *s, struct mu_device *d,
                              enum mu_precision precision)
{
    struct mu_device *host = fixture_device(MU_DEVICE_REFERENCE, precision);
    struct outcome out = {.gradient = NULL};
    struct fixture_weights initial;
    struct mu_weights weights;
    struct mu_workload *w;
    uint64_t n;

    assert_int_equal(mu_workload_open(s, d, &w), MU_OK);
    n = w->layout.elements;
    initial = fixture_init(host, w, 0.2);
    weights = own_weights(d, w, &initial);
    out.bytes = 2 * w->facts.shards * n * sizeof(float);
    out.gradient = calloc(1, out.bytes);
    for (uint32_t k = 0; k < 2 * w->facts.shards; k++) {
        uint32_t shards = (uint32_t)w->facts.shards;
        struct mu_shard_result g;

        assert_int_equal(w->ops->shard_gradient(w, &weights, k / shards, k % shards, &g), MU_OK);
        keep_gradient(d, &w->layout, &g, out.gradient + k * n);
        out.loss[out.losses++] = g.loss_nats;
    }
    for (uint64_t p = 0; p < w->facts.eval_pieces; p++) {
        struct mu_piece_result r;

        assert_int_equal(w->ops->evaluate(w, &weights, 2, p, &r), MU_OK);
        out.loss[out.losses++] = r.loss_nats;
    }
    mu_device_free(d, (void *)(uintptr_t)weights.f32);
    mu_device_free(d, (void *)(uintptr_t)weights.bf16);
    fixture_free(host, &initial);
    mu_device_close(host);
    mu_workload_close(w);
    mu_device_close(d);
    return out;
}

static void check_same(const struct mu_settings *s, enum mu_device_kind kind,
                       enum mu_precision precision)
{
    struct mu_device *plain, *apart;
    struct outcome a, b;
    bool is_zero = true;

    mu_log_set_level(MU_LOG_SILENT);
    plain = fixture_device(kind, precision);
    apart = fixture_device(kind, precision);
    mu_log_set_level(MU_LOG_INFO);
    if (plain == NULL || apart == NULL) {
        print_message("no such device here\n");
        skip();
    }
    a = compute(s, plain, precision);
    b = compute(s, apart_wrap(apart), precision);
    assert_true(a.losses == b.losses && a.losses > 6);
    assert_memory_equal(a.loss, b.loss, a.losses * sizeof *a.loss);
    assert_memory_equal(a.gradient, b.gradient, a.bytes);
    for (uint64_t i = 0; i < a.bytes / sizeof *a.gradient; i++)
        is_zero = is_zero && a.gradient[i] == 0;
    assert_false(is_zero);
    free(a.gradient);
    free(b.gradient);
}

static void gpt_is_the_same_in_fp32(void **state)
{
    const struct mu_settings s = fixture_settings(folder);

    (void)state;
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    check_same(&s, MU_DEVICE_CPU, MU_PRECISION_FP32);
}

static void gpt_is_the_same_in_bf16(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    s.batch_micro = 4; /* a shard is one micro-batch */
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_BF16);
    check_same(&s, MU_DEVICE_CPU, MU_PRECISION_BF16);
}

static void synthetic_is_the_same(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    s.model_kind = MU_MODEL_SYNTHETIC;
    s.synthetic_e = 1.69;
    s.synthetic_params = 1000000;
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_seen),
        cmocka_unit_test(gpt_is_the_same_in_fp32),
        cmocka_unit_test(gpt_is_the_same_in_bf16),
        cmocka_unit_test(synthetic_is_the_same),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
