/* A program, or a function of this one, that runs apart: in a process of its own, under a deadline,
 * with what it says kept. For questions whose answer may never come: a driver, a file system or a
 * command that hangs must not hang who asks. Several run at the same time.
 *
 *         start, call, adopt                  it ends; or the deadline: TERM, then KILL
 *   (over) -------------------> (under way) -------------------------------------------> (over)
 *
 * One that does not even end when it is killed (it waits in the kernel) is left behind, `late`. All
 * of them die with this process. */
#ifndef MUSTER_BASE_APART_H
#define MUSTER_BASE_APART_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "orchestrator/base/clock.h"

enum { MU_APART_TEXT = 16384 };

struct mu_apart {
    pid_t pid;        /* 0: over */
    int output;       /* -1: closed */
    int error;        /* errno: it could not be started (ENOENT: there is no such program) */
    int status;       /* as of waitpid, once it is over and neither `error` nor `late` is set */
    bool late;        /* it was ended at its deadline */
    unsigned signals; /* sent so far */
    struct mu_deadline deadline;
    size_t length;                /* of the text; what does not fit is dropped */
    char text[MU_APART_TEXT + 1]; /* stdout, ends with a zero byte */
};

/* words: a program, found on PATH, and its arguments; NULL ends them. stdin is empty; stderr goes
 * where stdout goes. */
void mu_apart_start(struct mu_apart *a, const char *const *words, unsigned deadline_ms);
/* work(context, out): what it writes to `out` is kept; what it prints is thrown away, and what it
 * changes in memory is its own. The process has one thread, and ends with exit code 0 after it. */
void mu_apart_call(struct mu_apart *a, void (*work)(void *context, int out), void *context,
                   unsigned deadline_ms);
/* A process that is a child already and leads its group; `output`: the end of a pipe that it writes
 * to. Both belong to `a` from now on. */
void mu_apart_adopt(struct mu_apart *a, pid_t pid, int output, unsigned deadline_ms);

/* Until all of them are over: those that were never started (zeros) are. stop: once it is not 0
 * (set by a signal's handler), as if every deadline had passed; NULL: never. */
void mu_apart_wait(struct mu_apart *const *list, size_t count, const volatile sig_atomic_t *stop);

/* One look at what runs for long, by who does other things meanwhile: whether it is under way. */
bool mu_apart_look(struct mu_apart *a);

/* It ran and ended with 0. */
bool mu_apart_succeeded(const struct mu_apart *a);
/* Why it did not: "there is no such program", "no answer in time", "ended by signal 9", "ended with
 * 1: the line that tells most of what it wrote". */
void mu_apart_explain(const struct mu_apart *a, char *text, size_t size);

#endif
