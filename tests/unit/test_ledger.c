/* core/ledger, run/goodput: every second is exactly one kind, whatever the sequence, and what is
 * told, merged, rounded and written still adds up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/core/ledger.h"
#include "orchestrator/run/goodput.h"

enum { SEQUENCES = 300 };
static const uint64_t s_us = 1000000;

static uint64_t draws;
static uint32_t draw(uint32_t n)
{
    return mu_rng_draw(42, MU_RNG_SYNTHETIC, 0x1ed6e4, draws++).w[0] % n;
}

static uint64_t total_ns(const struct mu_ledger *l)
{
    uint64_t total = 0;

    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        total += l->ns[k];
    return total;
}

static struct mu_ledger_sum random_sum(uint32_t most_us)
{
    struct mu_ledger_sum s;

    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        s.us[k] = draw(4) == 0 ? 0 : draw(most_us);
    for (int e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        s.events[e] = draw(100);
    return s;
}

static void a_stretch_counts_as_what_it_was_entered_as(void **state)
{
    struct mu_ledger l;
    enum mu_ledger_kind before;

    (void)state;
    mu_ledger_start(&l, MU_LEDGER_RECOVER, 100);
    assert_int_equal(mu_ledger_enter(&l, MU_LEDGER_COMPUTE, 150), MU_LEDGER_RECOVER);
    before = mu_ledger_enter(&l, MU_LEDGER_WAIT, 1150);
    assert_int_equal(mu_ledger_enter(&l, before, 1180), MU_LEDGER_WAIT);
    mu_ledger_enter(&l, MU_LEDGER_IDLE, 3000);
    assert_int_equal(l.ns[MU_LEDGER_RECOVER], 50);
    assert_int_equal(l.ns[MU_LEDGER_WAIT], 30);
    assert_int_equal(l.ns[MU_LEDGER_COMPUTE], 1000 + 1820);
    assert_int_equal(total_ns(&l), 2900);
}

static void waiting_in_a_save_is_the_save(void **state)
{
    struct mu_ledger l;
    enum mu_ledger_kind before;

    (void)state;
    mu_ledger_start(&l, MU_LEDGER_CHECKPOINT, 0);
    before = mu_ledger_enter_at_work(&l, MU_LEDGER_WAIT, 10);
    mu_ledger_enter(&l, before, 30);
    mu_ledger_enter(&l, MU_LEDGER_COMPUTE, 60);
    before = mu_ledger_enter_at_work(&l, MU_LEDGER_WAIT, 100);
    mu_ledger_enter(&l, before, 130);
    assert_int_equal(l.ns[MU_LEDGER_CHECKPOINT], 60);
    assert_int_equal(l.ns[MU_LEDGER_COMPUTE], 40);
    assert_int_equal(l.ns[MU_LEDGER_WAIT], 30);
}

static void time_that_goes_back_adds_nothing(void **state)
{
    struct mu_ledger l;

    (void)state;
    mu_ledger_start(&l, MU_LEDGER_COMPUTE, 1000);
    mu_ledger_enter(&l, MU_LEDGER_WAIT, 5000);
    mu_ledger_enter(&l, MU_LEDGER_COMPUTE, 4000); /* taken before, passed after */
    mu_ledger_enter(&l, MU_LEDGER_IDLE, 6000);
    assert_int_equal(l.ns[MU_LEDGER_COMPUTE], 5000);
    assert_int_equal(l.ns[MU_LEDGER_WAIT], 0);
}

/* Random kinds, stretches of 0 ns to 4 s, told now and then, some of it never heard: what was told
 * and what is left are all the time there was. */
static void random_sequences_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < SEQUENCES; i++) {
        struct mu_ledger l;
        struct mu_ledger_sum all = {{0}, {0}};
        uint64_t began = draw(1000000), now = began, counted = 0;

        mu_ledger_start(&l, (enum mu_ledger_kind)draw(MU_LEDGER_KIND_COUNT), began);
        for (int n = 0; n < 200; n++) {
            now += draw(3) ? draw(2000) : draw(4000000000u);
            mu_ledger_enter(&l, (enum mu_ledger_kind)draw(MU_LEDGER_KIND_COUNT), now);
            if (draw(5) == 0) {
                mu_ledger_count(&l, MU_LEDGER_SHARDS_REDONE, 3);
                counted += 3;
            }
            if (draw(10) == 0) {
                struct mu_ledger_sum told = mu_ledger_told(&l, now += draw(5000));

                if (draw(4) == 0)
                    continue; /* the round failed: told again the next time */
                mu_ledger_add(&all, &told);
                mu_ledger_forget(&l, &told, now += draw(5000));
            }
        }
        mu_ledger_enter(&l, l.kind, now);
        assert_int_equal(1000 * mu_ledger_total_us(&all) + total_ns(&l), now - began);
        assert_int_equal(all.events[MU_LEDGER_SHARDS_REDONE] + l.events[MU_LEDGER_SHARDS_REDONE],
                         counted);
    }
}

/* Each share within a tenth of the truth, and the whole exactly 100.0 %. */
static void shares_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct mu_ledger_sum s = random_sum(i % 2 ? 7 : 4000000000u);
        uint64_t total = mu_ledger_total_us(&s);
        unsigned share[MU_LEDGER_KIND_COUNT], sum = 0;

        mu_ledger_shares(&s, share);
        for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++) {
            double exact = total ? 1000.0 * (double)s.us[k] / (double)total : 0;

            sum += share[k];
            assert_true((double)share[k] < exact + 1 && (double)share[k] > exact - 1);
        }
        assert_int_equal(sum, total ? 1000 : 0);
    }
}

static void shares_of_a_fleet_do_not_overflow(void **state)
{
    struct mu_ledger_sum s = {.us = {[MU_LEDGER_COMPUTE] = UINT64_C(9000000000000000000),
                                     [MU_LEDGER_WAIT] = UINT64_C(1000000000000000000)}};
    unsigned share[MU_LEDGER_KIND_COUNT];

    (void)state;
    mu_ledger_shares(&s, share);
    assert_int_equal(share[MU_LEDGER_COMPUTE], 900);
    assert_int_equal(share[MU_LEDGER_WAIT], 100);
}

static void it_goes_over_the_wire(void **state)
{
    uint8_t bytes[MU_LEDGER_WIRE_BYTES];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct mu_ledger_sum s = random_sum(4000000000u), got;
    struct mu_wire_reader r;

    (void)state;
    mu_ledger_put(&w, &s);
    assert_true(w.ok);
    assert_int_equal(w.size, sizeof bytes);
    r = mu_wire_read(bytes, sizeof bytes);
    mu_ledger_get(&r, &got);
    assert_true(mu_wire_finished(&r));
    assert_memory_equal(&got, &s, sizeof s);
    r = mu_wire_read(bytes, sizeof bytes - 1);
    mu_ledger_get(&r, &got);
    assert_false(mu_wire_finished(&r));
}

static void the_line_for_people(void **state)
{
    struct mu_ledger_sum s = {.us = {[MU_LEDGER_COMPUTE] = 1171 * s_us + 500000,
                                     [MU_LEDGER_WAIT] = 23 * s_us,
                                     [MU_LEDGER_COMMUNICATE] = 5 * s_us,
                                     [MU_LEDGER_CHECKPOINT] = 3 * s_us + 600000,
                                     [MU_LEDGER_RECOVER] = 1 * s_us,
                                     [MU_LEDGER_REDO] = 1000}},
                         none = {{0}, {0}}, all;

    (void)state;
    /* 1204.101 s: 97.293, 1.910, .415, .299, .083 %, and .0001 */
    assert_string_equal(mu_ledger_print(&s).text,
                        "goodput 97.3 % of 1,204 rank-seconds: compute 97.3, wait 1.9, "
                        "communicate 0.4, checkpoint 0.3, recover 0.1 %");
    assert_string_equal(mu_ledger_print(&none).text, "");
    for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
        all.us[k] = UINT64_C(2000000000000000000); /* the longest that there can be */
    assert_string_equal(mu_ledger_print(&all).text,
                        "goodput 14.3 % of 14,000,000,000,000 rank-seconds: compute 14.3, "
                        "communicate 14.3, checkpoint 14.3, recover 14.3, redo 14.3, idle 14.3, "
                        "wait 14.2 %");
}

/* As status.json has it: what is read back is what was written, in ms, and both sums add up. */
static void json_reads_back(void **state)
{
    (void)state;
    for (int i = 0; i < SEQUENCES; i++) {
        struct mu_ledger_sum s = random_sum(4000000000u), got;
        json_t *object = mu_goodput_to_json(&s), *again, *value;
        char *text = json_dumps(object, JSON_REAL_PRECISION(MU_GOODPUT_DIGITS));
        const char *key;
        double seconds = 0, percent = 0;

        again = json_loads(text, 0, NULL);
        assert_true(mu_goodput_from_json(again, &got));
        for (int k = 0; k < MU_LEDGER_KIND_COUNT; k++)
            assert_int_equal(got.us[k], s.us[k] / 1000 * 1000);
        assert_memory_equal(got.events, s.events, sizeof s.events);
        json_object_foreach(json_object_get(again, "seconds"), key, value) seconds +=
            1000 * json_real_value(value);
        json_object_foreach(json_object_get(again, "percent"), key, value) percent +=
            10 * json_real_value(value);
        assert_int_equal((uint64_t)(seconds + 0.5), mu_ledger_total_us(&got) / 1000);
        assert_int_equal((uint64_t)(percent + 0.5), 1000);
        assert_null(strstr(text, "00000")); /* 97.3, not 97.299999999999997 */
        assert_null(strstr(text, "99999"));
        free(text);
        json_decref(object);
        json_decref(again);
    }
}

static void foreign_json_is_refused(void **state)
{
    static const char *const edits[] = {
        "\"compute\": 1.5", "\"compute\": -1.5", "\"compute\": 1e300", "\"compute\": \"1.5\"",
        "\"deaths\": 0",    "\"deaths\": -1",    "\"deaths\": 0.5"};
    const struct mu_ledger_sum s = {.us = {[MU_LEDGER_COMPUTE] = 1500000}};
    json_t *object = mu_goodput_to_json(&s);
    char *text = json_dumps(object, JSON_REAL_PRECISION(MU_GOODPUT_DIGITS)), edited[2000];

    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const char *original = strstr(edits[i], "deaths") ? edits[4] : edits[0];
        const char *at = strstr(text, original);
        struct mu_ledger_sum got;
        json_t *parsed;

        assert_non_null(at);
        snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, edits[i],
                 at + strlen(original));
        parsed = json_loads(edited, 0, NULL);
        assert_non_null(parsed);
        assert_int_equal(mu_goodput_from_json(parsed, &got), edits[i] == original);
        assert_int_equal(mu_ledger_total_us(&got), edits[i] == original ? 1500000 : 0);
        json_decref(parsed);
    }
    free(text);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_counts_as_what_it_was_entered_as),
        cmocka_unit_test(waiting_in_a_save_is_the_save),
        cmocka_unit_test(time_that_goes_back_adds_nothing),
        cmocka_unit_test(random_sequences_add_up),
        cmocka_unit_test(shares_add_up),
        cmocka_unit_test(shares_of_a_fleet_do_not_overflow),
        cmocka_unit_test(it_goes_over_the_wire),
        cmocka_unit_test(the_line_for_people),
        cmocka_unit_test(json_reads_back),
        cmocka_unit_test(foreign_json_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
