/* launch/trials: how far a sweep has come, by sweep.json and by what lies in memory; launch/outcome
 * of a sweep; launch/remains: the segments of its trials; launch/tell: what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/launch/trials.h"
#include "tests/support/run_folder.h"
#include "worker/segment.h"
#include "worker/shm_file.h"

static void put_sweep(const char *members)
{
    char path[160], text[2048];

    snprintf(path, sizeof path, "%s/sweep.json", root);
    snprintf(text, sizeof text, "{\"schema\": \"muster-sweep-1\", %s}", members);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

/* As worker/segment.c makes it for a trial of the sweep in that folder. */
static void name_segment(char out[96], const char *sweep, const char *trial)
{
    char path[256];
    uint64_t key;

    snprintf(path, sizeof path, "%s/trials/%s", sweep, trial);
    key = mu_segment_trial_key(mu_hash_bytes(sweep, strlen(sweep), 0).low,
                               mu_hash_bytes(path, strlen(path), 0).low);
    snprintf(out, 96, "/muster-%u-%016" PRIx64 "-h00000001", (unsigned)geteuid(), key);
}

/* Held by nobody afterwards. */
static void make_segment(const char *sweep, const char *trial, int64_t step, bool settled)
{
    struct mu_segment_header *h;
    char name[96];
    int fd;

    name_segment(name, sweep, trial);
    assert_int_equal(mu_shm_file_open(name, O_CREAT, &fd), 0);
    assert_int_equal(ftruncate(fd, 8192), 0);
    h = mmap(NULL, sizeof *h, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(h != MAP_FAILED);
    h->state = (uint64_t)step << 1;
    h->settled = settled;
    munmap(h, sizeof *h);
    close(fd);
}

/* Of that sweep: other tests have their own. */
static void remove_stale(const char *sweep)
{
    char beginning[16];

    snprintf(beginning, sizeof beginning, "%08" PRIx32,
             (uint32_t)mu_hash_bytes(sweep, strlen(sweep), 0).low);
    mu_shm_file_remove_stale(beginning, "", NULL);
}

static bool is_there(const char *sweep, const char *trial)
{
    char name[96];
    int fd;

    name_segment(name, sweep, trial);
    if (mu_shm_file_open(name, 0, &fd) != 0)
        return false;
    close(fd);
    return true;
}

static void only_what_no_generation_had_is_a_gain(void **state)
{
    struct mu_trials t = {.item = NULL};
    struct mu_segments none;

    (void)state;
    mu_segments_begin(&none, root, true);
    assert_int_equal(mu_trials_look(&t, root, &none), -1);
    put_sweep("\"phases\": {\"complete\": 1, \"diverged\": 1, \"failed\": 3}, \"recent\": "
              "[{\"name\": \"a\", \"step\": 10}], \"live\": [{\"name\": \"b\", \"step\": 4}]");
    assert_int_equal(mu_trials_look(&t, root, &none), 10 + 4 + 2);
    /* b begins again, c is new; then b gets as far as before, and further. */
    put_sweep("\"phases\": {\"complete\": 1}, \"live\": [{\"name\": \"c\", \"step\": 1}, "
              "{\"name\": \"b\", \"step\": 0}]");
    assert_int_equal(mu_trials_look(&t, root, &none), 10 + 4 + 1 + 2);
    put_sweep("\"live\": [{\"name\": \"b\", \"step\": 4}]");
    assert_int_equal(mu_trials_look(&t, root, &none), 10 + 4 + 1 + 2);
    put_sweep("\"live\": [{\"name\": \"b\", \"step\": 5}]");
    assert_int_equal(mu_trials_look(&t, root, &none), 10 + 5 + 1 + 2);
    put_sweep("\"live\": 7, \"phases\": [], \"recent\": [1, {\"name\": 3}]");
    assert_int_equal(mu_trials_look(&t, root, &none), 10 + 5 + 1 + 2);
    mu_trials_deinit(&t);
}

static void many_trials_are_told_apart(void **state)
{
    struct mu_trials t = {.item = NULL};
    struct mu_segments none;
    char members[128];

    (void)state;
    mu_segments_begin(&none, root, true);
    for (int round = 1; round <= 2; round++)
        for (int i = 0; i < 200; i++) {
            snprintf(members, sizeof members, "\"live\": [{\"name\": \"t%d\", \"step\": %d}]",
                     i * 7 % 200, round);
            put_sweep(members);
            assert_int_equal(mu_trials_look(&t, root, &none), (round - 1) * 200 + i + 1);
        }
    assert_int_equal(t.count, 200);
    mu_trials_deinit(&t);
}

static void states_in_memory_count_and_are_held(void **state)
{
    struct mu_trials t = {.item = NULL};
    struct mu_segments s;
    char other[160];
    uint32_t trial;

    (void)state;
    snprintf(other, sizeof other, "%s/another", root);
    make_segment(root, "a", 30, true);
    make_segment(root, "b", 20, false); /* not whole */
    make_segment(other, "a", 40, true);
    put_sweep("\"live\": [{\"name\": \"a\", \"step\": 29}, {\"name\": \"b\", \"step\": 3}]");
    mu_segments_begin(&s, root, true);
    assert_int_equal(mu_segments_hold(&s), 30);
    assert_int_equal(s.count, 2);
    assert_int_equal(mu_trials_look(&t, root, &s), 30 + 3);
    assert_true(mu_segments_step(&s, 0, &trial) + mu_segments_step(&s, 1, &trial) == 30 - 1);
    remove_stale(root); /* as the start of another run does */
    remove_stale(other);
    assert_true(is_there(root, "a") && is_there(root, "b") && !is_there(other, "a"));
    mu_segments_end(&s, true);
    assert_false(is_there(root, "a") || is_there(root, "b"));
    mu_trials_deinit(&t);
}

static void only_what_this_generation_wrote_is_believed(void **state)
{
    struct mu_outcome o;
    uint64_t signs;

    (void)state;
    put_sweep("\"launch\": \"other\", \"outcome\": \"complete\", \"eta\": 12.5");
    o = mu_outcome_read(root, "job");
    assert_true(o.is_there && !o.is_of_job && !o.is_running);
    assert_int_equal(o.outcome, MU_LADDER_NOTHING);
    assert_int_equal(o.step, -1);
    assert_true(o.left_s == 12.5);
    o = mu_outcome_read(root, "other");
    assert_true(o.is_of_job && o.is_running && !o.agreed);
    assert_int_equal(o.outcome, MU_LADDER_COMPLETE);
    put_sweep("\"launch\": \"job\", \"outcome\": \"failed\"");
    o = mu_outcome_read(root, "job");
    assert_true(o.agreed);
    assert_int_equal(o.outcome, MU_LADDER_FAILED);
    put_sweep("\"launch\": \"job\", \"outcome\": \"requeue\", \"ended\": \"stopped\"");
    o = mu_outcome_read(root, "job");
    assert_int_equal(o.outcome, MU_LADDER_REQUEUE);
    assert_false(o.was_stopped);
    put_sweep("\"launch\": \"job\", \"outcome\": \"requeue\", \"stopped_by\": \"request\"");
    assert_true(mu_outcome_read(root, "job").was_stopped);
    /* The end is told before the last report: it is none yet. Nobody: plain mpirun. */
    put_sweep("\"launch\": null, \"outcome\": null, \"ended\": \"complete: 3 trials\", \"eta\": "
              "null");
    o = mu_outcome_read(root, "job");
    assert_true(o.is_there && !o.is_of_job && isnan(o.left_s));
    /* Time passes, and nothing happens. */
    put_sweep("\"now\": 1.0, \"live\": [{\"name\": \"a\", \"step\": 3}]");
    signs = mu_outcome_read(root, "job").signs;
    put_sweep("\"now\": 2.0, \"live\": [{\"name\": \"a\", \"step\": 3}]");
    assert_true(signs == mu_outcome_read(root, "job").signs);
    put_sweep("\"now\": 2.0, \"live\": [{\"name\": \"a\", \"step\": 4}]");
    assert_true(signs != mu_outcome_read(root, "job").signs);
}

static void from_where_it_goes_on_is_told(void **state)
{
    static struct mu_launch l = {.is_sweep = true, .trials = {.steps = 41}};
    const struct mu_ladder_plan plan = {.ranks = 2, .hosts = 1};
    const struct mu_ladder_next next = {.cause = MU_CAUSE_RANKS_DIED, .no_progress = true};
    const struct mu_ladder_end end = {.step = 44};
    char message[2000];

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    l.now.number = 3;
    l.ladder.most_still = 3;
    mu_launch_note_story(&l, &next, &end);
    listen_begin();
    mu_launch_tell_relaunch(&l, &plan, 0);
    l.memory_trials = 1;
    mu_launch_tell_relaunch(&l, &plan, 0);
    mu_launch_tell_diagnosis(&l, &next);
    listen_end(message, sizeof message);
    assert_non_null(strstr(message, "generation 3: ranks died after 41 steps of its trials; "
                                    "starting again with 2 ranks on 1 host, from its journal ("));
    assert_non_null(strstr(message, "from its journal, the states of 1 trial in memory ("));
    assert_non_null(strstr(message, "the sweep does not get beyond 41 steps of its trials: in 3 "
                                    "generations in a row no trial has committed anything new"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_no_generation_had_is_a_gain, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(many_trials_are_told_apart, make_root, remove_root),
        cmocka_unit_test_setup_teardown(states_in_memory_count_and_are_held, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(only_what_this_generation_wrote_is_believed, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(from_where_it_goes_on_is_told, make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
