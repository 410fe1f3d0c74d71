/* worker/fast_sum: a rank's sum in plain float addition: the shards in order, element by element,
 * rows where they belong; what the memory held before does not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "tests/support/fleet_sum.h"
#include "worker/fast_sum.h"

enum { SHARDS = 5, ROWS = 6, COLS = 70 };

/* A matrix, a tied embedding (dense and rows), an untied one (rows only). */
static const struct mu_tensor_spec specs[] = {
    {.name = "w", .rows = 3, .cols = 300, .dense = true},
    {.name = "tied", .rows = ROWS, .cols = COLS, .dense = true, .row_addends = 1},
    {.name = "untied", .rows = ROWS, .cols = COLS, .row_addends = 1},
};

static float any(uint64_t i)
{
    return (float)mu_rng_normal(mu_rng_draw(5, MU_RNG_SYNTHETIC, 0, i).w[0]);
}

struct shard {
    float *dense;
    uint32_t row[2][3];
    float value[2][3 * COLS];
    struct mu_shard_result result;
};

/* Shard s touches rows s % 3, s % 3 + 1 and 5 of both embeddings. */
static void make_shard(struct shard *s, const struct mu_layout *l, uint32_t number)
{
    s->dense = fleet_garbage(l->elements * sizeof(float));
    for (uint64_t i = 0; i < l->elements; i++)
        s->dense[i] = any(number * l->elements + i);
    s->result = (struct mu_shard_result){.dense = s->dense, .row_count = 2};
    for (uint32_t k = 0; k < 2; k++) {
        s->row[k][0] = number % 3;
        s->row[k][1] = number % 3 + 1;
        s->row[k][2] = 5;
        for (uint64_t i = 0; i < 3 * (uint64_t)COLS; i++)
            s->value[k][i] = any((1000 + number) * l->elements + k * 3 * COLS + i);
        s->result.rows[k] = (struct mu_row_gradient){
            .tensor = 1 + k, .count = 3, .row = s->row[k], .value = s->value[k]};
    }
}

/* The same, written down element by element. */
static float expected(const struct shard *shards, const struct mu_layout *l, uint32_t tensor,
                      uint64_t element)
{
    const struct mu_tensor *t = &l->tensors[tensor];
    uint64_t row = element / t->spec.cols, col = element % t->spec.cols;
    float sum = 0;

    for (uint32_t s = 0; s < SHARDS; s++) {
        if (t->spec.dense)
            sum = s == 0 ? shards[s].dense[t->offset + element]
                         : sum + shards[s].dense[t->offset + element];
        for (uint32_t j = 0; tensor > 0 && j < 3; j++)
            if (shards[s].row[tensor - 1][j] == row)
                sum += shards[s].value[tensor - 1][j * COLS + col];
    }
    return sum;
}

static void check(enum mu_device_kind kind)
{
    struct shard shards[SHARDS];
    const float *sum;
    struct fleet f;

    fleet_open(&f, specs, 3, SHARDS, kind);
    sum = (const float *)(const void *)f.sum[0].dense;
    for (uint32_t s = 0; s < SHARDS; s++)
        make_shard(&shards[s], &f.layout, s);
    for (int again = 0; again < 2; again++) /* the second time over what the first left */
        for (uint32_t s = 0; s < SHARDS; s++)
            mu_fast_sum_add(&f.exact, &f.sum[0], &shards[s].result, s == 0);
    for (uint32_t t = 0; t < 3; t++)
        for (uint64_t e = 0; e < specs[t].rows * specs[t].cols; e++)
            assert_true(sum[f.layout.tensors[t].offset + e] == expected(shards, &f.layout, t, e));
    for (uint32_t s = 0; s < SHARDS; s++)
        free(shards[s].dense);
    fleet_close(&f);
}

static void in_the_order_of_shards_on_the_reference(void **state)
{
    (void)state;
    check(MU_DEVICE_REFERENCE);
}

static void in_the_order_of_shards_on_the_cpu(void **state)
{
    (void)state;
    check(MU_DEVICE_CPU);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_order_of_shards_on_the_reference),
        cmocka_unit_test(in_the_order_of_shards_on_the_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
