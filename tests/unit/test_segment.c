/* worker/segment: one leader makes it, the others attach, from processes of their own; they attach
 * to no other generation's, and to nothing that is not theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/segment.h"

enum { RANKS = 3, GENERATION = 77, PATIENCE_MS = 20000 };

static struct mu_layout layout;
static enum mu_status poll_says;
static uint64_t run_key; /* of this test alone */

static enum mu_status look(void *context)
{
    (void)context;
    return poll_says;
}

static struct mu_segment_options options_of(bool leader)
{
    return (struct mu_segment_options){.layout = &layout,
                                       .run_key = run_key,
                                       .generation = GENERATION,
                                       .host = 2,
                                       .ranks = RANKS,
                                       .leader = leader,
                                       .bf16 = true,
                                       .deadline_ms = PATIENCE_MS,
                                       .poll = look};
}

/* As segment.h says; for shm_open. */
static const char *own_name(void)
{
    static char name[96];

    snprintf(name, sizeof name, "/muster-%u-%016llx-h00000002", (unsigned)geteuid(),
             (unsigned long long)run_key);
    return name;
}

static const char *own_path(void)
{
    static char path[128];

    snprintf(path, sizeof path, "/dev/shm%s", own_name());
    return path;
}

static bool exists(void)
{
    struct stat s;

    return lstat(own_path(), &s) == 0;
}

static int set_up(void **state)
{
    (void)state;
    run_key = mu_clock_ns() ^ (uint64_t)getpid() << 40;
    poll_says = MU_OK;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shm_unlink(own_name());
    return 0;
}

static bool is_of_generation(uint64_t generation)
{
    struct mu_segment_header h;
    int fd = shm_open(own_name(), O_RDONLY, 0600);
    bool is =
        fd >= 0 && pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h && h.generation == generation;

    if (fd >= 0)
        close(fd);
    return is;
}

static void a_new_one_is_zero(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;
    struct stat st;

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_false(s.is_private);
    assert_string_equal(s.name, own_name());
    assert_int_equal(stat(own_path(), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, mu_segment_bytes(&layout, RANKS, 0, true));
    assert_int_equal(mu_segment_step(&s), 0);
    assert_int_equal(mu_segment_half(&s), 0);
    assert_true(s.header->generation == GENERATION);
    assert_true(s.header->layout_identity == mu_layout_identity(&layout));
    for (uint64_t i = 0; i < layout.elements; i++)
        assert_true(s.half[0].weight[i] == 0 && s.half[1].v[i] == 0 && s.total[i] == 0 &&
                    s.sum[RANKS - 1].dense[i] == 0);
    for (uint32_t c = 0; c < layout.chunk_count; c++)
        assert_true(s.chunk[c].reduced == 0 && s.chunk[c].written == 0);
    mu_segment_close(&s, true);
    assert_false(exists());
}

static void ranges_do_not_overlap(uint8_t *from[], size_t bytes[], int n, uint8_t *map,
                                  size_t map_bytes)
{
    for (int i = 0; i < n; i++) {
        assert_true((uintptr_t)from[i] % 64 == 0);
        assert_true(from[i] >= map && from[i] + bytes[i] <= map + map_bytes);
        for (int j = 0; j < n; j++)
            assert_true(i == j || from[i] + bytes[i] <= from[j] || from[j] + bytes[j] <= from[i]);
    }
}

#define RANGE(pointer, size)                    \
    do {                                        \
        from[n] = (uint8_t *)(void *)(pointer); \
        bytes[n++] = (size);                    \
    } while (0)

static void parts_lie_apart(void **state)
{
    struct mu_segment_options o = options_of(true);
    uint64_t e = layout.elements, b = layout.blocks;
    uint8_t *from[64];
    size_t bytes[64];
    struct mu_segment s;
    int n = 0;

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    RANGE(s.header, sizeof *s.header);
    RANGE(s.chunk, layout.chunk_count * sizeof *s.chunk);
    RANGE(s.rank, RANKS * sizeof *s.rank);
    for (int h = 0; h < 2; h++) {
        RANGE(s.half[h].weight, e * 4);
        RANGE(s.half[h].m, e * 4);
        RANGE(s.half[h].v, e * 4);
        RANGE(s.half[h].prediction, b * 2);
        RANGE(s.weight_bf16[h], e * 2);
    }
    RANGE(s.total, e * 4);
    RANGE(s.largest, b);
    for (int r = 0; r < RANKS; r++) {
        RANGE(s.sum[r].dense, e * 4);
        RANGE(s.sum[r].largest, b);
        RANGE(s.sum[r].escaped, (b + 63) / 64 * 8);
        RANGE(s.sum[r].slot_of, b * 4);
        RANGE(s.sum[r].slots, mu_exact_sum_capacity(&layout) * MU_BLOCK * 8);
        RANGE(s.sum[r].counts, sizeof *s.sum[r].counts);
    }
    ranges_do_not_overlap(from, bytes, n, (uint8_t *)s.header, s.header->bytes);
    mu_segment_close(&s, true);
}

static void without_bf16_there_is_no_copy(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    o.bf16 = false;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_null(s.weight_bf16[0]);
    assert_null(s.weight_bf16[1]);
    mu_segment_close(&s, true);
    assert_true(mu_segment_bytes(&layout, RANKS, 0, false) <
                mu_segment_bytes(&layout, RANKS, 0, true));
}

/* A rank in a process of its own: attaches, reads what the leader wrote, writes into its own sum.
 * Exit code: the status, or 100 when it did not find what was to be there. */
static pid_t start_follower(struct mu_segment_options o, uint32_t rank)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct mu_segment s;
        enum mu_status st = mu_segment_open(&s, &o);

        if (st != MU_OK)
            _exit((int)st);
        if (s.half[1].m[5] != 2.5f || memcmp(s.header->magic, "MUSTERS1", 8) != 0)
            _exit(100);
        s.sum[rank].dense[7] = (int32_t)rank + 1000;
        mu_segment_close(&s, false);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static int exit_code_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void all_ranks_share_it(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;
    pid_t pid[RANKS];

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[1].m[5] = 2.5f;
    for (uint32_t r = 1; r < RANKS; r++)
        pid[r] = start_follower(options_of(false), r);
    for (uint32_t r = 1; r < RANKS; r++) {
        assert_int_equal(exit_code_of(pid[r]), MU_OK);
        assert_int_equal(s.sum[r].dense[7], 1000 + r);
    }
    assert_true(exists()); /* they took only themselves away */
    mu_segment_close(&s, true);
}

/* The others may come first; and what an earlier generation left under the name, even of the right
 * size, is not what they wait for. */
static void followers_wait_for_their_generation(void **state)
{
    struct mu_segment_options old = options_of(true), o = options_of(true);
    struct mu_segment dead, s;
    pid_t pid;

    (void)state;
    old.generation = GENERATION - 1;
    assert_int_equal(mu_segment_open(&dead, &old), MU_OK);
    dead.half[1].m[5] = 9;
    pid = start_follower(options_of(false), 1);
    mu_clock_sleep_us(20000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGSTOP); /* it is to look when 2.5 is there */
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[1].m[5] = 2.5f;
    kill(pid, SIGCONT);
    assert_int_equal(exit_code_of(pid), MU_OK);
    assert_int_equal(s.sum[1].dense[7], 1001);
    assert_true(dead.half[1].m[5] == 9 && dead.sum[1].dense[7] == 0); /* left alone */
    mu_segment_close(&dead, false);
    mu_segment_close(&s, true);
    assert_false(exists());
}

static enum mu_status attach_in_vain(void)
{
    struct mu_segment_options o = options_of(false);
    struct mu_segment s;
    enum mu_status st;

    o.deadline_ms = 20;
    st = mu_segment_open(&s, &o);
    assert_null(s.header);
    assert_null(s.sum);
    return st;
}

static void waiting_ends_with_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
}

static void waiting_ends_when_a_rank_dies(void **state)
{
    (void)state;
    poll_says = MU_PEER_LOST;
    assert_int_equal(attach_in_vain(), MU_PEER_LOST);
}

static void another_generation_is_not_attached(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    o.generation = GENERATION + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    mu_segment_close(&s, true);
}

/* The right generation made otherwise: refused at once, not waited for. */
static void another_shape_is_refused(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_layout same_size = layout;
    struct mu_tensor tensors[3];
    struct mu_segment s;

    (void)state;
    o.ranks = RANKS + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
    o = options_of(true);
    o.bf16 = false;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
    memcpy(tensors, layout.tensors, sizeof tensors);
    strcpy(tensors[0].spec.name, "renamed");
    same_size.tensors = tensors;
    assert_true(mu_layout_identity(&same_size) != mu_layout_identity(&layout));
    o = options_of(true);
    o.layout = &same_size;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
}

static void another_magic_is_refused(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.header->magic[7]++;
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
}

/* Nothing is read beyond the end of a file that has no header yet. */
static void a_short_file_is_waited_for(void **state)
{
    int fd = shm_open(own_name(), O_RDWR | O_CREAT | O_EXCL, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 8), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    close(fd);
}

static void the_leader_replaces_what_the_dead_left(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment old, s;

    (void)state;
    o.ranks = 1;
    assert_int_equal(mu_segment_open(&old, &o), MU_OK);
    old.half[0].weight[0] = 3;
    old.header->state = 14;
    assert_true(exists());
    mu_segment_close(&old, false); /* killed: the name stays */
    o = options_of(true);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_true(s.half[0].weight[0] == 0);
    assert_int_equal(mu_segment_step(&s), 0);
    mu_segment_close(&s, true);
}

/* As a generation that was killed in the middle of step 8 leaves it: state of 7 steps in half 1. */
static void leave_behind(struct mu_segment_options o)
{
    struct mu_segment old;

    assert_int_equal(mu_segment_open(&old, &o), MU_OK);
    old.half[1].weight[layout.elements - 1] = 3;
    old.half[1].prediction[0] = 17;
    old.header->result[1].step = 7;
    old.header->state = 7 << 1 | 1;
    old.header->settled = 1;
    old.chunk[0].reduced = 16;
    old.chunk[0].written = 8;
    old.rank[0].entered = 16;
    old.rank[0].pid = 0; /* of this process, which is not to be killed */
    mu_segment_close(&old, false);
}

static void what_is_settled_is_taken_up_by_any_number_of_ranks(void **state)
{
    static const uint32_t before[] = {1, RANKS, RANKS + 3};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct mu_segment_options o = options_of(true);
        struct mu_segment s;

        o.ranks = before[i];
        leave_behind(o);
        o = options_of(true);
        o.generation = GENERATION + 1;
        assert_int_equal(mu_segment_open(&s, &o), MU_OK);
        assert_int_equal(s.header->taken_up, 1);
        assert_int_equal(mu_segment_step(&s), 7);
        assert_int_equal(mu_segment_half(&s), 1);
        assert_true(s.half[1].weight[layout.elements - 1] == 3);
        assert_int_equal(s.half[1].prediction[0], 17);
        assert_int_equal(s.header->result[1].step, 7);
        assert_true(s.chunk[0].reduced == 0 && s.chunk[0].written == 0);
        assert_true(s.rank[0].entered == 0 && s.rank[RANKS - 1].entered == 0);
        assert_int_equal(s.header->bytes, mu_segment_bytes(&layout, RANKS, 0, true));
        mu_segment_reset(&s);
        assert_true(s.header->settled == 0 && mu_segment_step(&s) == 0);
        mu_segment_close(&s, true);
    }
}

static void what_is_another_runs_or_not_settled_is_not_taken_up(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct mu_segment_options o = options_of(true);
        struct mu_segment s;

        o.run_id = i == 0 ? 5 : 0;
        o.bf16 = i != 1;
        o.eval_pieces = i == 2 ? 3 : 0;
        leave_behind(o);
        if (i == 3) {
            int fd = shm_open(own_name(), O_RDWR, 0600);
            struct mu_segment_header *h =
                mmap(NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

            h->settled = 0;
            munmap(h, sizeof *h);
            close(fd);
        }
        o = options_of(true);
        assert_int_equal(mu_segment_open(&s, &o), MU_OK);
        assert_int_equal(s.header->taken_up, 0);
        assert_int_equal(mu_segment_step(&s), 0);
        assert_true(s.half[1].weight[layout.elements - 1] == 0);
        mu_segment_close(&s, true);
    }
}

/* Whoever still has the segment and could write is ended first. */
static void the_last_holder_is_ended_before_the_state_is_taken_up(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;
    int status;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        leave_behind(o);
        o.generation = GENERATION + 1;
        if (mu_segment_open(&s, &o) != MU_OK)
            _exit(1);
        for (;;)
            pause();
    }
    while (!exists() || !is_of_generation(GENERATION + 1))
        mu_clock_sleep_us(1000);
    o.generation = GENERATION + 2;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(mu_segment_step(&s), 7);
    mu_segment_close(&s, true);
}

/* A leader that is late to close takes away nothing of the next generation's. */
static void a_new_generation_keeps_its_name(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment old, s;

    (void)state;
    assert_int_equal(mu_segment_open(&old, &o), MU_OK);
    o.generation = GENERATION + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    mu_segment_close(&old, true);
    assert_true(exists());
    mu_segment_close(&s, true);
    assert_false(exists());
}

/* A link under the name: the leader takes it away and makes its own, the others do not follow
 * it. */
static void a_planted_link_is_not_followed(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment_options elsewhere = options_of(true);
    struct mu_segment target, s;
    struct stat st;

    (void)state;
    elsewhere.run_key = run_key ^ 1;
    assert_int_equal(mu_segment_open(&target, &elsewhere), MU_OK); /* right in all but the name */
    assert_int_equal(symlink(target.name + 1, own_path()), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[0].weight[0] = 4;
    assert_true(target.half[0].weight[0] == 0);
    assert_int_equal(lstat(own_path(), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    mu_segment_close(&s, true);
    mu_segment_close(&target, true);
}

static void anothers_segment_is_not_attached(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    if (geteuid() != 0) {
        print_message("only root can make another user's file\n");
        skip();
    }
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(chown(own_path(), 65534, 65534), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    mu_segment_close(&s, true);
}

static int make_layout(void **state)
{
    static const struct mu_tensor_spec specs[] = {
        {.name = "w", .rows = 40, .cols = 300, .decay = true, .dense = true},
        {.name = "b", .rows = 1, .cols = 77, .dense = true},
        {.name = "e", .rows = 1200, .cols = 256, .dense = true, .row_addends = 1}};

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return mu_layout_init(&layout, specs, 3) == MU_OK ? 0 : -1;
}

static int free_layout(void **state)
{
    (void)state;
    mu_layout_deinit(&layout);
    return 0;
}

/* An audit's word stands, whatever the accused does to its own words before it is ended. */
static void who_is_accused_looks_torn(void **state)
{
    static struct mu_rank_words words;
    const uint64_t turn = 2 * 40 + 1;

    (void)state;
    atomic_store(&words.adding, turn << 1);
    assert_int_equal(mu_segment_adding(&words), turn << 1);
    atomic_store(&words.accused, turn);
    assert_int_equal(mu_segment_adding(&words), turn << 1 | 1);
    atomic_store(&words.adding, turn << 1 | 1);
    atomic_store(&words.adding, turn << 1); /* another shard is added */
    assert_int_equal(mu_segment_adding(&words), turn << 1 | 1);
    atomic_store(&words.adding, (turn + 1) << 1);
    assert_int_equal(mu_segment_adding(&words), (turn + 1) << 1);
}

#define UNDER_A_NAME(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_accused_looks_torn),
        UNDER_A_NAME(a_new_one_is_zero),
        UNDER_A_NAME(parts_lie_apart),
        UNDER_A_NAME(without_bf16_there_is_no_copy),
        UNDER_A_NAME(all_ranks_share_it),
        UNDER_A_NAME(followers_wait_for_their_generation),
        UNDER_A_NAME(waiting_ends_with_the_deadline),
        UNDER_A_NAME(waiting_ends_when_a_rank_dies),
        UNDER_A_NAME(another_generation_is_not_attached),
        UNDER_A_NAME(another_shape_is_refused),
        UNDER_A_NAME(another_magic_is_refused),
        UNDER_A_NAME(a_short_file_is_waited_for),
        UNDER_A_NAME(the_leader_replaces_what_the_dead_left),
        UNDER_A_NAME(what_is_settled_is_taken_up_by_any_number_of_ranks),
        UNDER_A_NAME(what_is_another_runs_or_not_settled_is_not_taken_up),
        UNDER_A_NAME(the_last_holder_is_ended_before_the_state_is_taken_up),
        UNDER_A_NAME(a_new_generation_keeps_its_name),
        UNDER_A_NAME(a_planted_link_is_not_followed),
        UNDER_A_NAME(anothers_segment_is_not_attached),
    };

    return cmocka_run_group_tests(tests, make_layout, free_layout);
}
