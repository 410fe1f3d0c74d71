/* Parameters of GPT-2's and Llama's published sizes, and of a shape counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/core/counting.h"

/* The released checkpoints of Radford et al. (2019): "124M", "355M", "774M", "1.5B". */
static void test_gpt2_sizes(void **state)
{
    const struct {
        struct mu_gpt_shape shape;
        uint64_t all;
    } sizes[] = {
        {{12, 768, 1024, 50257}, 124439808},
        {{24, 1024, 1024, 50257}, 354823168},
        {{36, 1280, 1024, 50257}, 774030080},
        {{48, 1600, 1024, 50257}, 1557611200},
    };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(mu_count_gpt(&sizes[i].shape).all, sizes[i].all);
}

static void test_conventions_differ_by_the_embeddings(void **state)
{
    const struct mu_gpt_shape shape = {12, 768, 1024, 50257};
    const struct mu_counts n = mu_count_gpt(&shape);

    (void)state;
    assert_int_equal(n.non_embedding_head - n.non_embedding, 50257 * 768);
    assert_int_equal(n.all - n.non_embedding_head, 1024 * 768);
    /* 12 L C^2 is Kaplan's estimate of the matrices; biases and norms are 13 L C + 2 C more */
    assert_int_equal(n.non_embedding, 12 * 12 * 768 * 768 + 13 * 12 * 768 + 2 * 768);
}

static void test_flops(void **state)
{
    const struct mu_gpt_shape shape = {2, 10, 5, 7};
    const struct mu_counts n = mu_count_gpt(&shape);
    const double attention = 12 * 2 * 10 * 5;

    (void)state;
    assert_int_equal(n.non_embedding, 2 * (12 * 100 + 13 * 10) + 20);
    assert_true(n.flops_non_embedding == 6 * 2680 + attention);
    assert_true(n.flops_non_embedding_head == 6 * (2680 + 70) + attention);
    assert_true(n.flops_all == 6 * (2680 + 70 + 50) + attention);
}

/* The sizes of Touvron et al. (2023), 7B, 13B and 65B, as released; these have a second matrix for
 * the head. */
static void test_llama_sizes(void **state)
{
    const struct {
        struct mu_llama_shape shape;
        uint64_t all;
    } sizes[] = {
        {{32, 4096, 11008, 2048, 32000}, 6738415616},
        {{40, 5120, 13824, 2048, 32000}, 13015864320},
        {{80, 8192, 22016, 2048, 32000}, 65285660672},
    };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const struct mu_counts n = mu_count_llama(&sizes[i].shape);
        const uint64_t head = 32000 * sizes[i].shape.width;

        assert_int_equal(n.all + head, sizes[i].all);
        assert_int_equal(n.non_embedding_head, n.all);
        assert_int_equal(n.non_embedding + 2 * head, sizes[i].all);
    }
}

static void test_llama_flops(void **state)
{
    const struct mu_llama_shape shape = {2, 10, 27, 5, 7};
    const struct mu_counts n = mu_count_llama(&shape);
    const double attention = 12 * 2 * 10 * 5;

    (void)state;
    assert_int_equal(n.non_embedding, 2 * (4 * 100 + 3 * 270 + 20) + 10);
    assert_true(n.flops_non_embedding == 6 * 2470 + attention);
    assert_true(n.flops_non_embedding_head == 6 * (2470 + 70) + attention);
    assert_true(n.flops_all == n.flops_non_embedding_head);
}

static void test_real_numbers_of_whole_ones(void **state)
{
    const struct mu_gpt_shape shape = {48, 1600, 1024, 50257};
    const struct mu_counts n = mu_count_gpt(&shape);

    (void)state;
    assert_true(mu_count_parameters(48, 1600, 0) == (double)n.non_embedding);
    assert_true(mu_count_parameters(48, 1600, 50257) == (double)n.non_embedding_head);
    assert_true(mu_count_parameters(48, 1600, 50257 + 1024) == (double)n.all);
    /* halfway between two layers of width 2: 12 x 4 + 13 x 2 each, 2 x 2 after the last */
    assert_true(mu_count_parameters(1.5, 2, 0) == 1.5 * 74 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt2_sizes),
        cmocka_unit_test(test_conventions_differ_by_the_embeddings),
        cmocka_unit_test(test_flops),
        cmocka_unit_test(test_llama_sizes),
        cmocka_unit_test(test_llama_flops),
        cmocka_unit_test(test_real_numbers_of_whole_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
