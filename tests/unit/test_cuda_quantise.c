/* Gradients to integers in kernels/cuda/, emulated: bit for bit what the reference says, over all
 * exponents that floats have and all quanta. */
#include "tests/support/cuda_compare.h"

#include "kernels/quantum.h"

enum { ROWS_MAX = 8, COLS_MAX = 1100, BLOCKS_MAX = ROWS_MAX * 5 };

struct trial {
    float gradient[ROWS_MAX * COLS_MAX];
    int32_t sum[ROWS_MAX * COLS_MAX];
    int16_t prediction[BLOCKS_MAX];
    uint8_t largest[BLOCKS_MAX], misfit[BLOCKS_MAX];
    struct mu_quantise q;
};

static uint64_t draw(uint64_t *random, uint64_t limit)
{
    return (uint64_t)((double)limit * 0.49999999 * (1 + (double)next_random(random)));
}

/* A value near what the block's integers can be: so many quanta, a half more or less, a few ulps
 * away; or any float at all, Inf and NaN among them. When it is to fit: up to the limit. */
static float awkward(uint64_t *random, int exponent, int32_t limit, bool fits)
{
    double at[] = {0, 0.5, 1, 1.5, 2.5, limit, limit - 0.5, limit + 0.5, limit + 1.0, 0x1p24};
    uint32_t bits = (uint32_t)draw(random, 1ull << 32);
    float x;

    if (exponent > 100) /* the quantum of a prediction that is at its end: any finite float */
        bits = (bits & 0x80000000u) | (bits & 0x7fffffffu) % 0x7f800000u;
    if (exponent > 100 || (!fits && draw(random, 200) == 0)) {
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    if (draw(random, 3) > 0)
        return (float)ldexp((double)next_random(random) * limit, exponent);
    x = (float)ldexp(at[draw(random, fits ? 7 : 10)], exponent);
    for (uint64_t ulps = fits ? 0 : draw(random, 3); ulps > 0; ulps--)
        x = nextafterf(x, bits & 1 ? INFINITY : 0);
    return bits & 2 ? -x : x;
}

static void make_trial(struct trial *t, uint64_t random)
{
    static const int64_t columns[] = {1, 3, 4, 31, 128, 255, 256, 257, 260, 513, 1024, 1099};
    struct mu_quantise *q = &t->q;
    int64_t blocks_per_row;

    memset(t, 0xff, sizeof *t);
    q->rows = 1 + (int64_t)draw(&random, ROWS_MAX);
    q->cols = columns[draw(&random, 12)];
    q->log2_addends = (int)draw(&random, 10);
    q->limit = INT32_MAX >> (q->log2_addends + (int)draw(&random, 16)); /* mostly a float */
    q->overwrite = draw(&random, 2);
    blocks_per_row = (q->cols + MU_BLOCK - 1) / MU_BLOCK;
    for (int64_t row = 0; row < q->rows; row++)
        for (int64_t col = 0; col < q->cols; col++) {
            int64_t block = row * blocks_per_row + col / MU_BLOCK;

            if (col % MU_BLOCK == 0) {
                static const int16_t ends[] = {INT16_MIN, -1200, 1024, INT16_MAX};
                uint64_t kind = draw(&random, 40);

                t->prediction[block] =
                    kind < 4 ? ends[kind] : (int16_t)((int)draw(&random, 2200) - 1200);
                t->largest[block] = (uint8_t)draw(&random, 256);
            }
            t->gradient[row * q->cols + col] =
                awkward(&random, mu_quantum_exponent(t->prediction[block], q->log2_addends),
                        q->limit, block % 2);
            t->sum[row * q->cols + col] = (int32_t)(uint32_t)draw(&random, 1ull << 32);
        }
}

static void point_to_itself(struct trial *t)
{
    t->q.gradient = t->gradient;
    t->q.sum = t->sum;
    t->q.prediction = t->prediction;
    t->q.largest = t->largest;
    t->q.misfit = t->misfit;
}

/* memcmp: what must not be touched is in the arrays too. */
static void bits_of_the_reference(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    struct mu_device *plain =
        open_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    struct trial *given = malloc(sizeof *given), *right = malloc(sizeof *right);
    struct trial *got = malloc(sizeof *got);
    int64_t misfits = 0, blocks = 0;

    (void)state;
    assert_true(given && right && got);
    for (uint64_t i = 0; i < 300; i++) {
        make_trial(given, seed + i);
        memcpy(right, given, sizeof *right);
        memcpy(got, given, sizeof *got);
        point_to_itself(right);
        point_to_itself(got);
        mu_emulate_set_order((enum mu_emulate_order)(i % 3), seed + i);
        plain->ops->quantise_add(plain, &right->q);
        cuda.ops->quantise_add(&cuda, &got->q);
        if (memcmp(got, right, offsetof(struct trial, q)) != 0)
            fail_msg("trial %llu of the seed: %lld rows of %lld", (unsigned long long)i,
                     (long long)given->q.rows, (long long)given->q.cols);
        for (int64_t b = 0; b < BLOCKS_MAX; b++) {
            misfits += right->misfit[b] == 1;
            blocks += right->misfit[b] <= 1;
        }
    }
    /* The inputs are worth the name: both kinds of block are common. */
    assert_true(misfits > blocks / 20 && misfits < blocks * 19 / 20);
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    mu_device_close(plain);
    free(given);
    free(right);
    free(got);
}

/* Every biased exponent once with every seventh quantum: scaling by 2^e in two steps. */
static void every_exponent(void **state)
{
    enum { N = 255 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    struct mu_device *plain =
        open_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    float g[N];
    int32_t sums[2][N];
    uint8_t largest[2][N], misfit[2][N];
    int16_t prediction[N];
    uint64_t random = seed;

    (void)state;
    for (int c = -160; c < 130; c += 7) {
        for (uint32_t i = 0; i < N; i++) {
            uint32_t bits = i << 23 | (uint32_t)draw(&random, 1u << 23);

            memcpy(&g[i], &bits, sizeof bits);
            prediction[i] = (int16_t)(8 * c);
        }
        for (int d = 0; d < 2; d++) {
            struct mu_device *device = d ? plain : &cuda;
            struct mu_quantise q = {g, sums[d],        N,    1,          prediction,
                                    6, INT32_MAX / 64, true, largest[d], misfit[d]};

            memset(largest[d], 0, N);
            memset(sums[d], 0xff, sizeof sums[d]);
            device->ops->quantise_add(device, &q);
        }
        assert_memory_equal(sums[0], sums[1], sizeof sums[0]);
        assert_memory_equal(largest[0], largest[1], N);
        assert_memory_equal(misfit[0], misfit[1], N);
    }
    mu_device_close(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_the_reference),
        cmocka_unit_test(every_exponent),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
