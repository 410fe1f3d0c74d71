/* From logits to a token, and from tokens to text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/generate/sample.h"
#include "orchestrator/generate/text.h"

/* ---- drawing --------------------------------------------------------------------------------- */

enum { COUNT = 6, DRAWS = 40000 };
static const float logits[COUNT] = {0.5f, -1.0f, 2.0f, 0.5f, -30.0f, 1.0f};

static int32_t draw(struct mu_sampling s, uint64_t place)
{
    int32_t token = -1;

    assert_int_equal(mu_sample(&s, logits, COUNT, place, &token), MU_OK);
    assert_true(token >= 0 && token < COUNT);
    return token;
}

/* How often each was drawn, against softmax(logits / temperature) over `admitted`: within five
 * standard deviations of a binomial. */
static void check_frequencies(struct mu_sampling s, const bool admitted[COUNT])
{
    int seen[COUNT] = {0};
    double sum = 0;

    for (int i = 0; i < DRAWS; i++)
        seen[draw(s, (uint64_t)i)]++;
    for (int t = 0; t < COUNT; t++)
        sum += admitted[t] ? exp((double)logits[t] / s.temperature) : 0;
    for (int t = 0; t < COUNT; t++) {
        const double p = admitted[t] ? exp((double)logits[t] / s.temperature) / sum : 0;

        assert_true(fabs(seen[t] - DRAWS * p) <= 5 * sqrt(DRAWS * p * (1 - p)) + 0.5);
    }
}

static void frequencies_are_those_of_softmax(void **state)
{
    static const bool all[COUNT] = {true, true, true, true, true, true};
    static const bool three[COUNT] = {true, false, true, false, false, true}; /* the lower of two */

    (void)state;
    check_frequencies((struct mu_sampling){.temperature = 1, .seed = 5}, all);
    check_frequencies((struct mu_sampling){.temperature = 0.5, .seed = 6}, all);
    check_frequencies((struct mu_sampling){.temperature = 2, .seed = 7, .top_k = COUNT + 1}, all);
    check_frequencies((struct mu_sampling){.temperature = 2, .seed = 8, .top_k = 3}, three);
}

static void the_likeliest(void **state)
{
    const float equal[3] = {-0.0f, 0.0f, -0.0f}, odd[3] = {-INFINITY, -5, -INFINITY};
    int32_t token;

    (void)state;
    for (uint64_t place = 0; place < 50; place++) {
        assert_int_equal(draw((struct mu_sampling){.temperature = 0, .seed = place}, place), 2);
        assert_int_equal(draw((struct mu_sampling){.temperature = 9, .top_k = 1}, place), 2);
        assert_int_equal(draw((struct mu_sampling){.temperature = 1e-6}, place), 2);
    }
    assert_int_equal(mu_sample(&(struct mu_sampling){0}, equal, 3, 0, &token), MU_OK);
    assert_int_equal(token, 0);
    assert_int_equal(mu_sample(&(struct mu_sampling){1, 1, 3}, equal, 3, 0, &token), MU_OK);
    assert_int_equal(token, 0);
    assert_int_equal(mu_sample(&(struct mu_sampling){1, 0, 3}, odd, 3, 0, &token), MU_OK);
    assert_int_equal(token, 1);
}

/* By seed and place alone. */
static void draws_have_no_memory(void **state)
{
    int differ_by_seed = 0, differ_by_place = 0;

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        const struct mu_sampling s = {.temperature = 1, .seed = 11},
                                 other = {.temperature = 1, .seed = 12};

        assert_int_equal(draw(s, i), draw(s, i));
        differ_by_seed += draw(s, i) != draw(other, i);
        differ_by_place += draw(s, i) != draw(s, i + 1);
    }
    assert_true(differ_by_seed > 50 && differ_by_place > 50);
}

static void what_is_no_number(void **state)
{
    const float with_nan[2] = {1, NAN}, with_infinity[2] = {INFINITY, 1};
    int32_t token;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_sample(&(struct mu_sampling){1, 0, 1}, with_nan, 2, 0, &token), MU_FAILED);
    assert_int_equal(mu_sample(&(struct mu_sampling){0}, with_infinity, 2, 0, &token), MU_FAILED);
    mu_log_reset_level();
}

/* ---- text ------------------------------------------------------------------------------------ */

#define BAD "\xef\xbf\xbd"

/* However the bytes come: all at once, or each alone. */
static void check_text(const char *bytes, const char *expected)
{
    for (int each = 0; each < 2; each++) {
        struct mu_text t = {0};
        char out[256];
        size_t n = 0;

        for (const char *at = bytes; each && *at; at++)
            n += mu_text_take(&t, (const uint8_t *)at, 1, out + n);
        if (!each)
            n = mu_text_take(&t, (const uint8_t *)bytes, strlen(bytes), out);
        assert_true(n <= MU_TEXT_ROOM(strlen(bytes)));
        out[n] = 0;
        assert_string_equal(out, expected);
        assert_int_equal(t.on_line, n > 0 && out[n - 1] != '\n');
    }
}

static void characters_are_whole(void **state)
{
    (void)state;
    check_text("", "");
    check_text("plain\ttext\n", "plain\ttext\n");
    check_text("gr\xc3\xbc\xc3\x9f, \xe2\x82\xac \xf0\x9f\x8c\xb1",
               "gr\xc3\xbc\xc3\x9f, \xe2\x82\xac \xf0\x9f\x8c\xb1");
    check_text("cut \xe2\x82", "cut ");
    check_text("cut \xf0\x9f\x8c", "cut ");
}

/* The cases of the Unicode standard, chapter 3.9: tables 3-8 to 3-11. */
static void what_is_none_is_replaced(void **state)
{
    (void)state;
    check_text("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
               "A",
               BAD BAD BAD BAD BAD BAD BAD BAD "A");
    check_text("\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
               "A",
               BAD BAD BAD BAD BAD BAD BAD BAD "A");
    check_text("\xf4\x91\x92\x93\xff"
               "A\x80\xbf"
               "B",
               BAD BAD BAD BAD BAD "A" BAD BAD "B");
    check_text("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
               "A",
               BAD BAD BAD BAD "A");
    check_text("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

/* They would move the cursor, ring the bell, change colours. */
static void controls_are_replaced(void **state)
{
    (void)state;
    check_text("\x1b[31m\a\r\x7f\b", BAD "[31m" BAD BAD BAD BAD);
    check_text("\xc2\x9b"
               "31m\xc2\xa0",
               BAD "31m\xc2\xa0");
}

static void raw_bytes_go_through(void **state)
{
    static const uint8_t bytes[] = {0, 0x1b, 0xff, 0xe2, 'A'};
    struct mu_text t = {.raw = true};
    char out[MU_TEXT_ROOM(sizeof bytes)];

    (void)state;
    assert_int_equal(mu_text_take(&t, bytes, sizeof bytes, out), sizeof bytes);
    assert_memory_equal(out, bytes, sizeof bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_those_of_softmax),
        cmocka_unit_test(the_likeliest),
        cmocka_unit_test(draws_have_no_memory),
        cmocka_unit_test(what_is_no_number),
        cmocka_unit_test(characters_are_whole),
        cmocka_unit_test(what_is_none_is_replaced),
        cmocka_unit_test(controls_are_replaced),
        cmocka_unit_test(raw_bytes_go_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
