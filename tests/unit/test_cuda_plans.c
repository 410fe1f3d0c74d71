/* Which algorithm a matrix product has: on one rank, on another, after a restart; and what is
 * refused. On the stand-in of cuBLASLt, whose algorithms add in different orders. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/cuda/blas.h"
#include "kernels/emulate/blas_control.h"
#include "orchestrator/base/log.h"
#include "tests/support/seed.h"

enum { M = 5, N = 8, K = 40 };

/* Of the stand-in, as in NVIDIA's header. */
enum { INTERNAL_ERROR = 14, EXECUTION_FAILED = 13, GELU_AUX_BIAS = 32 | 128 | 4 };

static struct mu_blas *open_engine(bool tune)
{
    struct mu_blas_options options = {.tune = tune};
    struct mu_blas *blas;

    assert_int_equal(mu_blas_open(&options, &blas), MU_OK);
    return blas;
}

struct numbers {
    _Alignas(16) float a[M * K], b[N * K], c[M * N], bias[N], before[M * N];
};

/* Sums of numbers of very different size: another order has other bits in some of 40 sums. */
static void make_numbers(struct numbers *x)
{
    uint64_t state = seed;

    for (int i = 0; i < M * K + N * K; i++) {
        float *to = i < M * K ? &x->a[i] : &x->b[i - M * K];

        state = state * 6364136223846793005u + 1442695040888963407u;
        *to = ldexpf((float)((double)(state >> 40) * 0x1p-23 - 1.0), (int)(state >> 33 & 7));
    }
    memset(x->c, 0xff, sizeof x->c);
    memset(x->before, 0xff, sizeof x->before);
    for (int i = 0; i < N; i++)
        x->bias[i] = (float)i;
}

static struct mu_blas_product product_of(struct numbers *x, int64_t rows)
{
    return (struct mu_blas_product){
        .shape = {.m = rows, .n = N, .k = K, .lda = K, .ldb = K, .ldc = N, .b_is_nxk = true},
        .a = x->a,
        .b = x->b,
        .c = x->c,
        .bias = x->bias,
        .before = x->before};
}

static void run(struct mu_blas *blas, struct numbers *x, int64_t rows)
{
    struct mu_blas_product p = product_of(x, rows);

    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_OK);
}

struct written {
    void *bytes;
    size_t size;
};

static char refusal[256]; /* why a table was not taken */

static struct written write_plans(const struct mu_blas *blas)
{
    struct written w;

    assert_int_equal(mu_blas_plans_write(blas, &w.bytes, &w.size), MU_OK);
    return w;
}

static struct mu_hash hash_of(const struct mu_blas *blas)
{
    struct mu_hash hash;

    assert_int_equal(mu_blas_plans_hash(blas, &hash), MU_OK);
    return hash;
}

static void set_faults(struct mu_emulate_blas_faults faults)
{
    mu_emulate_blas_set_faults(&faults);
}

static int no_faults(void **state)
{
    (void)state;
    mu_log_reset_level();
    set_faults((struct mu_emulate_blas_faults){0});
    return 0;
}

static int refusals_expected(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

/* The library's first choice that repeats its bits, whatever else was chosen before. */
static void first_of_the_heuristics(void **state)
{
    struct mu_blas *one = open_engine(false), *other = open_engine(false);
    struct numbers x;
    struct written a, b;

    (void)state;
    make_numbers(&x);
    for (int64_t rows = 1; rows <= M; rows++) {
        run(one, &x, rows);
        run(other, &x, M + 1 - rows);
        run(one, &x, 1);
    }
    assert_int_equal(mu_emulate_blas_runs(MU_EMULATE_BLAS_SPLIT), 3 * M);
    assert_int_equal(mu_blas_plans_count(one), M);
    a = write_plans(one);
    b = write_plans(other);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.bytes, b.bytes, a.size);
    assert_true(mu_hash_equal(hash_of(one), hash_of(other)));
    free(a.bytes);
    free(b.bytes);
    mu_blas_close(one);
    mu_blas_close(other);
}

/* Where a tensor happens to lie is not part of the choice. */
static void not_of_addresses(void **state)
{
    static _Alignas(256) float bias[4 + N];
    struct mu_blas *engines[] = {open_engine(false), open_engine(false)};
    struct numbers x;
    struct mu_blas_product p = product_of(&x, M);

    (void)state;
    make_numbers(&x);
    p.shape.epilogue = MU_BLAS_BIAS;
    for (int i = 0; i < 2; i++) {
        p.bias = bias + 4 * i; /* aligned to 256 bytes; to 16 */
        assert_int_equal(mu_blas_run(engines[i], NULL, &p), MU_OK);
    }
    assert_true(mu_hash_equal(hash_of(engines[0]), hash_of(engines[1])));
    for (int i = 0; i < 2; i++)
        mu_blas_close(engines[i]);
}

/* The lowest rank tunes; a rank that reads its table runs the same algorithm, and has its bits; one
 * that does not would have had others, and another hash. */
static void tuned_by_one_for_all(void **state)
{
    struct mu_blas *lowest = open_engine(true), *follower = open_engine(false);
    struct mu_blas *alone = open_engine(false);
    struct numbers x, y, z;
    struct written table;

    (void)state;
    make_numbers(&x);
    make_numbers(&y);
    make_numbers(&z);
    set_faults((struct mu_emulate_blas_faults){
        .slow_us = {[MU_EMULATE_BLAS_SPLIT] = 2000, [MU_EMULATE_BLAS_FORWARD] = 2000}});
    run(lowest, &x, M);
    set_faults((struct mu_emulate_blas_faults){0});
    run(lowest, &x, M);
    assert_int_equal(mu_emulate_blas_runs(MU_EMULATE_BLAS_BACKWARD), 1); /* once is enough */
    table = write_plans(lowest);
    run(follower, &y, 1); /* what it chose itself goes */
    assert_int_equal(mu_blas_plans_read(follower, table.bytes, table.size, refusal, sizeof refusal),
                     MU_OK);
    assert_int_equal(mu_blas_plans_count(follower), 1);
    run(follower, &y, M);
    run(alone, &z, M);
    assert_int_equal(mu_emulate_blas_runs(MU_EMULATE_BLAS_BACKWARD), 2);
    assert_memory_equal(x.c, y.c, sizeof x.c);
    assert_true(memcmp(x.c, z.c, sizeof x.c) != 0);
    assert_true(mu_hash_equal(hash_of(lowest), hash_of(follower)));
    assert_false(mu_hash_equal(hash_of(lowest), hash_of(alone)));
    run(follower, &y, 1); /* not in the table: the first of the heuristics, and the hash says so */
    assert_false(mu_hash_equal(hash_of(lowest), hash_of(follower)));
    free(table.bytes);
    mu_blas_close(lowest);
    mu_blas_close(follower);
    mu_blas_close(alone);
}

/* Timing runs a product again and again: none of it shows where C is added to. */
static void tuning_leaves_no_trace(void **state)
{
    struct mu_blas *blas = open_engine(true);
    struct numbers x, y;
    struct mu_blas_product p = product_of(&x, M), plain = product_of(&y, M);

    (void)state;
    make_numbers(&x);
    make_numbers(&y);
    for (int i = 0; i < M * K; i++)
        x.a[i] = y.a[i] = (float)(i % 3); /* small integers: exact in any order */
    for (int i = 0; i < N * K; i++)
        x.b[i] = y.b[i] = (float)(i % 5);
    for (int i = 0; i < M * N; i++)
        x.c[i] = 1000;
    p.shape.accumulate = true;
    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_OK);
    assert_int_equal(mu_blas_run(blas, NULL, &plain), MU_OK);
    for (int i = 0; i < M * N; i++)
        assert_true(x.c[i] == 1000 + y.c[i]);
    mu_blas_close(blas);
}

/* The stand-in's first candidate, for who allows it, has other bits each time. */
static void never_in_place(void **state)
{
    struct mu_blas *engines[] = {open_engine(false), open_engine(true)};
    struct numbers x;

    (void)state;
    make_numbers(&x);
    for (int i = 0; i < 2; i++) {
        for (int64_t rows = 1; rows <= M; rows++)
            run(engines[i], &x, rows);
        mu_blas_close(engines[i]);
    }
    assert_int_equal(mu_emulate_blas_runs(MU_EMULATE_BLAS_IN_PLACE), 0);
    assert_true(mu_emulate_blas_runs(MU_EMULATE_BLAS_SPLIT) > M);
}

/* What the library lacks is a choice as well: a rank that reads it does not ask again. */
static void lacking_is_a_choice(void **state)
{
    struct mu_blas *lowest = open_engine(false), *follower = open_engine(false);
    struct numbers x;
    struct mu_blas_product p = product_of(&x, M);
    struct written table;
    bool done = true;

    (void)state;
    make_numbers(&x);
    p.shape.epilogue = MU_BLAS_BIAS_GELU;
    set_faults((struct mu_emulate_blas_faults){.lacks_epilogue = GELU_AUX_BIAS});
    assert_int_equal(mu_blas_try(lowest, NULL, &p, &done), MU_OK);
    assert_false(done);
    set_faults((struct mu_emulate_blas_faults){0});
    table = write_plans(lowest);
    assert_int_equal(mu_blas_plans_read(follower, table.bytes, table.size, refusal, sizeof refusal),
                     MU_OK);
    done = true;
    assert_int_equal(mu_blas_try(follower, NULL, &p, &done), MU_OK);
    assert_false(done);
    assert_int_equal(mu_blas_run(follower, NULL, &p), MU_FAILED);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mu_emulate_blas_runs((enum mu_emulate_blas_algorithm)i), 0);
    free(table.bytes);
    mu_blas_close(lowest);
    mu_blas_close(follower);
}

/* ---- what is refused, and leaves the table as it was ---- */
static void assert_refused(struct mu_blas *blas, const void *bytes, size_t size, enum mu_status why)
{
    struct mu_hash before = hash_of(blas);

    assert_int_equal(mu_blas_plans_read(blas, bytes, size, refusal, sizeof refusal), why);
    assert_true(mu_hash_equal(before, hash_of(blas)));
}

/* Makes the bytes whole again, as one who means harm, or another version, would. */
static void sign(struct written w)
{
    size_t body = w.size - 16;
    struct mu_hash hash = mu_hash_bytes(w.bytes, body, 0);
    const uint64_t words[] = {hash.high, hash.low};
    uint8_t *to = (uint8_t *)w.bytes + body;

    for (int i = 0; i < 16; i++)
        to[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
}

static void damage_is_refused(void **state)
{
    struct mu_blas *one = open_engine(false), *other = open_engine(false);
    struct numbers x;
    struct written table;

    (void)state;
    make_numbers(&x);
    run(one, &x, 1);
    run(one, &x, 2);
    run(other, &x, 3);
    table = write_plans(one);
    for (size_t i = 0; i < table.size; i++) {
        ((uint8_t *)table.bytes)[i] ^= 1;
        assert_refused(other, table.bytes, table.size, MU_CORRUPT);
        ((uint8_t *)table.bytes)[i] ^= 1;
        assert_refused(other, table.bytes, i, MU_CORRUPT);
    }
    assert_int_equal(mu_blas_plans_read(other, table.bytes, table.size, refusal, sizeof refusal),
                     MU_OK);
    free(table.bytes);
    mu_blas_close(one);
    mu_blas_close(other);
}

/* Signed, but what it says is not so: by where it stands in the header (blas_plans.c). */
static void foreign_is_refused(void **state)
{
    static const struct {
        size_t at;
        enum mu_status why;
    } wrong[] = {
        {0, MU_CONFIG},        /* magic */
        {4, MU_CONFIG},        /* version of the library */
        {12, MU_CONFIG},       /* compute capability, major */
        {16, MU_CONFIG},       /* minor */
        {20, MU_CONFIG},       /* multiprocessors */
        {24, MU_CONFIG},       /* workspace */
        {32, MU_CONFIG},       /* bf16 */
        {33, MU_CONFIG},       /* tf32 */
        {34, MU_CORRUPT},      /* plans: one less */
        {38 + 7, MU_CORRUPT},  /* of the plan: m, negative (with the mask below) */
        {38 + 24, MU_CORRUPT}, /* lda, less than k */
        {38 + 49, MU_CORRUPT}, /* epilogue */
    };
    static const uint8_t mask[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0x80, K, 0x40};
    struct mu_blas *one = open_engine(false), *other = open_engine(false);
    struct mu_emulate_blas_faults newer = {.version = 130200};
    struct numbers x;
    struct written table;

    (void)state;
    make_numbers(&x);
    run(one, &x, 1);
    run(other, &x, 3);
    table = write_plans(one);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t *at = (uint8_t *)table.bytes + wrong[i].at;

        *at ^= mask[i];
        sign(table);
        assert_refused(other, table.bytes, table.size, wrong[i].why);
        *at ^= mask[i];
        sign(table);
    }
    mu_emulate_blas_set_faults(&newer);
    assert_refused(other, table.bytes, table.size, MU_CONFIG);
    free(table.bytes);
    mu_blas_close(one);
    mu_blas_close(other);
}

/* An algorithm that the library does not take: told when it is to run. */
static void foreign_algorithm_is_refused(void **state)
{
    struct mu_blas *one = open_engine(false), *other = open_engine(false);
    struct numbers x;
    struct mu_blas_product p = product_of(&x, 1);
    struct written table;

    (void)state;
    make_numbers(&x);
    run(one, &x, 1);
    table = write_plans(one);
    ((uint8_t *)table.bytes)[38 + 51 + 8] = 99; /* its number, in the stand-in */
    sign(table);
    assert_int_equal(mu_blas_plans_read(other, table.bytes, table.size, refusal, sizeof refusal),
                     MU_OK);
    assert_int_equal(mu_blas_run(other, NULL, &p), MU_CONFIG);
    free(table.bytes);
    mu_blas_close(one);
    mu_blas_close(other);
}

/* ---- the library's errors ---- */
static void errors_are_told(void **state)
{
    struct mu_blas_options options = {0};
    struct mu_blas *blas = NULL;
    struct numbers x, y;
    struct mu_blas_product p = product_of(&x, M);

    (void)state;
    make_numbers(&x);
    make_numbers(&y);
    set_faults((struct mu_emulate_blas_faults){.create_status = INTERNAL_ERROR});
    assert_int_equal(mu_blas_open(&options, &blas), MU_CONFIG);
    blas = open_engine(false);
    set_faults((struct mu_emulate_blas_faults){.heuristic_status = INTERNAL_ERROR});
    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_FAILED);
    assert_int_equal(mu_blas_plans_count(blas), 0);
    set_faults((struct mu_emulate_blas_faults){.matmul_status = EXECUTION_FAILED});
    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_FAILED);
    assert_memory_equal(x.c, y.c, sizeof x.c); /* as poisoned */
    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_OK);
    assert_true(memcmp(x.c, y.c, sizeof x.c) != 0);
    mu_blas_close(blas);
    blas = open_engine(true); /* an error while timing */
    set_faults((struct mu_emulate_blas_faults){.matmul_status = EXECUTION_FAILED});
    assert_int_equal(mu_blas_run(blas, NULL, &p), MU_FAILED);
    assert_int_equal(mu_blas_plans_count(blas), 0);
    mu_blas_close(blas);
}

/* The same memory as long as it is enough; more at need; 2^50 bytes are not to be had, and the next
 * who asks for less gets it. */
static void scratch_grows(void **state)
{
    struct mu_blas *blas = open_engine(false);
    void *small, *same, *large;

    (void)state;
    assert_int_equal(mu_blas_scratch(blas, 1000, "this test", &small), MU_OK);
    assert_int_equal(mu_blas_scratch(blas, 10, "this test", &same), MU_OK);
    assert_ptr_equal(small, same);
    assert_int_equal(mu_blas_scratch(blas, 1 << 20, "this test", &large), MU_OK);
    assert_int_equal(mu_blas_scratch(blas, (int64_t)1 << 50, "this test", &large), MU_NO_MEMORY);
    assert_int_equal(mu_blas_scratch(blas, 1000, "this test", &large), MU_OK);
    mu_blas_close(blas);
}

/* Runs last: whoever made a descriptor above has destroyed it, errors or not. */
static void nothing_is_left(void **state)
{
    char version[64];

    (void)state;
    mu_blas_close(NULL);
    assert_int_equal(mu_emulate_blas_objects(), 0);
    mu_blas_version(version, sizeof version);
    assert_string_equal(version, "cuBLASLt 13.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(first_of_the_heuristics, no_faults),
        cmocka_unit_test_teardown(not_of_addresses, no_faults),
        cmocka_unit_test_teardown(tuned_by_one_for_all, no_faults),
        cmocka_unit_test_teardown(tuning_leaves_no_trace, no_faults),
        cmocka_unit_test_teardown(never_in_place, no_faults),
        cmocka_unit_test_setup_teardown(lacking_is_a_choice, refusals_expected, no_faults),
        cmocka_unit_test_setup_teardown(damage_is_refused, refusals_expected, no_faults),
        cmocka_unit_test_setup_teardown(foreign_is_refused, refusals_expected, no_faults),
        cmocka_unit_test_setup_teardown(foreign_algorithm_is_refused, refusals_expected, no_faults),
        cmocka_unit_test_setup_teardown(errors_are_told, refusals_expected, no_faults),
        cmocka_unit_test_setup_teardown(scratch_grows, refusals_expected, no_faults),
        cmocka_unit_test(nothing_is_left),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
