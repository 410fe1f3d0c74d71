/* core/layout: whatever the shapes, tensors lie one after the other, blocks partition the elements
 * of each row, chunks partition the blocks, spans cover each chunk; and the identity changes with
 * names and shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/core/layout.h"
#include "tests/support/seed.h"

enum { MOST_TENSORS = 9 };

static uint64_t draws;

static uint64_t below(uint64_t n)
{
    const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draws++);

    return mu_rng_below(n, x.w[0], x.w[1]);
}

/* Vectors, small and large matrices, rows on both sides of whole blocks, and now and then a tensor
 * of many chunks. */
static struct mu_tensor_spec any_spec(uint32_t i)
{
    struct mu_tensor_spec s = {.dense = below(4) != 0, .decay = below(2)};

    snprintf(s.name, sizeof s.name, "t%u", i);
    s.row_addends = (uint8_t)(s.dense ? below(2) : 1);
    switch (below(5)) {
    case 0:
        s.rows = 1;
        s.cols = 1 + below(2000);
        break;
    case 1:
        s.rows = 1 + below(5);
        s.cols = MU_BLOCK * (1 + below(4)) + below(3) - 1;
        break;
    case 2:
        s.rows = 1 + below(3000);
        s.cols = 1 + below(300);
        break;
    case 3:
        s.rows = 1 + below(3);
        s.cols = MU_CHUNK + below(3) - 1;
        break;
    default:
        s.rows = 1 + below(700);
        s.cols = 1 + below(2000);
    }
    return s;
}

static uint64_t align(uint64_t n)
{
    return (n + MU_TENSOR_ALIGN - 1) / MU_TENSOR_ALIGN * MU_TENSOR_ALIGN;
}

static void check_tensors(const struct mu_layout *l, const struct mu_tensor_spec *specs)
{
    uint64_t offset = 0, block = 0, parameters = 0;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        assert_memory_equal(&t->spec, &specs[i], sizeof t->spec);
        assert_true(t->offset == offset && t->first_block == block);
        assert_int_equal(t->blocks_per_row, (specs[i].cols + MU_BLOCK - 1) / MU_BLOCK);
        assert_int_equal(t->addends, specs[i].dense + specs[i].row_addends);
        parameters += specs[i].rows * specs[i].cols;
        offset += align(specs[i].rows * specs[i].cols);
        block += specs[i].rows * t->blocks_per_row;
    }
    assert_true(l->elements == offset && l->blocks == block && l->parameters == parameters);
}

/* Within a row, blocks follow each other without a gap, none crosses its end, and only the last is
 * short. */
static void check_blocks(const struct mu_tensor *t)
{
    uint64_t block = t->first_block;

    for (uint64_t row = 0; row < t->spec.rows; row++) {
        uint64_t next = t->offset + row * t->spec.cols, end = next + t->spec.cols;

        for (uint32_t b = 0; b < t->blocks_per_row; b++) {
            struct mu_block_range r = mu_layout_block(t, block++);

            assert_true(r.offset == next && r.count >= 1 && r.count <= MU_BLOCK);
            assert_true(r.count == MU_BLOCK || b + 1 == t->blocks_per_row);
            next += r.count;
        }
        assert_true(next == end);
    }
}

/* A span is whole blocks of one tensor. Returns its elements without pads. */
static uint64_t check_span(const struct mu_layout *l, const struct mu_span *s)
{
    const struct mu_tensor *t = &l->tensors[s->tensor];
    uint64_t last = s->first_block + s->block_count - 1;
    struct mu_block_range first = mu_layout_block(t, s->first_block),
                          end = mu_layout_block(t, last);

    assert_true(s->block_count > 0 && s->first_block >= t->first_block);
    assert_true(last < t->first_block + t->spec.rows * t->blocks_per_row);
    assert_true(s->offset == first.offset);
    assert_true(s->offset + s->count == end.offset + end.count);
    return s->count;
}

static void check_chunks(const struct mu_layout *l)
{
    uint64_t block = 0, filled;
    uint32_t span = 0;

    for (uint32_t i = 0; i < l->chunk_count; i++) {
        const struct mu_chunk *c = &l->chunks[i];
        const struct mu_span *last;

        assert_true(c->first_block == block && c->first_span == span && c->span_count > 0);
        assert_true(c->offset == l->spans[span].offset);
        filled = 0;
        for (uint32_t k = 0; k < c->span_count; k++, span++) {
            assert_true(l->spans[span].first_block == block);
            assert_true(k == 0 || l->spans[span].tensor == l->spans[span - 1].tensor + 1);
            filled += check_span(l, &l->spans[span]);
            block += l->spans[span].block_count;
        }
        last = &l->spans[span - 1];
        assert_true(c->offset + c->count == last->offset + last->count);
        assert_true(c->block_count == block - c->first_block);
        /* closed as soon as it is full, and not before; the last is what is left */
        assert_true(filled < MU_CHUNK + MU_BLOCK);
        assert_true(filled >= MU_CHUNK || i + 1 == l->chunk_count);
    }
    assert_true(block == l->blocks && span == l->span_count);
}

static void any_shapes_are_laid_out(void **state)
{
    (void)state;
    for (int k = 0; k < 300; k++) {
        uint32_t count = 1 + (uint32_t)below(MOST_TENSORS);
        struct mu_tensor_spec specs[MOST_TENSORS];
        struct mu_layout l;

        memset(specs, 0, sizeof specs);
        for (uint32_t i = 0; i < count; i++)
            specs[i] = any_spec(i);
        assert_int_equal(mu_layout_init(&l, specs, count), MU_OK);
        assert_int_equal(l.tensor_count, count);
        check_tensors(&l, specs);
        for (uint32_t i = 0; i < count; i++)
            check_blocks(&l.tensors[i]);
        check_chunks(&l);
        mu_layout_deinit(&l);
    }
}

static uint64_t identity(const struct mu_tensor_spec *specs, uint32_t count)
{
    struct mu_layout l;
    uint64_t id;

    assert_int_equal(mu_layout_init(&l, specs, count), MU_OK);
    id = mu_layout_identity(&l);
    mu_layout_deinit(&l);
    return id;
}

static void identity_is_names_and_shapes(void **state)
{
    const struct mu_tensor_spec specs[] = {{.name = "a", .rows = 8, .cols = 32, .dense = true},
                                           {.name = "b", .rows = 1, .cols = 100, .dense = true}};
    const uint64_t id = identity(specs, 2);
    struct mu_tensor_spec other[2];

    (void)state;
    assert_true(identity(specs, 2) == id);
    assert_true(identity(specs, 1) != id);
    for (int change = 0; change < 6; change++) {
        memcpy(other, specs, sizeof specs);
        switch (change) {
        case 0:
            strcpy(other[0].name, "c");
            break;
        case 1: /* as many elements */
            other[0].rows = 32;
            other[0].cols = 8;
            break;
        case 2:
            other[1].cols = 101; /* the same place, as pads are there */
            break;
        case 3:
            other[1].row_addends = 1;
            break;
        case 4:
            other[0] = specs[1];
            other[1] = specs[0];
            break;
        default:
            strcpy(other[0].name, "ab");
            strcpy(other[1].name, "");
        }
        assert_true(identity(other, 2) != id);
    }
}

static void impossible_shapes_are_refused(void **state)
{
    static const uint64_t shapes[][2] = {
        {0, 5},
        {5, 0},
        {UINT64_C(1) << 20, (UINT64_C(1) << 20) + 1},
        {UINT64_MAX, UINT64_MAX},
        {UINT64_C(1) << 63, 2},
        {(UINT64_C(1) << 40) + 1, 1},
    };
    struct mu_layout l;

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct mu_tensor_spec s = {
            .name = "x", .rows = shapes[i][0], .cols = shapes[i][1], .dense = true};

        assert_int_equal(mu_layout_init(&l, &s, 1), MU_CONFIG);
        assert_null(l.tensors);
    }
}

static void the_whole_is_bounded_too(void **state)
{
    struct mu_tensor_spec s[2] = {
        {.name = "x", .rows = UINT64_C(1) << 14, .cols = UINT64_C(1) << 26, .dense = true},
        {.name = "y", .rows = 1, .cols = 1, .dense = true}};
    struct mu_layout l;

    (void)state;
    assert_int_equal(mu_layout_init(&l, s, 2), MU_CONFIG); /* 2^40 and one more */
}

static int set_up_all(void **state)
{
    mu_log_set_level(MU_LOG_SILENT);
    return print_seed(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_shapes_are_laid_out),
        cmocka_unit_test(identity_is_names_and_shapes),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(the_whole_is_bounded_too),
    };

    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
