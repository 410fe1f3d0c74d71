/* Tokenizing: no byte is lost, doubled or changed; which chunks validate depends on seed and number
 * only; failing leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "worker/data/tokens.h"
#include "worker/tokenize/tokenize.h"

enum { CHUNK = 16 };

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT); /* refusals are expected here */
    strcpy(folder, "/tmp/muster-tokenize-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

struct path {
    char text[128];
};

static struct path in_folder(const char *name)
{
    struct path p;

    snprintf(p.text, sizeof p.text, "%s/%s", folder, name);
    return p;
}

/* Chunks from..to-1, each of which names itself: "<chunk  1234567>"; then `tail` bytes more. */
static struct path write_input(const char *name, unsigned from, unsigned to, unsigned tail)
{
    struct path p = in_folder(name);
    FILE *f = fopen(p.text, "w");

    assert_non_null(f);
    for (unsigned i = from; i < to; i++)
        assert_int_equal(fprintf(f, "<chunk %8u>", i), CHUNK);
    for (unsigned i = 0; i < tail; i++)
        fputc('~', f);
    assert_int_equal(fclose(f), 0);
    return p;
}

static struct mu_tokenize_job job_of(const char *const *inputs, size_t count, const char *prefix)
{
    return (struct mu_tokenize_job){.inputs = inputs,
                                    .input_count = count,
                                    .prefix = prefix,
                                    .valid_fraction = 0.1,
                                    .seed = 1,
                                    .chunk_bytes = CHUNK};
}

static enum mu_status tokenize(const struct mu_tokenize_job *job, struct mu_tokenize_result *r)
{
    static struct mu_tokenize_result scratch;

    return mu_tokenize_bytes(job, r ? r : &scratch);
}

/* Reads chunk numbers back; counts each in seen[]. True when they ascend all the way. */
static bool take_chunks(const char *path, unsigned chunks, uint8_t *seen, uint8_t mark,
                        unsigned *tail)
{
    struct mu_tokens t;
    char text[CHUNK + 1] = {0};
    bool ascending = true;
    unsigned last = 0;

    assert_int_equal(mu_tokens_open(&t, path), MU_OK);
    assert_int_equal(mu_tokens_verify(&t, path), MU_OK);
    assert_int_equal(t.vocab, 256);
    assert_int_equal(t.token_bytes, 1);
    assert_int_equal(t.source_bytes, t.count);
    assert_string_equal(t.format, "muster bytes");
    for (uint64_t at = 0; at < t.count;) {
        unsigned number;

        if (t.data[at] == '~') {
            at++;
            ++*tail;
            continue;
        }
        memcpy(text, t.data + at, CHUNK);
        assert_int_equal(sscanf(text, "<chunk %u>", &number), 1);
        assert_true(number < chunks);
        assert_int_equal(seen[number], 0);
        seen[number] = mark;
        ascending = ascending && number >= last;
        last = number;
        at += CHUNK;
    }
    mu_tokens_close(&t);
    return ascending;
}

/* 1: the chunk trains, 2: it validates. */
static void check_all(const struct mu_tokenize_result *r, unsigned chunks, unsigned tail,
                      uint8_t *seen)
{
    unsigned found_tail = 0;

    memset(seen, 0, chunks);
    assert_false(take_chunks(r->train.path, chunks, seen, 1, &found_tail));
    assert_false(take_chunks(r->valid.path, chunks, seen, 2, &found_tail));
    for (unsigned i = 0; i < chunks; i++)
        assert_int_not_equal(seen[i], 0);
    assert_int_equal(found_tail, tail);
    assert_int_equal(r->source_bytes, chunks * CHUNK + tail);
    assert_int_equal(r->train.header.count + r->valid.header.count, r->source_bytes);
    assert_int_equal(r->train.chunks + r->valid.chunks, chunks + (tail > 0));
}

static void test_every_chunk_once(void **state)
{
    enum { CHUNKS = 5000 };
    struct path input = write_input("in", 0, CHUNKS, 5), prefix = in_folder("once");
    const char *inputs[] = {input.text};
    struct mu_tokenize_job job = job_of(inputs, 1, prefix.text);
    static struct mu_tokenize_result r;
    static uint8_t seen[CHUNKS];
    (void)state;

    assert_int_equal(tokenize(&job, &r), MU_OK);
    check_all(&r, CHUNKS, 5, seen);
    /* binomial: mean 500, sigma sqrt(5000 * .1 * .9) = 21.2 */
    assert_true(fabs((double)r.valid.chunks - 500) < 6 * 21.2);
}

static void test_validation_stays_when_text_grows(void **state)
{
    enum { SHORT = 1000, LONG = 3000 };
    struct path a = write_input("short", 0, SHORT, 0), b = write_input("long", 0, LONG, 7);
    struct path pa = in_folder("sh"), pb = in_folder("lo"), pc = in_folder("other-seed");
    const char *ia[] = {a.text}, *ib[] = {b.text};
    struct mu_tokenize_job ja = job_of(ia, 1, pa.text), jb = job_of(ib, 1, pb.text), jc;
    static struct mu_tokenize_result r;
    static uint8_t seen_a[SHORT], seen_b[LONG], seen_c[LONG];
    unsigned differ = 0;
    (void)state;

    assert_int_equal(tokenize(&ja, &r), MU_OK);
    check_all(&r, SHORT, 0, seen_a);
    assert_int_equal(tokenize(&jb, &r), MU_OK);
    check_all(&r, LONG, 7, seen_b);
    assert_memory_equal(seen_a, seen_b, SHORT);
    jc = job_of(ib, 1, pc.text);
    jc.seed = 2;
    assert_int_equal(tokenize(&jc, &r), MU_OK);
    check_all(&r, LONG, 7, seen_c);
    for (unsigned i = 0; i < LONG; i++)
        differ += seen_b[i] != seen_c[i];
    /* independent draws differ with probability 2 * .1 * .9 = .18: 540, sigma 21 */
    assert_true(differ > 400 && differ < 680);
}

static bool same_files(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    bool same;

    assert_int_equal(mu_file_read(a, 1 << 24, &x, &n), MU_OK);
    assert_int_equal(mu_file_read(b, 1 << 24, &y, &m), MU_OK);
    same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

/* One file, the same text in pieces that end inside chunks (one of them empty), and through a pipe:
 * the same bits. */
static void test_how_it_comes_does_not_matter(void **state)
{
    struct path whole = write_input("whole", 0, 900, 0), one = in_folder("one");
    struct path pieces[4] = {write_input("p0", 0, 300, 0), write_input("p1", 0, 0, 0),
                             write_input("p2", 300, 301, 0), write_input("p3", 301, 900, 0)};
    struct path many = in_folder("many"), piped = in_folder("piped"), fifo = in_folder("fifo");
    const char *i1[] = {whole.text};
    const char *i4[] = {pieces[0].text, pieces[1].text, pieces[2].text, pieces[3].text};
    const char *if3[] = {pieces[0].text, fifo.text, pieces[3].text};
    struct mu_tokenize_job job;
    static struct mu_tokenize_result a, b;
    char command[512];
    (void)state;

    for (uint32_t chunk = 16; chunk <= 1000; chunk += 123) {
        job = job_of(i1, 1, one.text);
        job.chunk_bytes = chunk;
        job.force = true;
        assert_int_equal(tokenize(&job, &a), MU_OK);
        job = job_of(i4, 4, many.text);
        job.chunk_bytes = chunk;
        job.force = true;
        assert_int_equal(tokenize(&job, &b), MU_OK);
        assert_true(same_files(a.train.path, b.train.path));
        assert_true(same_files(a.valid.path, b.valid.path));
    }
    assert_int_equal(mkfifo(fifo.text, 0600), 0);
    snprintf(command, sizeof command, "cat %s > %s &", pieces[2].text, fifo.text);
    assert_int_equal(system(command), 0);
    job = job_of(i1, 1, one.text);
    job.force = true;
    assert_int_equal(tokenize(&job, &a), MU_OK);
    job = job_of(if3, 3, piped.text);
    assert_int_equal(tokenize(&job, &b), MU_OK);
    assert_true(same_files(a.train.path, b.train.path));
    assert_true(same_files(a.valid.path, b.valid.path));
}

static void test_fraction_at_its_ends(void **state)
{
    struct path input = write_input("ends", 0, 20, 3), prefix = in_folder("ends-out");
    struct path short_input = write_input("single", 0, 1, 0), lone = in_folder("single-out");
    const char *inputs[] = {input.text}, *single[] = {short_input.text};
    struct mu_tokenize_job job = job_of(inputs, 1, prefix.text);
    static struct mu_tokenize_result r;
    (void)state;

    job.valid_fraction = 1e-9; /* asked for, though no chunk draws so low: one */
    assert_int_equal(tokenize(&job, &r), MU_OK);
    assert_int_equal(r.valid.chunks, 1);
    assert_int_equal(r.train.chunks, 20);
    job.valid_fraction = 0; /* none, and none from before stays behind */
    job.force = true;
    assert_int_equal(tokenize(&job, &r), MU_OK);
    assert_int_equal(r.train.header.count, 20 * CHUNK + 3);
    assert_int_equal(r.valid.header.count, 0);
    assert_false(mu_file_exists(r.valid.path));

    job = job_of(single, 1, lone.text); /* one chunk cannot do both */
    assert_int_equal(tokenize(&job, &r), MU_FAILED);
    assert_false(mu_file_exists(r.train.path));
    job.valid_fraction = 0;
    assert_int_equal(tokenize(&job, &r), MU_OK);
    assert_int_equal(r.train.header.count, CHUNK);
}

static void test_existing_files_are_kept(void **state)
{
    struct path input = write_input("kept", 0, 50, 0), prefix = in_folder("kept-out");
    struct path valid = in_folder("kept-out-valid.bin"), train = in_folder("kept-out-train.bin");
    const char *inputs[] = {input.text};
    struct mu_tokenize_job job = job_of(inputs, 1, prefix.text);
    (void)state;

    assert_int_equal(mu_file_write_durably(valid.text, "mine", 4), MU_OK);
    assert_int_equal(tokenize(&job, NULL), MU_USAGE);
    assert_false(mu_file_exists(train.text));
    job.force = true;
    assert_int_equal(tokenize(&job, NULL), MU_OK);
    assert_true(mu_file_exists(train.text));
}

static void stop_later(void *context, uint64_t done, uint64_t total)
{
    *(volatile sig_atomic_t *)context = done > total / 2;
}

/* Whatever goes wrong, the folder of the output stays empty. */
static void test_failures_leave_nothing(void **state)
{
    static const char gzip[] = "\x1f\x8b\x08";
    struct path good = write_input("good", 0, 5000, 0), empty = write_input("empty", 0, 0, 0);
    struct path missing = in_folder("missing"), packed = in_folder("packed");
    struct path out = in_folder("out"), prefix = in_folder("out/x");
    const char *bad[][2] = {{good.text, missing.text},
                            {good.text, packed.text},
                            {good.text, folder},
                            {empty.text, empty.text}};
    const char *inputs[] = {good.text};
    struct mu_tokenize_job job;
    volatile sig_atomic_t stop = 0;
    (void)state;

    assert_int_equal(mu_file_write_durably(packed.text, gzip, sizeof gzip), MU_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        job = job_of(bad[i], 2, prefix.text);
        assert_int_equal(tokenize(&job, NULL), MU_FAILED);
        assert_int_equal(rmdir(out.text), 0); /* it was made, and is empty */
    }
    job = job_of(inputs, 1, prefix.text);
    job.stop = &stop;
    job.progress = stop_later;
    job.context = (void *)(uintptr_t)&stop;
    assert_int_equal(tokenize(&job, NULL), MU_FAILED);
    assert_int_equal(stop, 1);
    assert_int_equal(rmdir(out.text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chunk_once),
        cmocka_unit_test(test_validation_stays_when_text_grows),
        cmocka_unit_test(test_how_it_comes_does_not_matter),
        cmocka_unit_test(test_fraction_at_its_ends),
        cmocka_unit_test(test_existing_files_are_kept),
        cmocka_unit_test(test_failures_leave_nothing),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
