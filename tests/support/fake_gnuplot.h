/* A stand-in for gnuplot, first on PATH, and a PATH without one. Include after cmocka.h. */
#ifndef MUSTER_TESTS_FAKE_GNUPLOT_H
#define MUSTER_TESTS_FAKE_GNUPLOT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/file.h"

static char path_before[4096];

static inline void remember_path(void)
{
    const char *path = getenv("PATH");

    if (!path_before[0])
        snprintf(path_before, sizeof path_before, "%s", path ? path : "/usr/bin:/bin");
}

/* A shell script named gnuplot, in bin/ of `root`. */
static inline void fake_gnuplot(const char *root, const char *script)
{
    char folder[100], program[200], path[4400];

    remember_path();
    snprintf(folder, sizeof folder, "%s/bin", root);
    snprintf(program, sizeof program, "%s/gnuplot", folder);
    snprintf(path, sizeof path, "%s:%s", folder, path_before);
    assert_int_equal(mu_file_make_folders(folder), MU_OK);
    assert_int_equal(mu_file_write_atomically(program, script, strlen(script)), MU_OK);
    assert_int_equal(chmod(program, 0755), 0);
    setenv("PATH", path, 1);
}

static inline void no_gnuplot(void)
{
    remember_path();
    setenv("PATH", "/nonexistent", 1);
}

static inline void fake_gnuplot_end(void)
{
    if (path_before[0])
        setenv("PATH", path_before, 1);
}

#endif
