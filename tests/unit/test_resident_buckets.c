/* The list of buckets: the same whoever makes it, a part of the layout's end, cut at tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "worker/resident_buckets.h"

enum { MOST = 400 };

/* Of GPT-2's shape: a table that rows are added to, and layers. */
static struct mu_layout layout_of(uint64_t vocabulary, uint64_t width, uint32_t layers)
{
    static const uint64_t rows[] = {3, 1, 4, 4}; /* qkv, projection, up, down: times width */
    static struct mu_tensor_spec specs[MOST];
    struct mu_layout layout;
    uint32_t n = 0;

    specs[n++] = (struct mu_tensor_spec){
        .name = "wte", .rows = vocabulary, .cols = width, .dense = true, .row_addends = 1};
    for (uint32_t i = 0; i < 4 * layers; i++) {
        specs[n] =
            (struct mu_tensor_spec){.rows = rows[i % 4] * width, .cols = width, .dense = true};
        snprintf(specs[n++].name, sizeof specs->name, "h.%u", i);
    }
    assert_true(n <= MOST);
    assert_int_equal(mu_layout_init(&layout, specs, n), MU_OK);
    return layout;
}

static void check(const struct mu_buckets *b, const struct mu_layout *l, uint64_t least)
{
    uint64_t end = l->elements;

    assert_true(b->count <= MU_BUCKETS_MAX);
    for (uint32_t i = 0; i < b->count; i++) {
        assert_true(b->first[i] > 0 && (i == 0 || b->first[i] < b->first[i - 1]));
        assert_int_equal(b->from[i], l->tensors[b->first[i]].offset);
        assert_true(end - b->from[i] >= least);
        end = b->from[i];
    }
}

static void buckets_are_large_and_few(void **state)
{
    static const struct {
        uint64_t vocabulary, width;
        uint32_t layers, buckets;
    } models[] = {
        /* In units of width^2 a layer is 3 + 1 + 4 + 4, and buckets grow from its end. At least 12.5
         * of 50 units: 4 + 4 + 1 + 3 + 4, then 4 + 1 + 3 + 4 + 4, then 1 + 3 + 4 + 4 + 1. */
        {256, 128, 4, 3},
        /* 124 M. At least 6.5 of 209: each 8, in turn 4 + 4, 1 + 3 + 4, and 4 + 1 + 3. */
        {50257, 768, 12, 18},
        /* 6.6 G. At least 12.2 of 392: 16 + 16 + 13 + 15 over five layers, six times, and 16. */
        {32000, 4096, 32, 25},
        {50257, 64, 1, 0}, /* most of it is the table */
    };

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct mu_layout l = layout_of(models[i].vocabulary, models[i].width, models[i].layers);
        struct mu_buckets b;

        mu_buckets_plan(&b, &l);
        check(&b, &l, l.elements / 4 < 1 << 21 ? l.elements / 4 : 1 << 21);
        assert_int_equal(b.count, models[i].buckets);
        mu_layout_deinit(&l);
    }
}

/* Rows are added at a shard's end: a tensor of that kind ends the list, wherever it stands. */
static void nothing_is_final_before_its_rows(void **state)
{
    static const struct mu_tensor_spec specs[] = {
        {.name = "a", .rows = 100, .cols = 100, .dense = true},
        {.name = "table", .rows = 100, .cols = 100, .row_addends = 1},
        {.name = "b", .rows = 100, .cols = 100, .dense = true},
        {.name = "c", .rows = 200, .cols = 100, .dense = true},
    };
    struct mu_layout l;
    struct mu_buckets b;

    (void)state;
    assert_int_equal(mu_layout_init(&l, specs, 4), MU_OK);
    mu_buckets_plan(&b, &l);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.first[0], 3);
    mu_layout_deinit(&l);
    assert_int_equal(mu_layout_init(&l, specs, 2), MU_OK);
    mu_buckets_plan(&b, &l);
    assert_int_equal(b.count, 0);
    mu_layout_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_large_and_few),
        cmocka_unit_test(nothing_is_final_before_its_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
