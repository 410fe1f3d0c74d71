/* At which step two runs part, from what they recorded; and what of a run's records counts after
 * restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/compare/compare.h"
#include "orchestrator/run/journal.h"
#include "tests/support/state.h"

enum { MOST = 8 };
struct fake {
    struct mu_side_record record[MOST];
    struct mu_side side;
};

static void add(struct fake *f, int64_t step, double loss, uint64_t hash)
{
    f->record[f->side.count++] =
        (struct mu_side_record){step, loss, NAN, NAN, true, hash != 0, {hash, hash}};
    f->side.record = f->record;
    f->side.end = step;
}

static void hash_and_loss_tell_where(void **unused)
{
    struct fake a = {0}, b = {0};
    struct mu_records_compared c;

    (void)unused;
    add(&a, 1, 9.5, 0), add(&b, 1, 9.5, 0);
    add(&a, 50, 9, 77), add(&b, 50, 9, 77);
    add(&a, 60, 8, 0), add(&b, 60, 8, 0);
    add(&a, 70, 7, 0); /* b recorded it not */
    add(&a, 100, 6, 88), add(&b, 100, 6, 99);
    add(&a, 110, 5, 0), add(&b, 110, 4, 0);
    mu_records_compare(&a.side, &b.side, &c);
    assert_int_equal(c.until, 60);
    assert_int_equal(c.hash_until, 50);
    assert_int_equal(c.parts_at, 100);
    assert_true(c.hash && !c.loss);
    assert_int_equal(c.a->step, 100);
    assert_int_equal(c.b->hash.low, 99);
}

static void one_digit_of_a_loss_parts_them(void **unused)
{
    struct fake a = {0}, b = {0};
    struct mu_records_compared c;

    (void)unused;
    add(&a, 3, 2.25, 0), add(&b, 3, nextafter(2.25, 3), 5);
    mu_records_compare(&a.side, &b.side, &c);
    assert_int_equal(c.until, -1);
    assert_int_equal(c.parts_at, 3);
    assert_true(c.loss && !c.hash);
    assert_int_equal(c.hashes, 0);
}

/* A step of which only the hash is known has no loss to compare; one that was not evaluated no
 * validation loss. */
static void without_a_value_nothing_is_said(void **unused)
{
    struct fake a = {0}, b = {0};
    struct mu_records_compared c;

    (void)unused;
    add(&a, 1, NAN, 7), add(&b, 1, 4, 0);
    a.record[0].has_metrics = false;
    mu_records_compare(&a.side, &b.side, &c);
    assert_int_equal(c.common, 0);
    assert_int_equal(c.parts_at, -1);
    a.record[0] = b.record[0];
    b.record[0].valid_loss = 4;
    mu_records_compare(&a.side, &b.side, &c);
    assert_int_equal(c.common, 1);
    assert_int_equal(c.parts_at, -1);
}

/* A loss that is no number came out: a run with a number there has parted from it. */
static void a_loss_that_is_no_number_is_compared(void **unused)
{
    struct fake a = {0}, b = {0};
    struct mu_records_compared c;

    (void)unused;
    add(&a, 1, NAN, 0), add(&b, 1, -NAN, 0);
    add(&a, 2, NAN, 0), add(&b, 2, 4, 0);
    mu_records_compare(&a.side, &b.side, &c);
    assert_int_equal(c.until, 1);
    assert_int_equal(c.parts_at, 2);
    assert_true(c.loss && !c.gradient_norm);
}

/* ---- a run's folder -------------------------------------------------------------------------- */

static void put(const char *root, const char *name, const char *text)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static void journal_of(const char *folder, const char *const *records)
{
    struct mu_journal *j;
    uint32_t generation;

    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    for (; *records; records++)
        assert_int_equal(mu_journal_append(j,
                                           strstr(*records, "ranks") ? MU_JOURNAL_GENERATION
                                                                     : MU_JOURNAL_CHECKPOINT,
                                           *records),
                         MU_OK);
    mu_journal_close(j);
}

#define HASH(digit) "0000000000000000000000000000000" digit

/* The second start went on from step 40: the checkpoint of step 80 counts as it was saved last, and
 * that of step 120 not at all. Step 10 of the metrics comes twice. */
static void what_was_recorded_last_counts(void **unused)
{
    const char *const first[] = {"{\"ranks\":1,\"step\":0,\"fingerprint\":\"x\"}",
                                 "{\"step\":40,\"state_hash\":\"" HASH("4") "\"}",
                                 "{\"step\":80,\"state_hash\":\"" HASH("8") "\"}",
                                 "{\"step\":120,\"state_hash\":\"" HASH("c") "\"}", NULL};
    const char *const second[] = {"{\"ranks\":2,\"step\":40,\"fingerprint\":\"y\"}",
                                  "{\"step\":80,\"state_hash\":\"" HASH("9") "\"}", NULL};
    char root[MU_PATH_MAX], journal[MU_PATH_MAX];
    struct mu_side s;

    (void)unused;
    test_folder_make(root);
    assert_int_equal(mu_path_format(journal, "%s/journal", root), MU_OK);
    assert_int_equal(mu_file_make_folders(journal), MU_OK);
    put(root, "status.json", "{}");
    put(root, "metrics.jsonl",
        "{\"step\": 10, \"loss\": 1.5}\n{\"step\": 20, \"loss\": 1.25}\n"
        "{\"step\": 10, \"loss\": 1.75}\n");
    journal_of(journal, first);
    journal_of(journal, second);
    assert_int_equal(mu_side_read(root, &s), MU_OK);
    assert_true(s.is_run);
    assert_true(mu_side_find(&s, 10)->loss == 1.75);
    assert_int_equal(mu_side_find(&s, 40)->hash.low, 4);
    assert_int_equal(mu_side_find(&s, 80)->hash.low, 9);
    assert_null(mu_side_find(&s, 120));
    assert_int_equal(s.count, 4);
    assert_int_equal(s.end, 80);
    assert_int_equal(s.saved, 80);
    assert_string_equal(s.fingerprint, "y");
    mu_side_deinit(&s);
    assert_int_equal(mu_file_remove_tree(root), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_and_loss_tell_where),
        cmocka_unit_test(one_digit_of_a_loss_parts_them),
        cmocka_unit_test(without_a_value_nothing_is_said),
        cmocka_unit_test(a_loss_that_is_no_number_is_compared),
        cmocka_unit_test(what_was_recorded_last_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
