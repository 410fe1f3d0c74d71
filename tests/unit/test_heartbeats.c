/* worker/heartbeat and launch/heartbeats: a rank that lives is heard, one that dies is known to be
 * dead at once, one that is stopped falls silent; strangers are sent away; a rank that is taken for
 * dead ends. slurm/slurmd: a node's daemon is there, or gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/heartbeats.h"
#include "orchestrator/slurm/slurmd.h"

#define JOB "0123456789abcdef"

enum { RANKS = 3, DEADLINE_MS = 20000 };

static struct mu_heartbeats beats;

/* Over the loopback: a sandbox may have no other network. */
static void open_beats(void)
{
    char port[16];

    mu_heartbeats_open(&beats, JOB, RANKS);
    assert_non_null(beats.rank);
    snprintf(port, sizeof port, "%.*s", (int)strcspn(beats.where, " "), beats.where);
    snprintf(beats.where, sizeof beats.where, "%s 127.0.0.1", port);
}

/* A rank that lives until it is killed. `where`: what it is told. */
static pid_t begin_rank(unsigned rank, const char *where, const char *job)
{
    char number[16];
    pid_t pid = fork();

    if (pid > 0)
        return pid;
    snprintf(number, sizeof number, "%u", rank);
    setenv("PMIX_RANK", number, 1);
    setenv("MUSTER_JOB", job, 1);
    setenv("MUSTER_HEARTBEAT", where, 1);
    mu_log_set_level(MU_LOG_ERROR);
    if (mu_heartbeat_begin() == MU_OK)
        for (;;)
            pause();
    _exit(1);
}

static void end_rank(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Until that rank is in that state. */
static void look_until(uint32_t rank, enum mu_heartbeat_state state)
{
    const struct mu_deadline deadline = mu_deadline_in_ms(DEADLINE_MS);

    while (beats.rank[rank].state != state) {
        assert_false(mu_deadline_passed(deadline));
        mu_clock_sleep_us(5000);
        mu_heartbeats_look(&beats);
    }
}

static void ranks_are_heard_and_known_to_be_dead(void **state)
{
    pid_t pid[2];
    char host[256] = "";

    (void)state;
    gethostname(host, sizeof host - 1);
    open_beats();
    beats.rank[0].silent_ns = 3600 * 1000000000ull; /* its start has taken that long */
    pid[0] = begin_rank(0, beats.where, JOB);
    pid[1] = begin_rank(2, beats.where, JOB);
    look_until(0, MU_HEARTBEAT_LIVES);
    assert_true(beats.rank[0].silent_ns < 1000000000ull);
    look_until(2, MU_HEARTBEAT_LIVES);
    assert_string_equal(beats.rank[2].host, host);
    assert_int_equal(beats.rank[1].state, MU_HEARTBEAT_UNHEARD);
    end_rank(pid[1]);
    look_until(2, MU_HEARTBEAT_DEAD);
    assert_int_equal(beats.rank[0].state, MU_HEARTBEAT_LIVES);
    end_rank(pid[0]);
    look_until(0, MU_HEARTBEAT_DEAD);
    mu_heartbeats_close(&beats);
}

/* Silence is what the looks have waited through: a launcher that did not run has heard nothing. */
static void one_that_is_stopped_falls_silent(void **state)
{
    const uint64_t most_ns = 1500 * 1000000ull;
    const struct mu_deadline deadline = mu_deadline_in_ms(DEADLINE_MS);
    pid_t pid;

    (void)state;
    open_beats();
    pid = begin_rank(1, beats.where, JOB);
    look_until(1, MU_HEARTBEAT_LIVES);
    beats.looked_ns -= 3600 * 1000000000ull;
    mu_heartbeats_look(&beats);
    assert_true(beats.rank[1].silent_ns < most_ns);
    kill(pid, SIGSTOP);
    while (beats.rank[1].silent_ns < most_ns) {
        assert_false(mu_deadline_passed(deadline));
        mu_clock_sleep_us(20000);
        mu_heartbeats_look(&beats);
    }
    assert_int_equal(beats.rank[1].state, MU_HEARTBEAT_LIVES);
    kill(pid, SIGCONT);
    while (beats.rank[1].silent_ns >= most_ns) {
        assert_false(mu_deadline_passed(deadline));
        mu_clock_sleep_us(20000);
        mu_heartbeats_look(&beats);
    }
    end_rank(pid);
    mu_heartbeats_close(&beats);
}

/* When the launcher has closed the connection it counts on the rank's being dead. */
static void one_that_is_taken_for_dead_ends(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    open_beats();
    pid = begin_rank(0, beats.where, JOB);
    look_until(0, MU_HEARTBEAT_LIVES);
    mu_heartbeats_close(&beats);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Nobody there, another job's launcher, a rank that is there already: it lives on without. */
static void ranks_without_a_way_live_on(void **state)
{
    char where[64];
    pid_t pid[4];

    (void)state;
    open_beats();
    snprintf(where, sizeof where, "1 127.0.0.1"); /* nobody is there */
    pid[0] = begin_rank(0, beats.where, JOB);
    look_until(0, MU_HEARTBEAT_LIVES);
    pid[1] = begin_rank(0, beats.where, JOB);
    pid[2] = begin_rank(1, beats.where, "another");
    pid[3] = begin_rank(2, where, JOB);
    for (int i = 0; i < 100; i++) {
        mu_clock_sleep_us(10000);
        mu_heartbeats_look(&beats);
    }
    assert_int_equal(beats.rank[0].state, MU_HEARTBEAT_LIVES);
    assert_int_equal(beats.rank[1].state, MU_HEARTBEAT_UNHEARD);
    assert_int_equal(beats.rank[2].state, MU_HEARTBEAT_UNHEARD);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pid[i], NULL, WNOHANG), 0);
        end_rank(pid[i]);
    }
    mu_heartbeats_close(&beats);
}

/* ---- slurmd ---- */
static void a_nodes_daemon_is_there_or_gone(void **state)
{
    struct mu_slurm_allocation *a = calloc(1, sizeof *a);
    const bool ask[3] = {true, true, false};
    bool is_gone[3];
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t size = sizeof own;
    int door = socket(AF_INET, SOCK_STREAM, 0);

    (void)state;
    assert_non_null(a);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    assert_int_equal(bind(door, (struct sockaddr *)(void *)&own, size), 0);
    assert_int_equal(listen(door, 8), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)(void *)&own, &size), 0);
    a->hosts = 3;
    strcpy(a->host[0].name, "127.0.0.2");
    strcpy(a->host[1].name, "127.0.0.3"); /* has never answered: not known by that name */
    strcpy(a->host[2].name, "127.0.0.4"); /* is not asked */
    a->has_slurmd[0] = a->has_slurmd[2] = true;
    snprintf(a->slurmd_port, sizeof a->slurmd_port, "%u", (unsigned)ntohs(own.sin_port));

    mu_slurmd_knock(a, ask, is_gone);
    assert_false(is_gone[0] || is_gone[1] || is_gone[2]);
    close(door);
    mu_slurmd_knock(a, ask, is_gone);
    assert_true(is_gone[0]);
    assert_false(is_gone[1] || is_gone[2]);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_heard_and_known_to_be_dead),
        cmocka_unit_test(one_that_is_stopped_falls_silent),
        cmocka_unit_test(one_that_is_taken_for_dead_ends),
        cmocka_unit_test(ranks_without_a_way_live_on),
        cmocka_unit_test(a_nodes_daemon_is_there_or_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
