#include "orchestrator/sweep_run/beside.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"
#include "worker/lease.h"

static const double look_seconds = 1, times = 20; /* a look takes a twentieth of the time at most */

/* What changes with a file. */
struct mark {
    int64_t size, s, ns;
    uint64_t number;
};

struct mu_sweep_beside_folder {
    char path[MU_PATH_MAX];
    struct mu_sweep_part part;
    struct mark journal, status, lease;
    double heard;            /* by mu_clock_s(): when one of the others has changed; -INFINITY */
    bool has_ended, is_held; /* by its own word; by a launcher's */
    bool is_read;
    struct mu_sweep_past past;
};

/* ---- signs of life --------------------------------------------------------------------------- */

/* Opened, not only looked at: what another machine has written is seen then (close-to-open). */
static struct mark mark_of(const char *folder, const char *name)
{
    char path[MU_PATH_MAX];
    struct mark m = {.size = -1};
    struct stat s;
    const int fd = mu_path_format(path, "%s/%s", folder, name) == MU_OK
                       ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                       : -1;

    if (fd >= 0 && fstat(fd, &s) == 0)
        m = (struct mark){s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_ino};
    if (fd >= 0)
        close(fd);
    return m;
}

static bool is_same(struct mark a, struct mark b)
{
    return a.size == b.size && a.s == b.s && a.ns == b.ns && a.number == b.number;
}

/* Of all files of a journal. */
static struct mark mark_journal(const char *folder)
{
    char path[MU_PATH_MAX];
    struct mark all = {0};
    struct dirent *entry;
    DIR *dir = mu_path_format(path, "%s/journal", folder) == MU_OK ? opendir(path) : NULL;

    while (dir && (entry = readdir(dir))) {
        struct mark one;

        if (entry->d_name[0] == '.')
            continue;
        one = mark_of(path, entry->d_name);
        all.size += one.size;
        all.s += one.s;
        all.ns += one.ns;
        all.number += one.number;
    }
    if (dir)
        closedir(dir);
    return all;
}

static void listen(struct mu_sweep_beside_folder *f, bool is_first)
{
    const struct mark status = mark_of(f->path, "sweep.json"),
                      lease = mark_of(f->path, MU_LEASE_FILE);
    struct mu_lease_record record;
    char path[MU_PATH_MAX];
    json_t *json = NULL;

    if (!is_first && (!is_same(status, f->status) || !is_same(lease, f->lease)))
        f->heard = mu_clock_s();
    if (is_first || !is_same(status, f->status)) {
        if (mu_sweep_read_own_status(f->path, &json) == MU_OK)
            f->has_ended = mu_json_get_text(json, "ended")[0] != 0;
        json_decref(json);
    }
    if (is_first || !is_same(lease, f->lease))
        f->is_held = lease.size >= 0 &&
                     mu_path_format(path, "%s/%s", f->path, MU_LEASE_FILE) == MU_OK &&
                     mu_lease_read(path, &record) == MU_OK && record.pid != 0;
    f->status = status;
    f->lease = lease;
}

/* ---- looks ----------------------------------------------------------------------------------- */

static struct mu_sweep_beside_folder *find(const struct mu_sweep_beside *b,
                                           struct mu_sweep_part part)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (mu_sweep_part_equal(b->folder[i].part, part))
            return &b->folder[i];
    return NULL;
}

static enum mu_status add(struct mu_sweep_beside *b, struct mu_sweep_part part)
{
    struct mu_sweep_beside_folder *grown;

    if (mu_sweep_part_equal(part, b->own) || find(b, part))
        return MU_OK;
    if (b->count == b->capacity) {
        grown = realloc(b->folder, (2 * b->capacity + 8) * sizeof *grown);
        if (!grown)
            return MU_FAIL(MU_NO_MEMORY, "no memory for the parts of %s", b->whole);
        b->folder = grown;
        b->capacity = 2 * b->capacity + 8;
    }
    grown = &b->folder[b->count];
    *grown = (struct mu_sweep_beside_folder){.part = part, .heard = -INFINITY};
    if (b->has_begun)
        grown->heard = mu_clock_s();
    b->count++;
    return mu_sweep_part_path(grown->path, b->whole, part);
}

static enum mu_status list_all(struct mu_sweep_beside *b)
{
    uint32_t count;
    struct mu_sweep_part *part = mu_sweep_part_list(b->whole, &count);
    enum mu_status st = count > 0 ? add(b, (struct mu_sweep_part){0, 0}) : MU_OK;

    for (uint32_t i = 0; i < count && st == MU_OK; i++)
        st = add(b, part[i]);
    free(part);
    return st;
}

/* What had failed under others is tried again; the parts beside this one do so themselves. */
static enum mu_status read_one(struct mu_sweep_beside *b, struct mu_sweep_beside_folder *f)
{
    char path[MU_PATH_MAX];
    enum mu_status st;

    mu_sweep_past_deinit(&f->past);
    MU_TRY(mu_path_format(path, "%s/journal", f->path), st, done);
    MU_TRY(mu_sweep_past_read(&f->past, path), st, done);
    if (f->part.of != b->own.of || b->own.of == 0)
        mu_sweep_past_close(&f->past);
done:
    return st;
}

static enum mu_status look(struct mu_sweep_beside *b, bool *news)
{
    enum mu_status st;

    MU_TRY(list_all(b), st, done);
    for (uint32_t i = 0; i < b->count && st == MU_OK; i++) {
        struct mu_sweep_beside_folder *f = &b->folder[i];
        struct mark journal;

        if (f->is_read && f->part.of != b->own.of)
            continue;
        listen(f, !f->is_read);
        journal = mark_journal(f->path);
        if (f->is_read && is_same(journal, f->journal))
            continue;
        f->journal = journal;
        f->is_read = *news = true;
        st = read_one(b, f);
    }
done:
    return st;
}

enum mu_status mu_sweep_beside_open(struct mu_sweep_beside *b, const char *path)
{
    enum mu_status st;
    bool news;

    *b = (struct mu_sweep_beside){.count = 0};
    b->own = mu_sweep_part_of_path(b->whole, path);
    st = look(b, &news);
    b->has_begun = true;
    b->next = mu_clock_s() + look_seconds;
    return st;
}

void mu_sweep_beside_close(struct mu_sweep_beside *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        mu_sweep_past_deinit(&b->folder[i].past);
    free(b->folder);
    *b = (struct mu_sweep_beside){.count = 0};
}

enum mu_status mu_sweep_beside_look(struct mu_sweep_beside *b, bool at_once, bool *news)
{
    const double begin = mu_clock_s();
    enum mu_status st;
    double took;

    *news = false;
    if (b->own.of == 0 || (!at_once && begin < b->next))
        return MU_OK;
    st = look(b, news);
    took = mu_clock_s() - begin;
    b->next = mu_clock_s() + fmax(look_seconds, times * took);
    return st;
}

/* ---- what they say --------------------------------------------------------------------------- */

static uint32_t more(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Counts are written on from where they stood, by whoever goes on; the time of ranks is not. */
void mu_sweep_beside_add(const struct mu_sweep_beside *b, const char *name, struct mu_cell *c)
{
    for (uint32_t i = 0; i < b->count; i++) {
        const struct mu_sweep_past_trial *t = mu_sweep_past_find(&b->folder[i].past, name);
        const double rank_seconds = c->rank_seconds;
        struct mu_cell sum = *c;

        if (!t)
            continue;
        if (mu_cell_has_ended(t->cell.phase) &&
            (!mu_cell_has_ended(c->phase) || c->phase == MU_CELL_FAILED))
            sum = t->cell;
        sum.retries = more(c->retries, t->cell.retries);
        sum.deaths = more(c->deaths, t->cell.deaths);
        sum.moves = more(c->moves, t->cell.moves);
        sum.rank_seconds = rank_seconds + t->cell.rank_seconds;
        *c = sum;
    }
}

struct mu_cell mu_sweep_beside_find(const struct mu_sweep_beside *b, const char *name)
{
    struct mu_cell c = mu_cell_new(MU_CELL_READY);

    mu_sweep_beside_add(b, name, &c);
    return c;
}

bool mu_sweep_beside_lives(const struct mu_sweep_beside *b, uint32_t number)
{
    const struct mu_sweep_beside_folder *f =
        find(b, (struct mu_sweep_part){.number = number, .of = b->own.of});

    return f && (!f->has_ended || f->is_held) && mu_clock_s() - f->heard < MU_SWEEP_BESIDE_ALIVE_S;
}

bool mu_sweep_beside_has_ended(const struct mu_sweep_beside *b, uint32_t number)
{
    const struct mu_sweep_beside_folder *f =
        find(b, (struct mu_sweep_part){.number = number, .of = b->own.of});

    return !f || f->has_ended;
}

const struct mu_sweep_data *mu_sweep_beside_data(const struct mu_sweep_beside *b, uint32_t i)
{
    for (uint32_t k = 0; k < b->count; k++)
        if (b->folder[k].past.has_data && i-- == 0)
            return &b->folder[k].past.data;
    return NULL;
}
