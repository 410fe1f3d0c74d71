/* A run directory in a folder of its own, and what its files and stderr say. For tests of
 * orchestrator/run; include after cmocka.h. */
#ifndef MUSTER_TESTS_RUN_FOLDER_H
#define MUSTER_TESTS_RUN_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/run/run_dir.h"

static char root[64], run[128]; /* `run`, inside `root`, is not made yet */

static inline int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/muster-run-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(run, sizeof run, "%s/runs/it's a_run", root);
    return 0;
}

static inline int remove_root(void **state)
{
    (void)state;
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

/* `run`, locked and begun. */
static inline enum mu_status open_run_dir(const char *config_text, int64_t resume_step,
                                          struct mu_run_dir **out)
{
    enum mu_status st = mu_run_dir_lock(run, out);

    return st == MU_OK ? mu_run_dir_begin(*out, config_text, resume_step) : st;
}

/* A file of the run directory as text; the caller frees. */
static inline char *read_text(const char *name)
{
    char path[MU_PATH_MAX], *text;
    size_t size;

    assert_int_equal(mu_path_format(path, "%s/%s", run, name), MU_OK);
    assert_int_equal(mu_file_read(path, 1 << 24, &text, &size), MU_OK);
    return text;
}

static inline void assert_file(const char *name, const char *expected)
{
    char *text = read_text(name);

    assert_string_equal(text, expected);
    free(text);
}

/* A file of the run directory. */
static inline bool exists(const char *name)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", run, name), MU_OK);
    return mu_file_exists(path);
}

/* What is written to stderr in between, for the messages. Through a pipe: a limit on the size of
 * files does not reach it. */
static int saved_stderr, messages;

static inline void listen_begin(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    messages = ends[0];
}

static inline void listen_end(char *text, size_t size)
{
    ssize_t n;

    dup2(saved_stderr, STDERR_FILENO); /* the last write end: what follows is the end of file */
    close(saved_stderr);
    n = read(messages, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    close(messages);
}

static inline size_t count(const char *text, const char *needle)
{
    size_t n = 0;

    for (; (text = strstr(text, needle)); text++)
        n++;
    return n;
}

#endif
