/* The tables of the parts, put together as text: a row of a trial is the same whoever wrote it, once
 * it has ended, so that nothing is computed anew. Times are moved to those of the part that began
 * first, and ranks are numbered on from part to part. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/merge.h"
#include "orchestrator/sweep_run/records.h"

enum { TABLE_MAX = 1 << 30, TIMING_BEGAN = 14, TIMING_ENDED = 15, TIMING_PHASE = 2, STATUS = 7 };

struct line {
    const char *text; /* with its newline */
    size_t size;
    double later; /* to be added to its times */
    size_t order;
};

struct table {
    char **text; /* by part; NULL: none */
    size_t *size;
    uint32_t of;
    struct line *line;
    size_t lines, capacity;
    const char *head;
    size_t head_size;
};

static void free_table(struct table *t)
{
    for (uint32_t k = 0; t->text && k < t->of; k++)
        free(t->text[k]);
    free(t->text);
    free(t->size);
    free(t->line);
}

static bool add_line(struct table *t, const char *text, size_t size, double later)
{
    if (t->lines == t->capacity) {
        const size_t more = t->capacity ? 2 * t->capacity : 256;
        struct line *grown = realloc(t->line, more * sizeof *grown);

        if (!grown)
            return false;
        t->line = grown;
        t->capacity = more;
    }
    t->line[t->lines] = (struct line){text, size, later, t->lines};
    t->lines++;
    return true;
}

/* Parts of one sweep have one head; another file may have made an old one. */
static enum mu_status split(struct table *t, uint32_t k, const char *path, double later)
{
    const char *at = t->text[k], *all = at + t->size[k];
    bool is_head = true;

    while (at < all) {
        const char *end = memchr(at, '\n', (size_t)(all - at));
        const size_t size = end ? (size_t)(end - at) + 1 : 0;

        if (size == 0)
            return MU_OK; /* a damaged end */
        if (is_head && !t->head) {
            t->head = at;
            t->head_size = size;
        } else if (is_head && (size != t->head_size || memcmp(at, t->head, size) != 0)) {
            return MU_FAIL(MU_FAILED,
                           "%s has other columns than the other parts: they were begun with "
                           "another sweep file. Start part %u again with the same file",
                           path, k);
        } else if (!is_head && !add_line(t, at, size, later)) {
            return MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
        }
        is_head = false;
        at += size;
    }
    return MU_OK;
}

static enum mu_status read_table(struct table *t, const char *whole, const char *name,
                                 const struct mu_sweep_merge *m, double began)
{
    char folder[MU_PATH_MAX], path[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    *t = (struct table){.of = m->of,
                        .text = calloc(m->of, sizeof *t->text),
                        .size = calloc(m->of, sizeof *t->size)};
    if (!t->text || !t->size)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the parts' %s", name);
    for (uint32_t k = 0; k < m->of; k++) {
        if (!m->status[k])
            continue;
        MU_TRY(mu_sweep_part_path(folder, whole, (struct mu_sweep_part){k, m->of}), st, done);
        MU_TRY(mu_path_format(path, "%s/%s", folder, name), st, done);
        st = mu_file_read(path, TABLE_MAX, &t->text[k], &t->size[k]);
        if (st == MU_NOT_FOUND)
            st = MU_OK;
        else if (st == MU_OK)
            st = split(t, k, path, mu_json_get_real(m->status[k], "began") - began);
        if (st != MU_OK)
            break;
    }
done:
    return st;
}

/* The cell's first byte, and its size without the comma. No cell before it is quoted. */
static const char *cell(const struct line *l, int column, size_t *size)
{
    const char *at = l->text, *end = l->text + l->size - 1;

    for (; column > 0; column--) {
        const char *comma = memchr(at, ',', (size_t)(end - at));

        at = comma ? comma + 1 : end;
    }
    *size = 0;
    while (at + *size < end && at[*size] != ',')
        ++*size;
    return at;
}

static bool is_word(const struct line *l, int column, const char *word)
{
    size_t size;
    const char *at = cell(l, column, &size);

    return size == strlen(word) && memcmp(at, word, size) == 0;
}

/* ---- of a trial one row ---------------------------------------------------------------------- */

static int compare_names(const struct line *a, const struct line *b)
{
    size_t size_a, size_b;
    const char *name_a = cell(a, 0, &size_a), *name_b = cell(b, 0, &size_b);
    const int order = memcmp(name_a, name_b, size_a < size_b ? size_a : size_b);

    return order != 0 ? order : (size_a > size_b) - (size_a < size_b);
}

static int by_name(const void *one, const void *other)
{
    const struct line *a = one, *b = other;
    const int order = compare_names(a, b);

    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static int by_order(const void *one, const void *other)
{
    const struct line *a = one, *b = other;

    return (a->order > b->order) - (a->order < b->order);
}

/* What had failed may have been tried again. */
static int rank_result(const struct line *l)
{
    return !is_word(l, STATUS, mu_cell_word(MU_CELL_FAILED));
}

/* Who trained it knows when. */
static int rank_timing(const struct line *l)
{
    return 2 * !is_word(l, TIMING_BEGAN, "") +
           !is_word(l, TIMING_PHASE, mu_cell_word(MU_CELL_ELSEWHERE));
}

/* In the order of names; each stands where the first row of its trial stood. */
static void keep_best(struct table *t, int (*rank)(const struct line *))
{
    size_t kept = 0;

    if (t->lines > 0)
        qsort(t->line, t->lines, sizeof *t->line, by_name);
    for (size_t i = 0; i < t->lines; i++) {
        struct line *best = kept > 0 ? &t->line[kept - 1] : NULL;
        const size_t order = best ? best->order : 0;

        if (!best || compare_names(best, &t->line[i]) != 0) {
            t->line[kept++] = t->line[i];
        } else if (rank(&t->line[i]) > rank(best)) {
            *best = t->line[i];
            best->order = order;
        }
    }
    t->lines = kept;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_moved(FILE *out, const char *at, size_t size, double later)
{
    char *end;
    const double time = size > 0 ? strtod(at, &end) : NAN;

    if (isfinite(time) && end == at + size)
        fprintf(out, "%.3f", time + later);
    else
        fwrite(at, 1, size, out);
}

static void put_timing(FILE *out, const struct line *l)
{
    size_t began_size, ended_size;
    const char *began = cell(l, TIMING_BEGAN, &began_size),
               *ended = cell(l, TIMING_ENDED, &ended_size), *rest = ended + ended_size;

    fwrite(l->text, 1, (size_t)(began - l->text), out);
    put_moved(out, began, began_size, l->later);
    fputc(',', out);
    put_moved(out, ended, ended_size, l->later);
    fwrite(rest, 1, (size_t)(l->text + l->size - rest), out);
}

static void put_result(FILE *out, const struct line *l)
{
    fwrite(l->text, 1, l->size, out);
}

static enum mu_status write_table(const char *whole, const char *name, const struct table *t,
                                  void (*put)(FILE *out, const struct line *l))
{
    char path[MU_PATH_MAX], *text = NULL;
    size_t size = 0;
    FILE *out;
    enum mu_status st = mu_path_format(path, "%s/%s", whole, name);

    if (st != MU_OK || !t->head)
        return st;
    out = open_memstream(&text, &size);
    if (!out)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
    fwrite(t->head, 1, t->head_size, out);
    for (size_t i = 0; i < t->lines; i++)
        put(out, &t->line[i]);
    st = fclose(out) == 0 ? mu_file_write_atomically(path, text, size)
                          : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
    free(text);
    return st;
}

static enum mu_status merge_trials(const char *whole, const struct mu_sweep_merge *m, double began)
{
    struct table t;
    enum mu_status st = read_table(&t, whole, "results.csv", m, began);

    if (st == MU_OK) {
        keep_best(&t, rank_result);
        st = write_table(whole, "results.csv", &t, put_result);
    }
    free_table(&t);
    if (st != MU_OK)
        return st;
    st = read_table(&t, whole, "timing.csv", m, began);
    if (st == MU_OK) {
        keep_best(&t, rank_timing);
        if (t.lines > 0)
            qsort(t.line, t.lines, sizeof *t.line, by_order);
        st = write_table(whole, "timing.csv", &t, put_timing);
    }
    free_table(&t);
    return st;
}

/* start,rank,trial,from,to,ending. Gives back the rank. */
static long put_stretch(FILE *out, const struct line *l, long first_rank)
{
    size_t rank_size, from_size, to_size;
    const char *rank = cell(l, 1, &rank_size), *from = cell(l, 3, &from_size),
               *to = cell(l, 4, &to_size), *trial = rank + rank_size, *rest = to + to_size;
    const long number = first_rank + strtol(rank, NULL, 10);

    fwrite(l->text, 1, (size_t)(rank - l->text), out);
    fprintf(out, "%ld", number);
    fwrite(trial, 1, (size_t)(from - trial), out);
    put_moved(out, from, from_size, l->later);
    fputc(',', out);
    put_moved(out, to, to_size, l->later);
    fwrite(rest, 1, (size_t)(l->text + l->size - rest), out);
    return number;
}

/* Ranks of each part after those of the parts before it. */
static void put_stretches(FILE *out, const struct table *t)
{
    long first = 0, next = 0;
    uint32_t k = 0;

    for (size_t i = 0; i < t->lines; i++) {
        const struct line *l = &t->line[i];
        long rank;

        while (!t->text[k] || l->text < t->text[k] || l->text >= t->text[k] + t->size[k]) {
            k++; /* the lines of a part follow each other */
            first = next;
        }
        rank = put_stretch(out, l, first);
        next = rank >= next ? rank + 1 : next;
    }
}

static enum mu_status merge_timeline(const char *whole, const struct mu_sweep_merge *m,
                                     double began)
{
    struct table t, moved = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = NULL;
    enum mu_status st = read_table(&t, whole, "timeline.csv", m, began);

    if (st == MU_OK) {
        out = open_memstream(&text, &size);
        if (out)
            put_stretches(out, &t);
        moved.head = t.head;
        moved.head_size = t.head_size;
        if (!out || fclose(out) != 0 || (size > 0 && !add_line(&moved, text, size, 0)))
            st = MU_FAIL(MU_NO_MEMORY, "no memory for the timeline of %s", whole);
    }
    if (st == MU_OK)
        st = write_table(whole, "timeline.csv", &moved, put_result);
    free(moved.line);
    free(text);
    free_table(&t);
    return st;
}

enum mu_status mu_sweep_merge_tables(const char *whole, const struct mu_sweep_merge *m)
{
    double began = NAN;
    enum mu_status st;

    for (uint32_t k = 0; k < m->of; k++)
        if (m->status[k])
            began = fmin(began, mu_json_get_real(m->status[k], "began"));
    MU_TRY(merge_trials(whole, m, began), st, done);
    st = merge_timeline(whole, m, began);
done:
    return st;
}
