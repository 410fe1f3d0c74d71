/* worker/board: ranks of a job find each other, know who is alive and what each does, and tell why
 * one was ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/ptrace.h>

#include <pthread.h>
#include <sys/syscall.h>

#include "tests/support/board_rank.h"

static void ranks_see_each_other(void **state)
{
    struct child c = start_rank(job, 2);
    const struct mu_board_entry *e;
    struct mu_board *b;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_int_equal(mu_board_own_rank(b), 0);
    assert_true(mu_board_is_alive(mu_board_own(b)));
    assert_null(mu_board_entry(b, 1));
    assert_null(mu_board_entry(b, -1));
    assert_null(mu_board_entry(b, MU_BOARD_RANKS));
    e = mu_board_entry(b, 2);
    assert_non_null(e);
    assert_int_equal(e->pid, c.pid);
    assert_true(mu_board_is_alive(e));
    assert_int_equal(e->polls, 7);
    assert_int_equal(e->mark.point, MU_FAULT_BACKWARD);
    assert_int_equal(e->mark.step, 42);
    leave_orderly(c);
    assert_null(mu_board_entry(b, 2));
    mu_board_close(b);
    assert_false(board_exists(job)); /* the last one removes it */
}

/* When all leave, mpirun may end those that are still busy with it. */
static void it_goes_when_all_leave(void **state)
{
    for (int abandons = 0; abandons < 2; abandons++) {
        struct child c = start_rank(job, 2), d = start_rank(job, 3);
        struct mu_board_entry *e;
        struct mu_board *b;

        assert_int_equal(mu_board_open(&b), MU_OK);
        e = (struct mu_board_entry *)(uintptr_t)mu_board_entry(b, 2);
        atomic_store(&e->phase, MU_PHASE_LEAVING);
        mu_board_set_phase(b, MU_PHASE_LEAVING);
        mu_board_abandon(b);
        assert_true(board_exists(job)); /* one is at work */
        kill_rank(d);
        if (abandons)
            mu_board_abandon(b);
        else
            mu_board_close(b);
        assert_false(board_exists(job));
        kill_rank(c);
        if (abandons)
            mu_board_close(b);
    }
    (void)state;
}

/* Killed, and not waited for: kill_rank does that. */
static void make_zombie(struct child c)
{
    siginfo_t info;

    kill(c.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT), 0);
}

static void the_dead_are_known(void **state)
{
    struct child c = start_rank(job, 1);
    const struct mu_board_entry *e;
    struct mu_board *b;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    e = mu_board_entry(b, 1);
    make_zombie(c);
    assert_false(mu_board_is_alive(e)); /* a zombie */
    kill_rank(c);
    assert_false(mu_board_is_alive(e)); /* gone */
    assert_int_equal(e->mark.point, MU_FAULT_BACKWARD);
    mu_board_close(b);
    assert_false(board_exists(job)); /* the dead one is nobody */
}

/* Everybody, however often. */
static void an_end_is_known_to_all_who_ask(void **state)
{
    struct child c = start_rank(job, 1);
    const struct mu_board_entry *e;
    struct mu_board *b;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    e = mu_board_entry(b, 1);
    for (int i = 0; i < 3; i++) {
        assert_false(mu_board_has_ended(e));
        assert_false(mu_board_has_ended(mu_board_own(b)));
    }
    make_zombie(c);
    for (int i = 0; i < 5; i++) {
        pid_t other = fork();
        int status;

        if (other == 0)
            _exit(mu_board_has_ended(e) ? 0 : 1);
        assert_int_equal(waitpid(other, &status, 0), other);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(mu_board_has_ended(e));
        assert_true(mu_board_claim_end(b, 1) == (i == 0));
    }
    assert_false(mu_board_has_ended(mu_board_own(b)));
    assert_false(mu_board_claim_end(b, 0));
    kill_rank(c);
    mu_board_close(b);
}

static void *sleep_on(void *context)
{
    for (;;)
        pause();
    return context;
}

/* A process whose first thread has ended may write with another one. */
static void a_process_is_ended_with_all_its_threads(void **state)
{
    uint64_t start_time;
    pthread_t thread;
    siginfo_t info;
    char path[64], stat[256] = "";
    int go[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        pthread_create(&thread, NULL, sleep_on, NULL);
        if (read(go[0], path, 1) == 1)
            syscall(SYS_exit, 0);
        _exit(1);
    }
    start_time = mu_board_process_start((uint32_t)pid);
    assert_true(mu_board_process_may_write((uint32_t)pid, start_time));
    assert_false(mu_board_process_may_write((uint32_t)pid, start_time + 1));
    assert_int_equal(mu_board_end_process((uint32_t)pid, start_time + 1, 1000), MU_OK);
    assert_int_equal(write(go[1], "", 1), 1);
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    while (!strstr(stat, ") Z ")) { /* its first thread */
        FILE *f = fopen(path, "r");

        assert_non_null(f);
        assert_non_null(fgets(stat, sizeof stat, f));
        fclose(f);
    }
    assert_int_equal(mu_board_process_start((uint32_t)pid), 0);
    assert_true(mu_board_process_may_write((uint32_t)pid, start_time));
    assert_int_equal(mu_board_end_process((uint32_t)pid, start_time, 5000), MU_OK);
    assert_false(mu_board_process_may_write((uint32_t)pid, start_time));
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_KILLED);
    close(go[0]);
    close(go[1]);
}

static void what_a_rank_did_last_is_told(void **state)
{
    struct child c = start_rank(job, 1);
    struct mu_board *b;
    char due[96];

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    kill_rank(c);
    snprintf(due, sizeof due, " (pid %d, last seen at: backward, step 42)", c.pid);
    assert_string_equal(mu_board_last_seen(mu_board_entry(b, 1)).text, due);
    snprintf(due, sizeof due, " (pid %d, last seen at: start)", getpid());
    assert_string_equal(mu_board_last_seen(mu_board_own(b)).text, due);
    assert_string_equal(mu_board_last_seen(NULL).text, "");
    mu_board_close(b);
}

static void an_entry_says_what_its_rank_does(void **state)
{
    struct mu_watch_view v;
    struct mu_board *b;

    (void)state;
    be_rank(job, 3);
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_int_equal(mu_board_phase(mu_board_own(b)), MU_PHASE_STARTING);
    assert_int_equal(mu_board_set_phase(b, MU_PHASE_RUNNING), MU_PHASE_STARTING);
    mu_board_set_epoch(b, 4);
    mu_board_note_shard(b, 1000);
    mu_board_note_shard(b, 500);
    mu_fault(MU_FAULT_BACKWARD, 8);
    atomic_fetch_add(&mu_board_own(b)->polls, 5);
    v = mu_board_view(mu_board_entry(b, 3), 3);
    assert_int_equal(v.rank, 3);
    assert_int_equal(v.pid, getpid());
    assert_int_equal(v.start_time, mu_board_process_start((uint32_t)getpid()));
    assert_int_equal(v.polls, 5);
    assert_int_equal(v.phase, MU_PHASE_RUNNING);
    assert_int_equal(v.repair, 0);
    assert_int_equal(v.point, MU_FAULT_BACKWARD);
    assert_int_equal(v.shards_done, 2);
    assert_int_equal(v.compute_ns, 1500);
    assert_int_equal(v.group, 0);
    mu_board_set_group(b, 9);
    assert_int_equal(mu_board_view(mu_board_own(b), 3).group, 9);
    assert_int_equal(v.process, MU_PROCESS_NOT_ASKED);
    assert_int_equal(mu_board_enter_repair(b, 4), MU_PHASE_RUNNING);
    v = mu_board_view(mu_board_own(b), 3);
    assert_int_equal(v.phase, MU_PHASE_REPAIRING);
    assert_int_equal(v.repair, 4);
    mu_board_set_epoch(b, 5);
    assert_int_equal(mu_board_set_phase(b, MU_PHASE_RUNNING), MU_PHASE_REPAIRING);
    assert_int_equal(mu_board_own(b)->epoch, 5);
    mu_board_close(b);
    assert_int_equal(mu_board_set_phase(NULL, MU_PHASE_SAVING), MU_PHASE_SAVING);
    mu_board_set_epoch(NULL, 1);
    mu_board_note_shard(NULL, 1);
    mu_board_set_group(NULL, 1);
}

/* Two ranks that write at every poll do not share a cache line. */
static void entries_share_no_cache_line(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct mu_board_entry) % 128, 0);
}

/* The next process that is this rank begins with an empty entry, its predecessor's death told. */
static void an_entry_is_taken_over_empty(void **state)
{
    struct child keeper = start_rank(job, 1), dead = start_rank(job, 0);
    const struct mu_watch_fence f = {.rank = 0, .why = MU_FENCE_STILL};
    struct mu_board *b;
    struct mu_watch_view v;
    char told[256];

    (void)state;
    kill_rank(dead);
    be_rank(job, 2);
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_true(mu_board_claim_news(b, 0));
    assert_true(mu_board_claim_fence(b, &f));
    assert_int_equal(mu_board_entry(b, 0)->polls, 7);
    mu_board_close(b);
    be_rank(job, 0);
    assert_int_equal(mu_board_open(&b), MU_OK);
    v = mu_board_view(mu_board_own(b), 0);
    assert_int_equal(v.polls + v.beats + v.shards_done + v.compute_ns + v.repair, 0);
    assert_int_equal(v.phase, MU_PHASE_STARTING);
    assert_int_equal(v.point, MU_FAULT_START);
    assert_false(mu_board_tell_fence(mu_board_own(b), 0, told, sizeof told));
    assert_true(mu_board_claim_news(b, 0)); /* its own death would be news */
    assert_true(mu_board_claim_last_word(b));
    assert_false(mu_board_claim_last_word(b));
    leave_orderly(keeper);
    mu_board_close(b);
}

static void the_state_of_a_process_is_known(void **state)
{
    struct child c = start_rank(job, 1);
    const struct mu_board_entry *e;
    struct mu_board *b;
    int status;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    e = mu_board_entry(b, 1);
    assert_int_equal(mu_board_process_state(e), MU_PROCESS_RUNS);
    kill(c.pid, SIGSTOP);
    assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
    assert_int_equal(mu_board_process_state(e), MU_PROCESS_STOPPED);
    if (ptrace(PTRACE_SEIZE, c.pid, NULL, NULL) == 0) {
        kill(c.pid, SIGCONT);
        assert_int_equal(ptrace(PTRACE_INTERRUPT, c.pid, NULL, NULL), 0);
        assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
        assert_int_equal(mu_board_process_state(e), MU_PROCESS_TRACED);
    }
    kill_rank(c);
    assert_int_equal(mu_board_process_state(e), MU_PROCESS_GONE);
    mu_board_close(b);
}

static void who_ended_a_rank_and_why_is_told(void **state)
{
    static const struct {
        struct mu_watch_fence fence;
        const char *said;
    } cases[] = {
        {{.why = MU_FENCE_STILL, .phase = MU_PHASE_RUNNING, .still_ms = 10040},
         "rank 2 stood still for 10.0 s in backward of step 43 and was ended by rank 4095"},
        {{.why = MU_FENCE_STILL, .phase = MU_PHASE_SAVING, .still_ms = 600100},
         "rank 2 stood still for 600.1 s while saving and was ended by rank 4095"},
        {{.why = MU_FENCE_STOPPED, .phase = MU_PHASE_EVALUATING, .still_ms = 2000},
         "rank 2 was stopped by a signal for 2.0 s in backward of step 43 and was ended by rank "
         "4095"},
        {{.why = MU_FENCE_BEHIND, .phase = MU_PHASE_RUNNING, .still_ms = UINT64_MAX},
         "rank 2 stood still for 4294967.3 s in backward of step 43, kept the others from "
         "recovering, and was ended by rank 4095"},
        {{.why = MU_FENCE_IN_REPAIR, .phase = MU_PHASE_REPAIRING, .still_ms = 60000},
         "rank 2 did not come out of a recovery for 60.0 s and was ended by rank 4095"},
    };
    struct child c = start_rank(job, 2);
    struct mu_board *b;
    char told[256];

    (void)state;
    be_rank(job, MU_BOARD_RANKS - 1);
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_false(mu_board_tell_fence(mu_board_entry(b, 2), 2, told, sizeof told));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mu_watch_fence f = cases[i].fence;

        f.rank = 2;
        assert_true(mu_board_claim_fence(b, &f));
        assert_false(mu_board_claim_fence(b, &f)); /* once */
        assert_true(mu_board_tell_fence(mu_board_entry(b, 2), 2, told, sizeof told));
        assert_string_equal(told, cases[i].said);
        mu_board_withdraw_fence(b, 2);
        assert_false(mu_board_tell_fence(mu_board_entry(b, 2), 2, told, sizeof told));
    }
    leave_orderly(c);
    mu_board_close(b);
}

/* The pid lives, but in another process than the one that wrote itself down. */
static void a_pid_used_again_is_another_process(void **state)
{
    struct mu_board *b;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    atomic_fetch_sub(&mu_board_own(b)->start_time, 1);
    assert_false(mu_board_is_alive(mu_board_own(b)));
    mu_board_close(b);
}

static void start_times_are_of_living_processes(void **state)
{
    (void)state;
    assert_true(mu_board_process_start((uint32_t)getpid()) > 0);
    assert_true(mu_board_process_start((uint32_t)getpid()) >=
                mu_board_process_start((uint32_t)getppid()));
    assert_int_equal(mu_board_process_start(0x7fffffff), 0);
}

static void without_mpirun_it_is_a_job_of_one(void **state)
{
    struct mu_board *b;

    (void)state;
    unsetenv("PMIX_NAMESPACE");
    unsetenv("PMIX_RANK");
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("OMPI_MCA_ess_base_jobid");
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_int_equal(mu_board_own_rank(b), 0);
    assert_null(mu_board_entry(b, 1));
    mu_board_close(b);
}

static void ranks_beyond_the_board_are_refused(void **state)
{
    struct mu_board *b;

    (void)state;
    be_rank(job, MU_BOARD_RANKS);
    assert_int_equal(mu_board_open(&b), MU_FAILED);
    be_rank(job, MU_BOARD_RANKS - 1);
    assert_int_equal(mu_board_open(&b), MU_OK);
    mu_board_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BOARD(ranks_see_each_other),
        ON_A_BOARD(it_goes_when_all_leave),
        ON_A_BOARD(the_dead_are_known),
        ON_A_BOARD(an_end_is_known_to_all_who_ask),
        ON_A_BOARD(a_process_is_ended_with_all_its_threads),
        ON_A_BOARD(what_a_rank_did_last_is_told),
        ON_A_BOARD(an_entry_says_what_its_rank_does),
        ON_A_BOARD(entries_share_no_cache_line),
        ON_A_BOARD(an_entry_is_taken_over_empty),
        ON_A_BOARD(the_state_of_a_process_is_known),
        ON_A_BOARD(who_ended_a_rank_and_why_is_told),
        ON_A_BOARD(a_pid_used_again_is_another_process),
        ON_A_BOARD(start_times_are_of_living_processes),
        ON_A_BOARD(without_mpirun_it_is_a_job_of_one),
        ON_A_BOARD(ranks_beyond_the_board_are_refused),
    };

    return cmocka_run_group_tests(tests, quiet, NULL);
}
