#include "orchestrator/points/table_csv.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT(x)                        #x
#define VERSION(major, minor, release) "libcsv " TEXT(major) "." TEXT(minor) "." TEXT(release)

const char *mu_csv_library_version(void)
{
    return VERSION(CSV_MAJOR, CSV_MINOR, CSV_RELEASE);
}

static enum mu_status read_all(int fd, const char *path, char **text, size_t *size)
{
    size_t room = 0;

    for (;;) {
        ssize_t n;

        if (*size == room) {
            char *more = realloc(*text, room = room ? 2 * room : 1 << 16);

            if (!more)
                return MU_FAIL(MU_NO_MEMORY, "no memory for the %zu bytes of %s", room, path);
            *text = more;
        }
        n = read(fd, *text + *size, room - *size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            return MU_OK;
        *size += (size_t)n;
        if (*size > MU_CSV_FILE_BYTES)
            return MU_FAIL(MU_FAILED, "%s has more than %d bytes", path, MU_CSV_FILE_BYTES);
    }
}

enum mu_status mu_csv_load(const char *path, char **text, size_t *size)
{
    const bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum mu_status st;

    *text = NULL;
    *size = 0;
    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot open %s: %s", path, strerror(errno));
    st = read_all(fd, standard ? "standard input" : path, text, size);
    if (!standard)
        close(fd);
    if (st != MU_OK) {
        free(*text);
        *text = NULL;
    }
    return st;
}

struct parse {
    struct csv_parser parser;
    const char *end;
    struct mu_csv_form *form;
    mu_csv_take *take;
    void *context;
    char *cells; /* of the row, each with a zero byte after it */
    size_t used, room, count;
    size_t begin[MU_CSV_COLUMNS]; /* of each cell in `cells` */
    const char *cell[MU_CSV_COLUMNS];
    const char *broken;
    bool ended; /* the row is complete */
};

static void on_cell(void *text, size_t length, void *context)
{
    struct parse *p = context;

    if (p->count == MU_CSV_COLUMNS) {
        p->broken = "has more than 4096 cells";
        return;
    }
    if (length && memchr(text, 0, length))
        p->broken = "has a zero byte: this is no text";
    if (p->used + length + 1 > p->room) {
        size_t room = 2 * (p->used + length + 1);
        char *more = realloc(p->cells, room);

        if (!more) {
            p->broken = "is too large for this machine's memory";
            return;
        }
        p->cells = more;
        p->room = room;
    }
    p->begin[p->count++] = p->used;
    if (length)
        memcpy(p->cells + p->used, text, length);
    p->cells[p->used + length] = 0;
    p->used += length + 1;
}

static void on_row(int character, void *context)
{
    (void)character;
    ((struct parse *)context)->ended = true;
}

static enum mu_status start_parser(struct parse *p)
{
    csv_free(&p->parser);
    if (csv_init(&p->parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
        return MU_FAIL(MU_FAILED, "libcsv does not start");
    csv_set_delim(&p->parser, (unsigned char)p->form->delimiter);
    return MU_OK;
}

/* Behind the end of the line that begins at `at`. */
static const char *line_after(const char *at, const char *end)
{
    while (at < end && *at != '\n' && *at != '\r')
        at++;
    if (at < end && *at++ == '\r' && at < end && *at == '\n')
        at++;
    return at;
}

/* Lines between rows. */
static bool is_no_row(const char *at, const char *next, char delimiter)
{
    if (at < next && *at == '#')
        return true;
    while (at < next && (strchr(" \r\n", *at) || *at == '\t') && *at && *at != delimiter)
        at++;
    return at == next;
}

static char find_delimiter(const char *at, const char *end)
{
    static const char delimiters[] = {',', ';', '\t'};
    size_t count[sizeof delimiters] = {0}, best = 0;
    const char *next = line_after(at, end);
    bool quoted = false;

    for (; at < end && is_no_row(at, next, 0); next = line_after(at, end))
        at = next;
    for (; at < next; at++) {
        quoted ^= *at == '"';
        for (size_t i = 0; !quoted && i < sizeof delimiters; i++)
            count[i] += *at == delimiters[i];
    }
    for (size_t i = 1; i < sizeof delimiters; i++)
        if (count[i] > count[best])
            best = i;
    return delimiters[best];
}

static enum mu_status give_row(struct parse *p, int line)
{
    for (size_t i = 0; i < p->count; i++)
        p->cell[i] = p->cells + p->begin[i];
    return p->take(p->context, &(struct mu_csv_row){p->cell, p->count, line, p->broken});
}

/* The next line, or the end of the file, to libcsv. */
static void feed(struct parse *p, const char *row, const char *at, const char *next)
{
    const size_t size = (size_t)(next - at);

    if (next - row > MU_CSV_ROW_BYTES)
        p->broken = "is longer than 1 MB; is a quote never closed?";
    else if (at == p->end && csv_fini(&p->parser, on_cell, on_row, p) != 0)
        p->broken = "has a quote that is never closed";
    else if (at < p->end && csv_parse(&p->parser, at, size, on_cell, on_row, p) != size)
        p->broken =
            csv_error(&p->parser) == CSV_EPARSE
                ? "has a quote inside a cell; a cell with quotes is written \"so \"\"so\"\"\""
                : "is too large for this machine's memory";
}

static enum mu_status parse_rows(struct parse *p, const char *at)
{
    const char *row = at;
    enum mu_status st = MU_OK;
    bool inside = false; /* a row that began on an earlier line, or whose line has no end */

    for (int line = 1, row_line = 1; st == MU_OK && (at < p->end || inside);) {
        const char *next = line_after(at, p->end);

        if (!inside && is_no_row(at, next, p->form->delimiter)) {
            p->form->comments += *at == '#';
            at = next;
            line++;
            continue;
        }
        if (!inside) {
            row = at;
            row_line = line;
            p->used = p->count = 0;
            p->broken = NULL;
            p->ended = false;
        }
        feed(p, row, at, next);
        line++;
        at = next;
        inside = !p->broken && !p->ended;
        if (p->broken) {
            at = line_after(row, p->end);
            line = row_line + 1;
            MU_TRY(start_parser(p), st, done);
        }
        if (!inside)
            MU_TRY(give_row(p, row_line), st, done);
    }
done:
    return st;
}

enum mu_status mu_csv_parse(const char *name, const char *text, size_t size,
                            struct mu_csv_form *form, mu_csv_take *take, void *context)
{
    struct parse *p = calloc(1, sizeof *p);
    enum mu_status st = MU_OK;

    if (!p)
        return MU_FAIL(MU_NO_MEMORY, "no memory to read %s", name);
    if (size >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0)) {
        st = MU_FAIL(MU_FAILED, "%s is written in UTF-16; save it as UTF-8", name);
        goto done;
    }
    p->end = text + size;
    p->take = take;
    p->context = context;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    p->form = form;
    *form = (struct mu_csv_form){find_delimiter(text, p->end), 0};
    MU_TRY(start_parser(p), st, done);
    MU_TRY(parse_rows(p, text), st, done);
done:
    csv_free(&p->parser);
    free(p->cells);
    free(p);
    return st;
}
