/* Whatever happens to the bytes of a journal, what is replayed is a beginning of what was written:
 * no record changed, none invented, none out of order. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/run/journal.h"

enum { RECORDS_MAX = 12, TEXT_MAX = 120 };

static uint64_t seed, draws;

static uint32_t draw(uint32_t below)
{
    struct mu_rng_words r = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draws++);

    return (uint32_t)mu_rng_below(below, r.w[0], r.w[1]);
}

struct record {
    enum mu_journal_type type;
    char json[TEXT_MAX];
};

struct written {
    uint32_t generation;
    size_t count;
    struct record records[RECORDS_MAX];
    size_t ends[RECORDS_MAX + 1]; /* bytes of the file that hold the first n records */
    char *bytes;
    size_t size;
};

/* Two generations written through the files, so that bytes of one can stand in the other. */
static void write_journal(const char *folder, struct written *w, size_t count)
{
    struct mu_journal *j;
    char path[128];

    w->count = count;
    assert_int_equal(mu_journal_open(folder, &j, &w->generation), MU_OK);
    snprintf(path, sizeof path, "%s/%08u.mj", folder, w->generation);
    w->ends[0] = 8;
    for (size_t i = 0; i < count; i++) {
        struct record *r = &w->records[i];
        int n = snprintf(r->json, sizeof r->json, "{\"n\": %zu, \"v\": \"", i);

        for (uint32_t k = draw(60); k > 0; k--)
            r->json[n++] = (char)('a' + draw(26));
        strcpy(r->json + n, "\"}");
        r->type = (enum mu_journal_type)(1 + draw(4));
        assert_int_equal(mu_journal_append(j, r->type, r->json), MU_OK);
        w->ends[i + 1] = w->ends[i] + 16 + strlen(r->json);
    }
    mu_journal_close(j);
    assert_int_equal(mu_file_read(path, 1 << 20, &w->bytes, &w->size), MU_OK);
    assert_int_equal(w->size, w->ends[count]); /* the layout that journal.c writes down */
}

struct check {
    const struct written *w;
    size_t seen;
};

static void check_record(void *context, uint32_t generation, enum mu_journal_type type,
                         const char *json, size_t size)
{
    struct check *c = context;
    const struct record *r = &c->w->records[c->seen];

    assert_true(c->seen < c->w->count);
    assert_int_equal(generation, c->w->generation);
    assert_int_equal(type, r->type);
    assert_int_equal(size, strlen(r->json));
    assert_memory_equal(json, r->json, size);
    c->seen++;
}

/* Scans a copy of exactly `size` bytes, so that a sanitizer sees a read beyond; gives back how many
 * records were told. */
static size_t scan(const struct written *w, const char *bytes, size_t size)
{
    struct check c = {w, 0};
    char *copy = malloc(size ? size : 1);
    size_t whole;

    memcpy(copy, bytes, size);
    whole = mu_journal_scan(copy, size, w->generation, check_record, &c);
    assert_true(whole <= size);
    assert_true(whole == w->ends[c.seen] || (whole == 0 && c.seen == 0));
    free(copy);
    return c.seen;
}

static size_t record_of_byte(const struct written *w, size_t at)
{
    size_t i = 0;

    while (at >= w->ends[i + 1])
        i++;
    return i;
}

static void test_cut_at_every_byte(void **state)
{
    const struct written *w = *state;

    for (size_t size = 0; size <= w->size; size++)
        assert_int_equal(scan(w, w->bytes, size), size == w->size ? w->count
                                                  : size < 8      ? 0
                                                                  : record_of_byte(w, size));
}

static void test_every_bit_flipped(void **state)
{
    const struct written *w = *state;

    for (size_t bit = 0; bit < 8 * w->size; bit++) {
        size_t at = bit / 8;

        w->bytes[at] = (char)(w->bytes[at] ^ (1 << (bit % 8)));
        assert_int_equal(scan(w, w->bytes, w->size), at < 8 ? 0 : record_of_byte(w, at));
        w->bytes[at] = (char)(w->bytes[at] ^ (1 << (bit % 8)));
    }
    assert_int_equal(scan(w, w->bytes, w->size), w->count);
}

static void test_garbage_behind(void **state)
{
    const struct written *w = *state;
    char *longer = malloc(w->size + 64);

    for (int i = 0; i < 300; i++) {
        size_t more = 1 + draw(64);

        memcpy(longer, w->bytes, w->size);
        for (size_t k = 0; k < more; k++) /* zeros, as a file system leaves them, and anything */
            longer[w->size + k] = (char)(i % 3 == 0 ? 0 : draw(256));
        assert_int_equal(scan(w, longer, w->size + more), w->count);
    }
    free(longer);
}

/* A record repeated, moved, or taken from another generation is no record here. */
static void test_records_out_of_place(void **state)
{
    const struct written *w = *state, *other = w + 1;
    char *bytes = malloc(w->size + other->size);

    for (size_t keep = 0; keep < w->count; keep++) {
        for (size_t i = 0; i < w->count; i++) {
            size_t size = w->ends[i + 1] - w->ends[i];

            memcpy(bytes, w->bytes, w->ends[keep]);
            memcpy(bytes + w->ends[keep], w->bytes + w->ends[i], size);
            assert_int_equal(scan(w, bytes, w->ends[keep] + size), keep + (i == keep));
        }
        for (size_t i = 0; i < other->count; i++) {
            size_t size = other->ends[i + 1] - other->ends[i];

            memcpy(bytes, w->bytes, w->ends[keep]);
            memcpy(bytes + w->ends[keep], other->bytes + other->ends[i], size);
            assert_int_equal(scan(w, bytes, w->ends[keep] + size), keep);
        }
    }
    assert_int_equal(scan(w, other->bytes, other->size), 0); /* a renamed file */
    free(bytes);
}

static void test_random_damage(void **state)
{
    const struct written *w = *state;
    char *bytes = malloc(w->size);

    for (int round = 0; round < 2000; round++) {
        memcpy(bytes, w->bytes, w->size);
        for (uint32_t n = 1 + draw(4); n > 0; n--) {
            size_t at = draw((uint32_t)w->size);
            size_t size = 1 + draw((uint32_t)(w->size - at));

            size = size > 40 ? 40 : size;
            if (draw(2))
                memset(bytes + at, 0, size);
            else
                memmove(bytes + at, w->bytes + draw((uint32_t)(w->size - size + 1)), size);
        }
        (void)scan(w, bytes, w->size); /* check_record asserts */
    }
    free(bytes);
}

static int make_journals(void **state)
{
    static struct written w[2];
    char folder[] = "/tmp/muster-journal-XXXXXX";

    if (!mkdtemp(folder))
        return -1;
    write_journal(folder, &w[0], RECORDS_MAX);
    write_journal(folder, &w[1], 5);
    *state = w;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

static int free_journals(void **state)
{
    struct written *w = *state;

    free(w[0].bytes);
    free(w[1].bytes);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_byte), cmocka_unit_test(test_every_bit_flipped),
        cmocka_unit_test(test_garbage_behind),    cmocka_unit_test(test_records_out_of_place),
        cmocka_unit_test(test_random_damage),
    };
    int failed;

    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    failed = cmocka_run_group_tests(tests, make_journals, free_journals);
    if (failed)
        fprintf(stderr, "repeat with: %s %" PRIu64 "\n", argv[0], seed);
    return failed;
}
