/* One pass, token by token, that writes the copy as it goes. Of the grammar it knows only the last
 * token and the open brackets: enough to tell where a value stands, as everything else is for
 * libconfig to judge. Every new line of the copy is entered into the table of places as it is put.
 * A mistake does not stop the pass, so that later ones are told as well. */
#include "orchestrator/config/scan.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "orchestrator/base/file.h"

enum { MAX_FILE_BYTES = 1 << 20 };

/* The last token but spaces and comments: it tells a name from a bare word, and where two scalars
 * follow each other. */
enum token { TOKEN_OTHER, TOKEN_VALUE_NEXT, TOKEN_TEXT, TOKEN_SCALAR };

struct bracket {
    char closing;
    struct mu_place place;
};

/* One for all files of a scan; file, at, end and line are of the file being read. */
struct scanner {
    struct mu_scan *scan;
    struct mu_mistakes *mistakes;
    FILE *out;
    const char *at, *end;
    int file, line, depth;
    bool line_start; /* only spaces so far on this line */
    bool may_include;
    bool broken; /* not fit for libconfig */
    bool no_memory;
    enum token last;
    unsigned long names;
    struct bracket brackets[MU_SCAN_BRACKETS];
    int bracket_count;
    bool brackets_lost; /* they do not match: told once */
};

static enum mu_status scan_one_file(struct scanner *s, const char *path, struct mu_place from);

static struct mu_place here(const struct scanner *s)
{
    return (struct mu_place){s->scan->files[s->file], s->line};
}

/* The copy's next line comes from the scanner's present file and line. */
static void begin_line(struct scanner *s)
{
    struct mu_scan *scan = s->scan;

    if (scan->line_count == scan->line_capacity) {
        size_t capacity = scan->line_capacity ? 2 * scan->line_capacity : 256;
        void *lines = realloc(scan->lines, capacity * sizeof *scan->lines);

        if (!lines) {
            s->no_memory = true;
            return;
        }
        scan->lines = lines;
        scan->line_capacity = capacity;
    }
    scan->lines[scan->line_count++] = (struct mu_scan_line){s->file, s->line};
}

static void put(struct scanner *s, char c)
{
    if (putc(c, s->out) == EOF)
        s->no_memory = true;
}

static void put_new_line(struct scanner *s)
{
    put(s, '\n');
    begin_line(s);
}

/* Takes a new line of the source, wherever it stands. */
static void take_new_line(struct scanner *s)
{
    s->at++;
    s->line++;
    put_new_line(s);
}

static void skip_comment_to(struct scanner *s, const char *closing)
{
    struct mu_place opened = here(s);
    size_t length = strlen(closing);

    s->at += 2;
    while (s->at < s->end) {
        if ((size_t)(s->end - s->at) >= length && memcmp(s->at, closing, length) == 0) {
            s->at += length;
            put(s, ' ');
            return;
        }
        if (*s->at == '\n')
            take_new_line(s);
        else
            s->at++;
    }
    mu_mistakes_add(s->mistakes, opened, "", "this comment is not closed; expected %s", closing);
    s->broken = true;
}

static void skip_line(struct scanner *s)
{
    while (s->at < s->end && *s->at != '\n')
        s->at++;
}

/* Puts the opening of a libconfig string that holds a scalar of this kind. A scalar right after
 * another is put as it is, which libconfig rejects; but neighbouring strings are one string. */
static bool open_scalar(struct scanner *s, enum mu_scalar kind)
{
    bool joined = s->last == TOKEN_TEXT && kind == MU_SCALAR_TEXT;
    bool stray = !joined && (s->last == TOKEN_TEXT || s->last == TOKEN_SCALAR);

    s->last = kind == MU_SCALAR_TEXT ? TOKEN_TEXT : TOKEN_SCALAR;
    if (stray)
        return false;
    put(s, '"');
    if (!joined)
        put(s, (char)kind);
    return true;
}

static void take_text(struct scanner *s)
{
    struct mu_place opened = here(s);

    if (!open_scalar(s, MU_SCALAR_TEXT))
        put(s, '"');
    for (s->at++; s->at < s->end && *s->at != '"';) {
        bool zero = *s->at == '\0' || (s->at + 4 <= s->end && memcmp(s->at, "\\x00", 4) == 0);

        if (zero) {
            mu_mistakes_add(s->mistakes, here(s), "", "text cannot hold a zero byte");
            s->broken = true;
        }
        if (*s->at == '\\' && s->at + 1 < s->end && s->at[1] && s->at[1] != '\n')
            put(s, *s->at++);
        if (*s->at == '\n')
            take_new_line(s);
        else
            put(s, *s->at++);
    }
    if (s->at == s->end) {
        mu_mistakes_add(s->mistakes, opened, "", "this text is not closed; expected a second \"");
        s->broken = true;
        return;
    }
    put(s, *s->at++);
}

static void put_scalar(struct scanner *s, enum mu_scalar kind, const char *from, size_t length)
{
    bool opened = open_scalar(s, kind);

    for (size_t i = 0; i < length; i++) {
        if (from[i] == '\\')
            put(s, '\\');
        put(s, from[i]);
    }
    if (opened)
        put(s, '"');
}

static bool begins_number(const struct scanner *s)
{
    const char *c = s->at;

    c += *c == '+' || *c == '-';
    c += c < s->end && *c == '.';
    return c < s->end && isdigit((unsigned char)*c);
}

static void take_number(struct scanner *s)
{
    const char *from = s->at++;
    bool hexadecimal = from + 1 < s->end && from[0] == '0' && (from[1] | 32) == 'x';

    while (s->at < s->end) {
        bool sign = *s->at == '+' || *s->at == '-';

        if (sign ? hexadecimal || (s->at[-1] | 32) != 'e'
                 : !isalnum((unsigned char)*s->at) && *s->at != '.' && *s->at != '_')
            break;
        s->at++;
    }
    put_scalar(s, MU_SCALAR_NUMBER, from, (size_t)(s->at - from));
}

/* What stands where a value should be, without quotes: true, auto, data/train.bin. */
static void take_bare_word(struct scanner *s)
{
    const char *from = s->at;
    size_t length;

    while (s->at < s->end && isgraph((unsigned char)*s->at) && !strchr("\"{}[]()=;,", *s->at))
        s->at++;
    length = (size_t)(s->at - from);
    if ((length == 4 && strncasecmp(from, "true", 4) == 0) ||
        (length == 5 && strncasecmp(from, "false", 5) == 0))
        put_scalar(s, MU_SCALAR_BOOL, from, length);
    else
        put_scalar(s, MU_SCALAR_WORD, from, length);
}

static bool is_name_letter(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static void take_name(struct scanner *s)
{
    const char *from = s->at;
    size_t length, group;

    while (s->at < s->end && (is_name_letter(*s->at) || *s->at == '.'))
        s->at++;
    length = (size_t)(s->at - from);
    for (group = 0; group < length && from[group] != '.';)
        group++;
    if (group + 1 < length)
        mu_mistakes_add(s->mistakes, here(s), "",
                        "%.*s: a file has groups instead of dots; expected %.*s = { %.*s = ...; }",
                        (int)length, from, (int)group, from, (int)(length - group - 1),
                        from + group + 1);
    for (size_t i = 0; i < length; i++)
        put(s, from[i] == '.' ? '*' : from[i]);
    if (fprintf(s->out, "*%lu", s->names++) < 0)
        s->no_memory = true;
    s->last = TOKEN_OTHER;
}

static void take_opening(struct scanner *s)
{
    char c = *s->at++;

    put(s, c);
    s->last = c == '{' ? TOKEN_OTHER : TOKEN_VALUE_NEXT;
    if (s->bracket_count == MU_SCAN_BRACKETS) {
        mu_mistakes_add(s->mistakes, here(s), "", "brackets stand more than %d deep",
                        MU_SCAN_BRACKETS);
        s->broken = true;
        return;
    }
    s->brackets[s->bracket_count++] = (struct bracket){c == '{'   ? '}'
                                                       : c == '[' ? ']'
                                                                  : ')',
                                                       here(s)};
}

static void take_closing(struct scanner *s)
{
    char c = *s->at++;
    const struct bracket *b = s->bracket_count ? &s->brackets[s->bracket_count - 1] : NULL;

    put(s, c);
    s->last = TOKEN_OTHER;
    if (b && b->closing == c)
        s->bracket_count--;
    if (s->brackets_lost || (b && b->closing == c))
        return;
    if (b)
        mu_mistakes_add(s->mistakes, here(s), "", "'%c' where the bracket of line %d wants a '%c'",
                        c, b->place.line, b->closing);
    else
        mu_mistakes_add(s->mistakes, here(s), "", "'%c' closes nothing", c);
    s->broken = s->brackets_lost = true;
}

static void take_separator(struct scanner *s)
{
    bool in_array = s->bracket_count && s->brackets[s->bracket_count - 1].closing != '}';

    s->last = strchr("=:", *s->at) || (in_array && *s->at == ',') ? TOKEN_VALUE_NEXT : TOKEN_OTHER;
    put(s, *s->at++);
}

/* A zero byte would end libconfig's text, '*' belongs to our names, and '@' to our includes. */
static void refuse_letter(struct scanner *s)
{
    unsigned char c = (unsigned char)*s->at++;

    if (isgraph(c))
        mu_mistakes_add(s->mistakes, here(s), "", "'%c' means nothing here", c);
    else
        mu_mistakes_add(s->mistakes, here(s), "", "byte 0x%02x means nothing here", c);
    s->broken = true;
}

/* @include "path", on a line of its own; false when this is no such thing. */
static bool take_include(struct scanner *s, enum mu_status *st)
{
    static const char word[] = "@include";
    char path[MU_PATH_MAX];
    struct mu_place from = here(s);
    const char *folder_end = strrchr(from.source, '/'), *c = s->at, *path_end;
    struct scanner saved;

    if (!s->may_include || !s->line_start || (size_t)(s->end - c) < sizeof word ||
        memcmp(c, word, sizeof word - 1) != 0)
        return false;
    c += sizeof word - 1;
    while (c < s->end && (*c == ' ' || *c == '\t'))
        c++;
    if (c == s->end || *c != '"')
        return false;
    path_end = memchr(c + 1, '"', (size_t)(s->end - c - 1));
    if (!path_end || memchr(c, '\n', (size_t)(path_end - c)))
        return false;
    s->at = path_end + 1;
    *st = mu_path_format(path, "%.*s%.*s",
                         c[1] == '/' || !folder_end ? 0 : (int)(folder_end + 1 - from.source),
                         from.source, (int)(path_end - c - 1), c + 1);
    if (*st != MU_OK)
        return true;
    saved = *s;
    *st = scan_one_file(s, path, from);
    s->at = saved.at;
    s->end = saved.end;
    s->file = saved.file;
    s->line = saved.line;
    put_new_line(s);
    return true;
}

static void take_token(struct scanner *s, enum mu_status *st)
{
    char c = *s->at, next = s->at + 1 < s->end ? s->at[1] : '\0';

    if (c == '\n') {
        take_new_line(s);
        s->line_start = true;
        return;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
        put(s, ' ');
        s->at++;
        return;
    }
    if (c == '@' && take_include(s, st))
        return;
    s->line_start = false;
    if (c == '#' || (c == '/' && next == '/'))
        skip_line(s);
    else if (c == '/' && next == '*')
        skip_comment_to(s, "*/");
    else if (c == '"')
        take_text(s);
    else if (begins_number(s))
        take_number(s);
    else if (c && strchr("{[(", c))
        take_opening(s);
    else if (c && strchr("}])", c))
        take_closing(s);
    else if (c && strchr("=:;,", c))
        take_separator(s);
    else if (s->last == TOKEN_VALUE_NEXT && isgraph((unsigned char)c))
        take_bare_word(s);
    else if (isalpha((unsigned char)c))
        take_name(s);
    else
        refuse_letter(s);
}

static enum mu_status scan_bytes(struct scanner *s, const char *text, size_t size, const char *name)
{
    struct mu_scan *scan = s->scan;
    enum mu_status st = MU_OK;

    if (scan->file_count == MU_SCAN_FILES)
        return MU_FAIL(MU_CONFIG, "%s: more than %d files in one configuration", name,
                       MU_SCAN_FILES);
    scan->files[scan->file_count] = strdup(name);
    if (!scan->files[scan->file_count])
        return MU_FAIL(MU_NO_MEMORY, "no memory for reading %s", name);
    s->file = scan->file_count++;
    s->line = 1;
    s->line_start = true;
    s->at = text;
    s->end = text + size;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        s->at += 3; /* a byte order mark, which some editors write */
    put_new_line(s);
    while (s->at < s->end && st == MU_OK && !s->no_memory)
        take_token(s, &st);
    return st;
}

static enum mu_status scan_one_file(struct scanner *s, const char *path, struct mu_place from)
{
    enum mu_status st;
    char *text = NULL;
    size_t size = 0;

    if (s->depth == MU_SCAN_DEPTH) {
        mu_mistakes_add(s->mistakes, from, "", "files include each other more than %d deep",
                        MU_SCAN_DEPTH);
        s->broken = true;
        return MU_OK;
    }
    if (mu_file_exists_in(path, ".")) {
        mu_mistakes_add(s->mistakes, from, "",
                        from.line ? "%s is a folder" : "this is a folder, not a file", path);
        s->broken = true;
        return MU_OK;
    }
    st = mu_file_read(path, MAX_FILE_BYTES, &text, &size);
    if (st == MU_NOT_FOUND) {
        mu_mistakes_add(s->mistakes, from, "", from.line ? "there is no file %s" : "no such file",
                        path);
        s->broken = true;
        return MU_OK;
    }
    if (st != MU_OK)
        return st;
    s->depth++;
    st = scan_bytes(s, text, size, path);
    s->depth--;
    free(text);
    return st;
}

static enum mu_status begin(struct scanner *s)
{
    begin_line(s);
    s->out = open_memstream(&s->scan->text, &s->scan->size);
    return s->out ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for reading a configuration");
}

static enum mu_status finish(struct scanner *s, enum mu_status st)
{
    if (fclose(s->out) != 0)
        s->no_memory = true;
    if (st == MU_OK && s->no_memory)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for reading a configuration");
    if (st == MU_OK && !s->broken && s->bracket_count) {
        const struct bracket *b = &s->brackets[s->bracket_count - 1];

        mu_mistakes_add(s->mistakes, b->place, "", "this bracket is not closed; expected a '%c'",
                        b->closing);
        s->broken = true;
    }
    if (st != MU_OK || s->broken) {
        free(s->scan->text);
        s->scan->text = NULL;
    }
    return st;
}

enum mu_status mu_scan_file(struct mu_scan *scan, const char *path, struct mu_mistakes *m)
{
    struct scanner s = {.scan = scan, .mistakes = m, .may_include = true};
    enum mu_status st;

    *scan = (struct mu_scan){.text = NULL};
    st = begin(&s);
    return st == MU_OK ? finish(&s, scan_one_file(&s, path, (struct mu_place){path, 0})) : st;
}

enum mu_status mu_scan_text(struct mu_scan *scan, const char *text, size_t size, const char *name,
                            struct mu_mistakes *m)
{
    struct scanner s = {.scan = scan, .mistakes = m, .may_include = false};
    enum mu_status st;

    *scan = (struct mu_scan){.text = NULL};
    st = begin(&s);
    return st == MU_OK ? finish(&s, scan_bytes(&s, text, size, name)) : st;
}

void mu_scan_deinit(struct mu_scan *scan)
{
    free(scan->text);
    free(scan->lines);
    for (int i = 0; i < scan->file_count; i++)
        free(scan->files[i]);
    *scan = (struct mu_scan){.text = NULL};
}

struct mu_place mu_scan_place(const struct mu_scan *scan, int line)
{
    size_t i = line > 0 ? (size_t)line - 1 : 0;
    const struct mu_scan_line *from = &scan->lines[i < scan->line_count ? i : scan->line_count - 1];

    return (struct mu_place){scan->files[from->file], from->line};
}

void mu_scan_name(const char *name, char *out, size_t size)
{
    const char *suffix = strrchr(name, '*');
    size_t length = suffix ? (size_t)(suffix - name) : strlen(name);

    snprintf(out, size, "%.*s", (int)length, name);
    for (char *c = out; *c; c++)
        if (*c == '*')
            *c = '.';
}
