/* Events for TensorBoard: their bytes against its own (tests/oracle/tensorboard_events.py), one
 * file a generation, what a resume declares void, a killed writer, and a disk that is full. */
#include <dirent.h>
#include <endian.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/run/tensorboard_pb.h"
#include "orchestrator/run/tfrecord.h"
#include "tests/support/run_folder.h"

static struct mu_run_dir *open_run(int64_t resume_step)
{
    struct mu_run_dir *dir;

    assert_int_equal(open_run_dir("", resume_step, &dir), MU_OK);
    return dir;
}

static void put_steps(struct mu_run_dir *dir, int64_t first, int64_t last)
{
    for (int64_t step = first; step <= last; step++) {
        struct mu_metrics m = {.step = step,
                               .loss = 3 + 1.0 / (double)step,
                               .gradient_norm = 0.5,
                               .lr = 0.25,
                               .step_ms = 85.25,
                               .tokens_per_s = 48123,
                               .tokens = (uint64_t)step * 4096,
                               .valid_loss = step % 10 == 0 ? 3.5 : NAN,
                               .valid_bits_per_byte = step % 10 == 0 ? 1.25 : NAN};

        mu_run_dir_put_metrics(dir, &m);
    }
}

/* ---- a reader, of no other use than to look at what was written ------------------------------ */

struct span {
    const uint8_t *at, *end;
};

struct field {
    uint64_t number, value; /* value: of a varint or of fixed bytes */
    struct span bytes;      /* of a message or a text */
};

static uint64_t take_varint(struct span *s)
{
    uint64_t value = 0;

    for (int shift = 0;; shift += 7) {
        assert_true(s->at < s->end && shift < 64);
        value |= (uint64_t)(*s->at & 0x7f) << shift;
        if (*s->at++ < 0x80)
            return value;
    }
}

static uint64_t take_fixed(struct span *s, size_t size)
{
    uint64_t value = 0;

    assert_true((size_t)(s->end - s->at) >= size);
    memcpy(&value, s->at, size);
    s->at += size;
    return le64toh(value);
}

/* https://protobuf.dev/programming-guides/encoding/ */
static bool take_field(struct span *s, struct field *f)
{
    uint64_t key, size;

    if (s->at == s->end)
        return false;
    key = take_varint(s);
    *f = (struct field){.number = key >> 3};
    switch (key & 7) {
    case 0:
        f->value = take_varint(s);
        break;
    case 1:
        f->value = take_fixed(s, 8);
        break;
    case 2:
        size = take_varint(s);
        assert_true(size <= (uint64_t)(s->end - s->at));
        f->bytes = (struct span){s->at, s->at + size};
        s->at += size;
        break;
    case 5:
        f->value = take_fixed(s, 4);
        break;
    default:
        fail();
    }
    return true;
}

/* RFC 3720, section 12.1, bit by bit. */
static uint32_t masked_crc32c(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* The data of the next record; false at the end of whole records. */
static bool take_record(struct span *file, struct span *data)
{
    const uint8_t *head = file->at;
    uint64_t size;

    if (file->at == file->end)
        return false;
    size = take_fixed(file, 8);
    assert_int_equal(take_fixed(file, 4), masked_crc32c(head, 8));
    assert_true(size <= (uint64_t)(file->end - file->at));
    *data = (struct span){file->at, file->at + size};
    file->at += size;
    assert_int_equal(take_fixed(file, 4), masked_crc32c(data->at, size));
    return true;
}

static double as_double(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static double as_float(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;

    memcpy(&value, &low, sizeof value);
    return value;
}

/* "loss/train=3.5 data/tokens=4096 ", in the order of the file. */
static void print_values(struct span summary, char text[1000])
{
    struct field value, f;
    size_t used = 0;

    text[0] = 0;
    while (take_field(&summary, &value)) {
        assert_int_equal(value.number, 1);
        while (take_field(&value.bytes, &f))
            used += (size_t)(f.number == 1
                                 ? snprintf(text + used, 1000 - used,
                                            "%.*s=", (int)(f.bytes.end - f.bytes.at),
                                            (const char *)f.bytes.at)
                                 : snprintf(text + used, 1000 - used, "%.9g ", as_float(f.value)));
        assert_true(used < 1000);
    }
}

/* A file as lines: "version brain.Event:2", "start 5", "step 5: loss/train=... ". */
static void print_events(const uint8_t *bytes, size_t size, char *text, size_t room)
{
    struct span file = {bytes, bytes + size}, event;
    size_t used = 0;

    text[0] = 0;
    while (take_record(&file, &event)) {
        struct field f, status;
        uint64_t step = 0;
        char values[1000];

        while (take_field(&event, &f)) {
            if (f.number == 1)
                assert_true(fabs(as_double(f.value) - (double)time(NULL)) < 600);
            else if (f.number == 2)
                step = f.value;
            else if (f.number == 3)
                used += (size_t)snprintf(text + used, room - used, "version %.*s\n",
                                         (int)(f.bytes.end - f.bytes.at), (const char *)f.bytes.at);
            else if (f.number == 5) {
                print_values(f.bytes, values);
                used += (size_t)snprintf(text + used, room - used, "step %" PRIu64 ": %s\n", step,
                                         values);
            } else {
                assert_int_equal(f.number, 7);
                assert_true(take_field(&f.bytes, &status) && status.number == 1 &&
                            status.value == 1);
                used += (size_t)snprintf(text + used, room - used, "start %" PRIu64 "\n", step);
            }
            assert_true(used < room);
        }
    }
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_events(const struct dirent *entry)
{
    return strstr(entry->d_name, "tfevents") != NULL; /* what TensorBoard asks of a name */
}

enum { FILES_MAX = 8, TEXT_MAX = 20000 };

/* Every file of the run as text, in the order in which TensorBoard takes them: by name. */
static int read_files(char texts[FILES_MAX][TEXT_MAX])
{
    struct dirent **entries;
    char path[MU_PATH_MAX];
    int files;

    assert_int_equal(mu_path_format(path, "%s/tb", run), MU_OK);
    files = scandir(path, &entries, is_events, by_name);
    assert_in_range(files, 0, FILES_MAX);
    for (int i = 0; i < files; i++) {
        char *bytes;
        size_t size;

        assert_int_equal(mu_path_format(path, "%s/tb/%s", run, entries[i]->d_name), MU_OK);
        assert_int_equal(mu_file_read(path, 1 << 24, &bytes, &size), MU_OK);
        print_events((const uint8_t *)bytes, size, texts[i], TEXT_MAX);
        free(bytes);
        free(entries[i]);
    }
    free(entries);
    return files;
}

static char texts[FILES_MAX][TEXT_MAX];

/* ---- bytes ----------------------------------------------------------------------------------- */

static void test_checksum_of_this_reader(void **state)
{
    uint32_t crc = 0xe3069283u; /* of "123456789", the check value of CRC-32C */

    (void)state;
    assert_int_equal(masked_crc32c((const uint8_t *)"123456789", 9),
                     (crc >> 15 | crc << 17) + 0xa282ead8u);
}

static void test_bytes_are_tensorboards(void **state)
{
    const struct mu_event_scalar values[] = {{"loss/train", 2.5f},
                                             {"optim/lr", 0.00098f},
                                             {"data/tokens", 3e12f},
                                             {"loss/valid", -1e-30f}};
    const char *source = getenv("MUSTER_SOURCE");
    char path[MU_PATH_MAX], *expected;
    uint8_t bytes[3 * (MU_EVENT_MAX + 16)], *at = bytes;
    size_t size;

    (void)state;
    assert_int_equal(
        mu_path_format(path, "%s/tests/oracle/tensorboard-events", source ? source : "."), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 20, &expected, &size), MU_OK);
    at += mu_tfrecord_seal(at, mu_event_pack_version(1795453421.25, at + MU_TFRECORD_HEAD));
    at += mu_tfrecord_seal(at, mu_event_pack_start(1795453422.5, 401, at + MU_TFRECORD_HEAD));
    at += mu_tfrecord_seal(at, mu_event_pack_scalars(1795453423.75, (int64_t)1 << 40, values, 4,
                                                     at + MU_TFRECORD_HEAD));
    assert_int_equal(at - bytes, size);
    assert_memory_equal(bytes, expected, size);
    free(expected);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_what_a_run_leaves(void **state)
{
    struct mu_run_dir *dir = open_run(0);
    struct mu_metrics bad = {.step = 9,
                             .loss = INFINITY,
                             .gradient_norm = NAN,
                             .lr = 1e300,
                             .step_ms = -INFINITY,
                             .tokens_per_s = NAN,
                             .valid_loss = NAN,
                             .valid_bits_per_byte = NAN,
                             .tokens = 7};

    (void)state;
    assert_int_equal(read_files(texts), 1); /* empty: readers wait */
    assert_string_equal(texts[0], "");
    mu_run_dir_put_metrics(dir, &bad);
    put_steps(dir, 10, 10);
    assert_int_equal(read_files(texts), 1); /* before it is closed */
    assert_string_equal(texts[0],
                        "version brain.Event:2\nstart 1\nstep 9: data/tokens=7 \n"
                        "step 10: loss/train=3.0999999 loss/valid=3.5 valid/bits_per_byte=1.25 "
                        "optim/lr=0.25 optim/gradient_norm=0.5 speed/tokens_per_s=48123 "
                        "speed/step_ms=85.25 data/tokens=40960 \n");
    mu_run_dir_close(dir);
}

/* Three generations within one second, and one before whose clock was years ahead. */
static void test_generations_are_read_in_their_order(void **state)
{
    char path[MU_PATH_MAX];

    (void)state;
    assert_int_equal(mu_path_format(path, "%s/tb", run), MU_OK);
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    assert_int_equal(mu_path_format(path, "%s/tb/events.out.tfevents.4000000000.zz.9", run), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, "", 0), MU_OK);
    for (int64_t resume_step = 0; resume_step <= 6; resume_step += 3) {
        struct mu_run_dir *dir = open_run(resume_step);

        put_steps(dir, resume_step + 1, resume_step + 5);
        mu_run_dir_close(dir);
    }
    assert_int_equal(read_files(texts), 4);
    for (int i = 1; i < 4; i++) {
        char begin[60];

        snprintf(begin, sizeof begin, "version brain.Event:2\nstart %d\nstep %d: ", 3 * i - 2,
                 3 * i - 2);
        assert_int_equal(strncmp(texts[i], begin, strlen(begin)), 0);
        assert_int_equal(count(texts[i], "\n"), 7);
    }
}

static void test_a_killed_writer_leaves_all_its_steps(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        put_steps(open_run(0), 1, 3);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(read_files(texts), 1);
    assert_int_equal(count(texts[0], "step "), 3);
}

/* ---- a disk that is full, by a limit on the size of files ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static rlim_t events_size(void)
{
    char path[MU_PATH_MAX];
    struct dirent **entries;
    struct stat s;

    assert_int_equal(mu_path_format(path, "%s/tb", run), MU_OK);
    assert_int_equal(scandir(path, &entries, is_events, by_name), 1);
    assert_int_equal(mu_path_format(path, "%s/tb/%s", run, entries[0]->d_name), MU_OK);
    assert_int_equal(stat(path, &s), 0);
    free(entries[0]);
    free(entries);
    return (rlim_t)s.st_size;
}

/* There is room for half of the record of step `lost_from`. */
static void fill_disk(int64_t lost_from)
{
    char message[4000], warning[100];
    struct mu_run_dir *dir = open_run(0);

    signal(SIGXFSZ, SIG_IGN);
    put_steps(dir, 1, lost_from - 1);
    listen_begin();
    limit_files(events_size() + 90);
    put_steps(dir, lost_from, 20);
    limit_files(RLIM_INFINITY);
    listen_end(message, sizeof message);
    snprintf(warning, sizeof warning, "cannot write step %" PRId64 " for TensorBoard: ", lost_from);
    assert_int_equal(count(message, warning), 1);
    assert_int_equal(count(message, "for TensorBoard"), 1);
    put_steps(dir, 21, 22); /* there is room again */
    listen_begin();
    mu_run_dir_close(dir);
    listen_end(message, sizeof message);
    signal(SIGXFSZ, SIG_DFL);
    snprintf(warning, sizeof warning, "%" PRId64 " records could not be written for TensorBoard",
             21 - lost_from);
    assert_int_equal(count(message, warning), 1);
}

static void test_full_disk_costs_whole_steps(void **state)
{
    (void)state;
    fill_disk(5);
    assert_int_equal(read_files(texts), 1);
    assert_int_equal(count(texts[0], "step "), 6);
    assert_non_null(strstr(texts[0], "\nstep 4: "));
    assert_non_null(strstr(texts[0], "\nstep 21: "));
}

static void test_full_disk_from_the_start(void **state)
{
    (void)state;
    fill_disk(1);
    assert_int_equal(read_files(texts), 1);
    assert_int_equal(strncmp(texts[0], "version brain.Event:2\nstart 1\nstep 21: ", 39), 0);
}

static void test_no_folder_to_write_in(void **state)
{
    struct mu_run_dir *dir;
    char path[MU_PATH_MAX], message[4000];

    (void)state;
    assert_int_equal(mu_run_dir_lock(run, &dir), MU_OK);
    assert_int_equal(mu_path_format(path, "%s/tb", run), MU_OK);
    assert_int_equal(rmdir(path), 0);
    listen_begin();
    assert_int_equal(mu_run_dir_begin(dir, "", 0), MU_FAILED);
    listen_end(message, sizeof message);
    assert_non_null(strstr(message, "cannot read the folder "));
    mu_run_dir_close(dir);
}

int main(void)
{
#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_of_this_reader),
        cmocka_unit_test(test_bytes_are_tensorboards),
        IN_ROOT(test_what_a_run_leaves),
        IN_ROOT(test_generations_are_read_in_their_order),
        IN_ROOT(test_a_killed_writer_leaves_all_its_steps),
        IN_ROOT(test_full_disk_costs_whole_steps),
        IN_ROOT(test_full_disk_from_the_start),
        IN_ROOT(test_no_folder_to_write_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
