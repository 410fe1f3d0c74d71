/* Ranks in processes of their own, each with its entry on a board of this test's. Include after
 * cmocka.h. */
#ifndef MUSTER_TESTS_BOARD_RANK_H
#define MUSTER_TESTS_BOARD_RANK_H

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "worker/board.h"

static char job[64]; /* of this test program alone */

static inline void be_rank(const char *name, int rank)
{
    char text[16];

    snprintf(text, sizeof text, "%d", rank);
    setenv("PMIX_NAMESPACE", name, 1);
    setenv("PMIX_RANK", text, 1);
}

/* For shm_open; as board.h says. */
static inline const char *board_name(const char *name)
{
    static char text[64];

    snprintf(text, sizeof text, "/muster-%u-%.16s.board", (unsigned)geteuid(),
             mu_hash_print(mu_hash_bytes(name, strlen(name), 0)).text + 16);
    return text;
}

static inline bool board_exists(const char *name)
{
    int fd = shm_open(board_name(name), O_RDWR, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static inline int set_up(void **state)
{
    (void)state;
    snprintf(job, sizeof job, "test-board-%ld", (long)getpid());
    be_rank(job, 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    shm_unlink(board_name(job));
    return 0;
}

/* A rank in a process of its own, on its board until it is told otherwise. */
struct child {
    pid_t pid;
    int go; /* closed: leave orderly */
};

static inline struct child start_rank(const char *name, int rank)
{
    int ready[2], go[2];
    char byte;
    struct child c;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    c.pid = fork();
    if (c.pid == 0) {
        struct mu_board *b;

        close(ready[0]);
        close(go[1]);
        be_rank(name, rank);
        if (mu_board_open(&b) != MU_OK)
            _exit(1);
        mu_fault(MU_FAULT_BACKWARD, 40 + rank);
        atomic_fetch_add(&mu_board_own(b)->polls, 7);
        if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) != 0)
            _exit(1);
        mu_board_close(b);
        _exit(0);
    }
    close(ready[1]);
    close(go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    c.go = go[1];
    return c;
}

static inline void leave_orderly(struct child c)
{
    int status;

    close(c.go);
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    assert_int_equal(status, 0);
}

static inline void kill_rank(struct child c)
{
    int status;

    kill(c.pid, SIGKILL);
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    close(c.go);
}

static inline int quiet(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

#define ON_A_BOARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
