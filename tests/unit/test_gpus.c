/* core/gpus: who takes which GPU, as ranks see them. A GPU is written as a letter, what a rank sees
 * as a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/core/gpus.h"
#include "tests/support/seed.h"

enum { MOST = 12, SEEN = 8 };

struct fleet {
    struct mu_gpu_id id[MOST][SEEN];
    struct mu_gpu_sight sight[MOST];
    uint32_t ranks;
    int32_t taken[MOST];
};

static void look(struct fleet *f, const char *const *words)
{
    memset(f, 0, sizeof *f);
    for (; words[f->ranks]; f->ranks++) {
        uint32_t n = (uint32_t)strlen(words[f->ranks]);

        for (uint32_t i = 0; i < n; i++)
            f->id[f->ranks][i].byte[15] = (uint8_t)words[f->ranks][i];
        f->sight[f->ranks] = (struct mu_gpu_sight){f->id[f->ranks], n};
    }
}

/* A letter a rank, '-' for none. */
static void is_dealt(const char *const *words, bool share, const char *expected)
{
    struct fleet f;
    char got[MOST + 1] = "";

    look(&f, words);
    assert_int_equal(mu_gpus_deal(f.sight, f.ranks, share, f.taken), MU_OK);
    for (uint32_t r = 0; r < f.ranks; r++)
        got[r] = f.taken[r] == MU_GPU_NONE ? '-' : words[r][f.taken[r]];
    assert_string_equal(got, expected);
}
#define DEALT(expected, ...)  is_dealt((const char *const[]){__VA_ARGS__, NULL}, false, expected)
#define SHARED(expected, ...) is_dealt((const char *const[]){__VA_ARGS__, NULL}, true, expected)

static void all_see_the_same(void **state)
{
    (void)state;
    DEALT("abcd", "abcd", "abcd", "abcd", "abcd");
    DEALT("ba", "bacd", "bacd"); /* in the order that the visible ones have */
    DEALT("abxy", "ab", "ab", "xy", "xy");
    DEALT("axby", "ab", "xy", "ab", "xy"); /* two hosts, ranks in turn */
    DEALT("ab-", "ab", "ab", "ab");
    DEALT("-", "");
}

static void each_sees_one(void **state)
{
    (void)state;
    DEALT("abc", "a", "b", "c");
    DEALT("ba", "b", "a");
    DEALT("a-", "a", "a");
    DEALT("a-b-", "a", "a", "b", "b");
}

static void some_see_more(void **state)
{
    (void)state;
    DEALT("bcda", "abcd", "abcd", "abcd", "a");
    DEALT("ab", "ab", "b");
    DEALT("-ab", "", "ab", "ab");
    /* Taking the first free one is not enough here: the first moves on for the last. */
    DEALT("cba", "ac", "bc", "ab");
    DEALT("bcda", "ab", "bc", "cd", "ac");
}

static void shared(void **state)
{
    (void)state;
    SHARED("aaa", "a", "a", "a");
    SHARED("ababa", "ab", "ab", "ab", "ab", "ab");
    SHARED("-aa", "", "a", "a");
}

static void owners_are_found(void **state)
{
    struct fleet f;

    (void)state;
    look(&f, (const char *const[]){"b", "a", "a", "", "c", NULL});
    assert_int_equal(mu_gpus_deal(f.sight, f.ranks, false, f.taken), MU_OK);
    assert_int_equal(mu_gpus_owner(f.sight, f.ranks, f.taken, 2), 1);
    assert_int_equal(mu_gpus_owner(f.sight, f.ranks, f.taken, 0), 0);
    assert_int_equal(mu_gpus_owner(f.sight, f.ranks, f.taken, 3), f.ranks);
}

/* The most that any choice of each rank gives, by trying all. */
static int most(const uint32_t *sees, uint32_t ranks, uint32_t used)
{
    int best;

    if (ranks == 0)
        return 0;
    best = most(sees + 1, ranks - 1, used);
    for (uint32_t g = 0; g < 5; g++)
        if ((sees[0] >> g & 1) && !(used >> g & 1)) {
            int n = 1 + most(sees + 1, ranks - 1, used | 1u << g);

            best = n > best ? n : best;
        }
    return best;
}

static void nobody_is_left_out_who_need_not_be(void **state)
{
    (void)state;
    for (uint32_t trial = 0; trial < 3000; trial++) {
        struct mu_rng_words draw[2] = {mu_rng_draw(seed, MU_RNG_ORDER, trial, 0),
                                       mu_rng_draw(seed, MU_RNG_ORDER, trial, 1)};
        uint32_t ranks = 1 + draw[1].w[3] % 5, sees[5], used = 0;
        char word[5][6] = {{0}};
        const char *words[6] = {NULL};
        struct fleet f;
        int served = 0;

        for (uint32_t r = 0; r < ranks; r++) {
            uint32_t n = 0;

            sees[r] = draw[r / 3].w[r % 3] % 32;
            for (uint32_t g = 0; g < 5; g++)
                if (sees[r] >> g & 1)
                    word[r][n++] = (char)('a' + g);
            words[r] = word[r];
        }
        look(&f, words);
        assert_int_equal(mu_gpus_deal(f.sight, f.ranks, false, f.taken), MU_OK);
        for (uint32_t r = 0; r < ranks; r++) {
            uint32_t gpu;

            if (f.taken[r] == MU_GPU_NONE)
                continue;
            gpu = (uint32_t)(word[r][f.taken[r]] - 'a');
            assert_false(used >> gpu & 1);
            used |= 1u << gpu;
            served++;
        }
        assert_int_equal(served, most(sees, ranks, 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_see_the_same), cmocka_unit_test(each_sees_one),
        cmocka_unit_test(some_see_more),    cmocka_unit_test(shared),
        cmocka_unit_test(owners_are_found), cmocka_unit_test(nobody_is_left_out_who_need_not_be),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}
