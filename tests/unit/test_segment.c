/* worker/segment, the leader's part: it makes a segment, or takes up what an earlier generation has
 * left, when nobody of then can write any more. */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/own_segment.h"

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
    assert_int_equal(st.st_size, mu_segment_bytes(&o));
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
    uint64_t fp32;

    (void)state;
    o.bf16 = false;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_null(s.weight_bf16[0]);
    assert_null(s.weight_bf16[1]);
    mu_segment_close(&s, true);
    fp32 = mu_segment_bytes(&o);
    o.bf16 = true;
    assert_true(fp32 < mu_segment_bytes(&o));
}

/* What lies in a device's memory takes no room here. */
static void words_alone_are_short(void **state)
{
    struct mu_segment_options o = options_of(true);
    uint64_t whole = mu_segment_bytes(&o);
    struct mu_segment s;

    (void)state;
    o.words_only = true;
    assert_true(mu_segment_bytes(&o) + layout.elements * (14 + 14 + 4) < whole);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[0].prediction[layout.blocks - 1] = 3;
    s.largest[layout.blocks - 1] = 4;
    assert_null(s.sum[0].dense);
    mu_segment_close(&s, true);
}

/* A copy has the halves; totals and sums it has not, nor a second form of the weights. */
static void a_copy_has_state_alone(void **state)
{
    struct mu_segment_options o = options_of(true);
    const uint64_t e = layout.elements, whole = mu_segment_bytes(&o);
    struct mu_segment s;

    (void)state;
    o.state_only = true;
    o.bf16 = false;
    assert_true(mu_segment_bytes(&o) + e * (4 + 4 + 4 * RANKS) < whole);
    assert_true(mu_segment_bytes(&o) > e * 24);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    for (int h = 0; h < 2; h++)
        s.half[h].weight[e - 1] = s.half[h].m[e - 1] = s.half[h].v[e - 1] = 1;
    s.half[1].prediction[layout.blocks - 1] = 3;
    assert_null(s.sum[0].dense);
    mu_segment_close(&s, true);
}

/* There may be no room for it: no error, and no file. */
static void a_copy_without_room_is_not_reported(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct rlimit before, few = {1 << 16, 1 << 16};
    struct mu_segment s;

    (void)state;
    o.state_only = true;
    o.ranks = 1; /* who would take private memory else */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    few.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    assert_int_equal(mu_segment_open(&s, &o), MU_NO_MEMORY);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(exists());
}

/* One made for a state is none for copies of it, and the other way round. */
static void a_copy_is_taken_up_as_a_copy(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    o.bf16 = false;
    o.state_only = true;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.header->result[0].step = 9;
    s.header->state = 9 << 1; /* an odd step in half 0: as copies may have it */
    s.header->settled = 1;
    mu_segment_close(&s, false);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_true(s.header->taken_up);
    assert_int_equal(mu_segment_result(&s)->step, 9);
    mu_segment_close(&s, false);
    o.state_only = false;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_false(s.header->taken_up);
    mu_segment_close(&s, true);
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
        assert_int_equal(s.header->bytes, mu_segment_bytes(&o));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_alone_are_short),
        cmocka_unit_test(who_is_accused_looks_torn),
        UNDER_A_NAME(a_new_one_is_zero),
        UNDER_A_NAME(parts_lie_apart),
        UNDER_A_NAME(without_bf16_there_is_no_copy),
        UNDER_A_NAME(a_copy_has_state_alone),
        UNDER_A_NAME(a_copy_without_room_is_not_reported),
        UNDER_A_NAME(a_copy_is_taken_up_as_a_copy),
        UNDER_A_NAME(the_leader_replaces_what_the_dead_left),
        UNDER_A_NAME(what_is_settled_is_taken_up_by_any_number_of_ranks),
        UNDER_A_NAME(what_is_another_runs_or_not_settled_is_not_taken_up),
        UNDER_A_NAME(the_last_holder_is_ended_before_the_state_is_taken_up),
        UNDER_A_NAME(a_new_generation_keeps_its_name),
    };

    return cmocka_run_group_tests(tests, make_layout, free_layout);
}
