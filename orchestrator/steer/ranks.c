#include "orchestrator/steer/ranks.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/process.h"
#include "orchestrator/run/json_values.h"

enum { FILE_MOST = 64 << 20, RANKS_MOST = 1 << 20 };

static json_t *pack_row(const struct mu_rank_row *r)
{
    return json_pack("{s:i, s:s, s:b, s:o, s:I, s:o}", "rank", r->rank, "role",
                     r->is_worker ? "worker" : "spare", "master", r->is_master, "pid",
                     r->pid ? json_integer((json_int_t)r->pid) : json_null(), "start_time",
                     (json_int_t)r->start_time, "host", mu_json_text(r->host));
}

enum mu_status mu_ranks_write(const char *run, uint64_t start, const struct mu_rank_row *row,
                              uint32_t count)
{
    json_t *rows = json_array(), *object;
    char path[MU_PATH_MAX], name[24], *text;
    enum mu_status st = mu_path_format(path, "%s/ranks.json", run);

    snprintf(name, sizeof name, "%016" PRIx64, start);
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(rows, pack_row(&row[i]));
    object =
        json_pack("{s:s, s:s, s:o}", "updated", mu_clock_date().text, "start", name, "ranks", rows);
    text = json_dumps(object, JSON_INDENT(1));
    json_decref(object);
    if (st == MU_OK)
        st = text ? mu_file_write_atomically(path, text, strlen(text))
                  : MU_FAIL(MU_NO_MEMORY, "no memory for ranks.json");
    free(text);
    return st;
}

static void take_row(const json_t *from, struct mu_rank_row *to)
{
    *to = (struct mu_rank_row){
        .rank = (int)mu_json_get_integer(from, "rank"),
        .pid = (uint32_t)mu_json_get_integer(from, "pid"),
        .start_time = (uint64_t)mu_json_get_integer(from, "start_time"),
        .is_worker = strcmp(mu_json_get_text(from, "role"), "worker") == 0,
        .is_master = json_is_true(json_object_get(from, "master")),
    };
    mu_json_copy_text(to->host, sizeof to->host, from, "host");
}

enum mu_status mu_ranks_read(const char *run, uint64_t *start, struct mu_rank_row **row,
                             uint32_t *count)
{
    char path[MU_PATH_MAX], *text = NULL;
    json_t *object = NULL;
    const json_t *rows;
    size_t size;
    enum mu_status st;

    *row = NULL;
    *count = 0;
    MU_TRY(mu_path_format(path, "%s/ranks.json", run), st, done);
    st = mu_file_read(path, FILE_MOST, &text, &size);
    if (st != MU_OK)
        goto done;
    object = json_loadb(text, size, 0, NULL);
    rows = json_object_get(object, "ranks");
    if (!json_is_array(rows) || json_array_size(rows) > RANKS_MOST) {
        st = MU_FAIL(MU_CORRUPT, "%s cannot be read: expected the ranks of a run", path);
        goto done;
    }
    *row = calloc(json_array_size(rows) + 1, sizeof **row);
    if (!*row) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the rows of %s", path);
        goto done;
    }
    *count = (uint32_t)json_array_size(rows);
    for (uint32_t i = 0; i < *count; i++)
        take_row(json_array_get(rows, i), &(*row)[i]);
    if (start && sscanf(mu_json_get_text(object, "start"), "%" SCNx64, start) != 1)
        *start = 0;
done:
    json_decref(object);
    free(text);
    return st;
}

bool mu_rank_is_here(const struct mu_rank_row *row)
{
    char own[64] = "";

    gethostname(own, sizeof own - 1);
    return strcmp(own, row->host) == 0;
}

bool mu_rank_lives(const struct mu_rank_row *row)
{
    struct mu_process p;

    return mu_process_read(row->pid, &p) && !mu_process_is_over(&p) &&
           (row->start_time == 0 || p.start_time == row->start_time);
}
