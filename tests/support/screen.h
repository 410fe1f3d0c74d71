/* What arrives on stderr, and what a person would see of it: a pseudo-terminal, or a pipe, read by
 * a small model of a screen. */
#ifndef MUSTER_TESTS_SCREEN_H
#define MUSTER_TESTS_SCREEN_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static char *captured; /* all that was written to stderr */
static size_t captured_size;

struct capture {
    int saved, write_end, read_end;
    pthread_t reader;
    int stop[2];
};

static inline void *drain(void *context)
{
    struct capture *c = context;
    struct pollfd look[2] = {{.fd = c->read_end, .events = POLLIN},
                             {.fd = c->stop[0], .events = POLLIN}};

    for (;;) {
        char part[4096];
        ssize_t n;

        poll(look, 2, -1);
        if (!(look[0].revents & POLLIN)) {
            if (look[1].revents)
                return NULL;
            continue;
        }
        n = read(c->read_end, part, sizeof part);
        if (n <= 0)
            return NULL;
        captured = realloc(captured, captured_size + (size_t)n + 1);
        memcpy(captured + captured_size, part, (size_t)n);
        captured_size += (size_t)n;
        captured[captured_size] = 0;
    }
}

/* Terminals have 24 rows. */
static inline void capture_begin(struct capture *c, bool terminal, int columns)
{
    free(captured);
    captured = strdup("");
    captured_size = 0;
    if (terminal) {
        struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};

        c->read_end = posix_openpt(O_RDWR | O_NOCTTY);
        assert_true(c->read_end >= 0);
        assert_int_equal(grantpt(c->read_end), 0);
        assert_int_equal(unlockpt(c->read_end), 0);
        c->write_end = open(ptsname(c->read_end), O_RDWR | O_NOCTTY);
        assert_true(c->write_end >= 0);
        assert_int_equal(ioctl(c->write_end, TIOCSWINSZ, &size), 0);
    } else {
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        c->read_end = ends[0];
        c->write_end = ends[1];
    }
    assert_int_equal(pipe(c->stop), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(dup2(c->write_end, STDERR_FILENO) >= 0);
    assert_int_equal(pthread_create(&c->reader, NULL, drain, c), 0);
}

static inline void capture_end(struct capture *c)
{
    dup2(c->saved, STDERR_FILENO);
    assert_int_equal(write(c->stop[1], "x", 1), 1);
    pthread_join(c->reader, NULL);
    close(c->saved);
    close(c->write_end);
    close(c->read_end);
    close(c->stop[0]);
    close(c->stop[1]);
}

/* What a person would see: the lines above the cursor, and the cursor's. Understands CR, LF, ESC[K,
 * and ESC[J, ESC[nA of what is redrawn in several lines; no other escapes: no colour. */
struct screen {
    char lines[4096][200];
    size_t count; /* of those above the cursor */
    const char *last;
    size_t longest;
    size_t draws; /* lines that begin with '[' */
};

static inline void show(struct screen *s)
{
    size_t column = 0, up;
    int used;

    memset(s, 0, sizeof *s);
    for (const char *c = captured; *c; c++) {
        char *line = s->lines[s->count];

        if (*c == '\r') {
            column = 0;
        } else if (*c == '\n') {
            assert_true(++s->count < 4096);
            column = 0;
        } else if (strncmp(c, "\033[K", 3) == 0) {
            memset(line + column, 0, sizeof *s->lines - column);
            c += 2;
        } else if (strncmp(c, "\033[J", 3) == 0) {
            memset(line + column, 0, sizeof *s->lines - column);
            memset(line + sizeof *s->lines, 0, (4095 - s->count) * sizeof *s->lines);
            c += 2;
        } else if (*c == '\033' && sscanf(c, "\033[%zu%n", &up, &used) == 1 && c[used] == 'A') {
            assert_in_range(up, 1, s->count);
            s->count -= up;
            c += used;
        } else {
            assert_true(*c >= ' ' && column + 1 < sizeof *s->lines);
            s->draws += *c == '[' && column == 0;
            line[column++] = *c;
            s->longest = column > s->longest ? column : s->longest;
        }
    }
    s->last = s->lines[s->count];
}

static inline size_t captured_count(const char *needle)
{
    size_t n = 0;

    for (const char *at = captured; (at = strstr(at, needle)); at++)
        n++;
    return n;
}

#endif
