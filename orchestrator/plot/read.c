/* metrics.jsonl, fast: of a million records only a few numbers each are wanted. A line that is as
 * Muster writes it is read in place; any other goes to the parser of JSON, which decides. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plot/series.h"
#include "orchestrator/run/metrics.h"

struct wanted {
    const char *key;
    size_t size;
    double *value;
};
enum { WANTED = 5 };

/* Digits alone are read here, which is most of a record; what has more to it, by strtod. False: the
 * text [at, end) is no number. */
static bool take_number(const char *at, const char *end, double *out)
{
    double whole = 0;
    const char *c = at;
    char *stop;

    while (c < end && *c >= '0' && *c <= '9' && c - at < 15)
        whole = whole * 10 + (*c++ - '0');
    if (c == end && c > at) {
        *out = whole;
        return true;
    }
    *out = strtod(at, &stop);
    return stop == end && (*at == '-' || (*at >= '0' && *at <= '9'));
}

static bool take_value(const char *at, const char *end, double *out)
{
    if (end - at == 4 && memcmp(at, "null", 4) == 0) {
        *out = NAN;
        return true;
    }
    return take_number(at, end, out);
}

/* `{"key": value, "key": value}`, values without commas, braces or escapes in them. */
static bool parse_own(const char *line, const char *end, const struct wanted *wanted)
{
    const char *at = line;

    if (end - line < 4 || *at++ != '{' || end[-1] != '\n' || end[-2] != '}')
        return false;
    for (end -= 2;; at += 2) {
        const char *key = at + 1, *quote, *stop;
        bool good = true;

        if (at >= end || *at != '"' || !(quote = memchr(key, '"', (size_t)(end - key))) ||
            end - quote < 4 || quote[1] != ':' || quote[2] != ' ')
            return false;
        at = quote + 3;
        stop = memchr(at, ',', (size_t)(end - at));
        stop = stop ? stop : end;
        for (size_t k = 0; k < WANTED; k++)
            if (wanted[k].size == (size_t)(quote - key) &&
                memcmp(wanted[k].key, key, wanted[k].size) == 0)
                good = good && take_value(at, stop, wanted[k].value);
        if (!good || memchr(at, '\\', (size_t)(stop - at)) || memchr(at, '{', (size_t)(stop - at)))
            return false;
        if (stop == end)
            return true;
        if (end - stop < 3 || stop[1] != ' ')
            return false;
        at = stop;
    }
}

static double value_of(const struct mu_metrics *m, const char *key)
{
    const struct {
        const char *key;
        double value;
    } of[] = {
        {"loss", m->loss},
        {"valid_loss", m->valid_loss},
        {"valid_bits_per_byte", m->valid_bits_per_byte},
        {"lr", m->lr},
        {"grad_norm", m->gradient_norm},
        {"tokens_per_s", m->tokens_per_s},
        {"step_ms", m->step_ms},
        {"peak_share", m->peak_share},
    };

    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        if (strcmp(of[i].key, key) == 0)
            return of[i].value;
    return NAN;
}

/* Absurd numbers count as none: nothing that is computed of those that stay overflows. */
static double only_sane(double value)
{
    return fabs(value) < 1e120 ? (fabs(value) > 1e-120 ? value : 0) : NAN;
}

bool mu_plot_parse(const char *line, size_t size, enum mu_plot_y y, struct mu_plot_record *out)
{
    const struct mu_plot_y_row *row = mu_plot_y_row(y);
    const struct wanted wanted[WANTED] = {{"step", 4, &out->step},
                                          {"tokens", 6, &out->tokens},
                                          {"step_ms", 7, &out->step_ms},
                                          {row->line, strlen(row->line), &out->line},
                                          {row->marks, strlen(row->marks), &out->marks}};
    struct mu_metrics m;

    *out = (struct mu_plot_record){NAN, NAN, NAN, NAN, NAN};
    if (!parse_own(line, line + size, wanted)) {
        if (!mu_metrics_parse_json(line, size, &m))
            return false;
        *out = (struct mu_plot_record){.step = (double)m.step,
                                       .tokens = (double)m.tokens,
                                       .step_ms = m.step_ms,
                                       .line = value_of(&m, row->line),
                                       .marks = value_of(&m, row->marks)};
    }
    out->line = only_sane(out->line);
    out->marks = only_sane(out->marks);
    out->tokens = only_sane(out->tokens);
    out->step_ms = only_sane(out->step_ms);
    return out->step >= 0 && out->step < 1e15;
}

static enum mu_status add(struct mu_plot_records *r, const struct mu_plot_record *m)
{
    while (r->count > 0 && r->record[r->count - 1].step >= m->step)
        r->count--;
    if (r->count == r->capacity) {
        const size_t capacity = 2 * r->capacity + 1024;
        struct mu_plot_record *more = realloc(r->record, capacity * sizeof *more);

        if (!more)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %zu records", capacity);
        r->record = more;
        r->capacity = capacity;
    }
    r->record[r->count++] = *m;
    return MU_OK;
}

static enum mu_status take_lines(FILE *in, enum mu_plot_y y, struct mu_plot_records *out)
{
    enum mu_status st = MU_OK;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;

    while (st == MU_OK && (size = getline(&line, &capacity, in)) > 0) {
        struct mu_plot_record m;

        if (mu_plot_parse(line, (size_t)size, y, &m))
            st = add(out, &m);
        else
            out->damaged += line[size - 1] == '\n';
    }
    free(line);
    return st;
}

enum mu_status mu_plot_read(const char *path, enum mu_plot_y y, struct mu_plot_records *out)
{
    enum mu_status st;
    FILE *in;

    *out = (struct mu_plot_records){0};
    st = mu_file_open_stream(path, &in);
    if (st != MU_OK)
        return st == MU_NOT_FOUND ? MU_OK : st;
    st = take_lines(in, y, out);
    if (st == MU_OK && ferror(in))
        st = MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
    fclose(in);
    if (st != MU_OK)
        mu_plot_records_deinit(out);
    return st;
}

void mu_plot_records_deinit(struct mu_plot_records *r)
{
    free(r->record);
    *r = (struct mu_plot_records){0};
}
