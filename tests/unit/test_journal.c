/* The journal as files: generations, what is replayed, and what happens when the disk is full. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/file.h"
#include "orchestrator/run/journal.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/muster-journal-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* Everything replayed, as lines "generation type json". */
struct story {
    char text[4096];
};

static void tell(void *context, uint32_t generation, enum mu_journal_type type, const char *json,
                 size_t size)
{
    struct story *s = context;
    size_t used = strlen(s->text);

    snprintf(s->text + used, sizeof s->text - used, "%u %d %.*s\n", generation, (int)type,
             (int)size, json);
}

static struct story replay(void)
{
    struct story s = {""};

    assert_int_equal(mu_journal_replay(folder, tell, &s), MU_OK);
    return s;
}

static void write_generation(enum mu_journal_type type, const char *a, const char *b)
{
    struct mu_journal *j;
    uint32_t generation;

    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    assert_int_equal(mu_journal_append(j, type, a), MU_OK);
    if (b)
        assert_int_equal(mu_journal_append(j, MU_JOURNAL_END, b), MU_OK);
    mu_journal_close(j);
}

static void test_generations(void **state)
{
    struct mu_journal *j;
    uint32_t generation;
    char path[128];

    (void)state;
    assert_string_equal(replay().text, "");
    write_generation(MU_JOURNAL_GENERATION, "{\"ranks\": 8}", "{\"step\": 3}");
    write_generation(MU_JOURNAL_CHECKPOINT, "{}", NULL);
    assert_string_equal(replay().text, "1 1 {\"ranks\": 8}\n1 4 {\"step\": 3}\n2 2 {}\n");
    /* Names that are not a journal's do not count; a gap does. */
    snprintf(path, sizeof path, "%s/00000099.mj.tmp", folder);
    assert_int_equal(mu_file_write_atomically(path, "x", 1), MU_OK);
    snprintf(path, sizeof path, "%s/00000041.mj", folder);
    assert_int_equal(mu_file_write_atomically(path, "", 0), MU_OK);
    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    assert_int_equal(generation, 42);
    mu_journal_close(j);
    snprintf(path, sizeof path, "%s/00000042.mj", folder);
    assert_true(mu_file_exists(path));
    assert_string_equal(replay().text, "1 1 {\"ranks\": 8}\n1 4 {\"step\": 3}\n2 2 {}\n");
}

static void test_last_generation_is_the_last(void **state)
{
    struct mu_journal *j;
    uint32_t generation;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/99999999.mj", folder);
    assert_int_equal(mu_file_write_atomically(path, "", 0), MU_OK);
    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_FAILED);
    assert_null(j);
}

static void test_missing_folder(void **state)
{
    struct mu_journal *j;
    struct story s = {""};
    uint32_t generation;

    (void)state;
    assert_int_equal(mu_journal_open("/nonexistent/journal", &j, &generation), MU_FAILED);
    assert_null(j);
    assert_int_equal(mu_journal_replay("/nonexistent/journal", tell, &s), MU_OK);
    assert_string_equal(s.text, "");
    mu_journal_close(NULL);
}

static void test_only_json_objects(void **state)
{
    struct mu_journal *j;
    uint32_t generation;
    char *long_one = malloc(MU_JOURNAL_RECORD_MAX + 16);

    (void)state;
    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, ""), MU_INTERNAL);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "[1]"), MU_INTERNAL);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "{\"a\": 1"), MU_INTERNAL);
    /* {"a": "xxx"}: 9 bytes around the x's */
    memset(long_one, 'x', MU_JOURNAL_RECORD_MAX + 16);
    memcpy(long_one, "{\"a\": \"", 7);
    strcpy(long_one + MU_JOURNAL_RECORD_MAX - 1, "\"}");
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, long_one), MU_INTERNAL);
    strcpy(long_one + MU_JOURNAL_RECORD_MAX - 2, "\"}");
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, long_one), MU_OK);
    mu_journal_close(j);
    free(long_one);
    assert_int_equal(strncmp(replay().text, "1 3 {\"a\": \"xxx", 14), 0);
}

static void test_full_disk_leaves_whole_records(void **state)
{
    struct rlimit old, small;
    struct mu_journal *j;
    uint32_t generation;

    (void)state;
    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "{\"n\": 1}"), MU_OK);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 8 + 16 + 8 + 20; /* four bytes of the second record's text fit */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "{\"n\": 2}"), MU_FAILED);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "{\"n\": 3}"), MU_OK);
    mu_journal_close(j);
    assert_string_equal(replay().text, "1 3 {\"n\": 1}\n1 3 {\"n\": 3}\n");
}

/* Many would-be masters at once: each number has one owner, whoever got none was told. */
enum { MASTERS = 8 };

static pthread_barrier_t together;

static void *be_master(void *context)
{
    struct mu_journal *j;
    uint32_t *generation = context;
    char json[40];

    pthread_barrier_wait(&together);
    if (mu_journal_open(folder, &j, generation) != MU_OK)
        return NULL;
    snprintf(json, sizeof json, "{\"g\": %u}", *generation);
    if (mu_journal_append(j, MU_JOURNAL_GENERATION, json) != MU_OK)
        *generation = UINT32_MAX;
    mu_journal_close(j);
    return NULL;
}

static void test_one_master_a_generation(void **state)
{
    pthread_t threads[MASTERS];
    uint32_t generations[MASTERS];
    bool owned[MASTERS + 1] = {false};
    struct story s = {""};
    size_t winners = 0;

    (void)state;
    pthread_barrier_init(&together, NULL, MASTERS);
    for (int i = 0; i < MASTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_master, &generations[i]), 0);
    for (int i = 0; i < MASTERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    for (int i = 0; i < MASTERS; i++) {
        assert_in_range(generations[i], 0, MASTERS);
        assert_false(generations[i] > 0 && owned[generations[i]]);
        owned[generations[i]] = true;
        winners += generations[i] > 0;
    }
    assert_true(winners >= 1);
    for (uint32_t g = 1; g <= MASTERS; g++) {
        size_t used = strlen(s.text);

        if (owned[g])
            snprintf(s.text + used, sizeof s.text - used, "%u 1 {\"g\": %u}\n", g, g);
    }
    assert_string_equal(replay().text, s.text);
}

struct tails {
    int count;
    struct mu_journal_tail last;
};

static void take_nothing(void *context, uint32_t generation, enum mu_journal_type type,
                         const char *json, size_t size)
{
    (void)context;
    (void)generation;
    (void)type;
    (void)json;
    (void)size;
}

static void take_tail(void *context, const struct mu_journal_tail *tail)
{
    struct tails *t = context;

    t->count++;
    t->last = *tail;
}

static struct tails check(void)
{
    struct tails t = {0};

    assert_int_equal(mu_journal_check(folder, take_nothing, take_tail, &t), MU_OK);
    return t;
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+");
    int c;

    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
}

/* A record that was cut short is what a crash leaves; one with whole records behind it is not. */
static void test_tails(void **state)
{
    char path[128];
    struct tails t;

    (void)state;
    write_generation(MU_JOURNAL_GENERATION, "{\"ranks\": 8}", "{\"step\": 3}");
    write_generation(MU_JOURNAL_CHECKPOINT, "{}", "{}");
    assert_int_equal(check().count, 0);
    snprintf(path, sizeof path, "%s/00000002.mj", folder);
    assert_int_equal(truncate(path, 8 + 18 + 17), 0);
    t = check();
    assert_int_equal(t.count, 1);
    assert_int_equal(t.last.whole, 8 + 18);
    assert_int_equal(t.last.size, 8 + 18 + 17);
    assert_true(t.last.newest && !t.last.goes_on);
    assert_int_equal(truncate(path, 8 + 18), 0);
    snprintf(path, sizeof path, "%s/00000001.mj", folder);
    for (long at = 8; at < 8 + 16 + 12; at += 3) { /* checksum, length, type, text */
        flip(path, at);
        t = check();
        assert_int_equal(t.count, 1);
        assert_int_equal(t.last.whole, 8);
        assert_true(t.last.goes_on && !t.last.newest);
        flip(path, at);
    }
    assert_int_equal(check().count, 0);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_generations),
        IN_FOLDER(test_last_generation_is_the_last),
        IN_FOLDER(test_missing_folder),
        IN_FOLDER(test_only_json_objects),
        IN_FOLDER(test_full_disk_leaves_whole_records),
        IN_FOLDER(test_one_master_a_generation),
        IN_FOLDER(test_tails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
