/* A sweep's folder: its own files, then each trial, which is a run. And folders of runs. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/inspect/found.h"
#include "orchestrator/verify/findings.h"

enum { CSV_MAX = 1 << 30 };

static const char again[] = "start the sweep again with the same words: it writes it anew from its "
                            "journal";

/* Commas outside of quotes. */
static uint64_t cells_of(const char *line, size_t size)
{
    uint64_t cells = 1;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        quoted = quoted != (line[i] == '"');
        cells += line[i] == ',' && !quoted;
    }
    return cells;
}

/* Every line has the columns of the first one, and an end. */
static void check_csv(struct mu_verify *v, const char *folder, const char *name)
{
    struct mu_verify_ear ear;
    char path[MU_PATH_MAX], *text = NULL;
    uint64_t columns = 0, lines = 0;
    size_t size = 0;
    enum mu_status st = mu_path_format(path, "%s/%s", folder, name);

    mu_verify_listen(&ear, v, again);
    if (st == MU_OK)
        st = mu_file_read(path, CSV_MAX, &text, &size);
    mu_verify_listen_end(&ear);
    for (size_t at = 0; st == MU_OK && at < size; lines++) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        const uint64_t cells = cells_of(text + at, length);

        columns = columns ? columns : cells;
        if (!end || cells != columns) {
            mu_verify_find(v, MU_FINDING_DAMAGE, again,
                           "%s:%" PRIu64 ": %" PRIu64 " columns, and the first line has %" PRIu64
                           "%s",
                           path, lines + 1, cells, columns, end ? "" : "; the line has no end");
            goto done;
        }
        at += length + 1;
    }
    if (st == MU_OK)
        mu_verify_find(v, MU_FINDING_GOOD, NULL, "%s: %" PRIu64 " lines", path, lines);
done:
    free(text);
}

static void check_json(struct mu_verify *v, const char *folder, const char *name, bool optional)
{
    char path[MU_PATH_MAX];
    json_t *object;

    if (mu_path_format(path, "%s/%s", folder, name) != MU_OK)
        return;
    object = mu_verify_json(v, path, optional, again);
    if (object)
        mu_verify_find(v, MU_FINDING_GOOD, NULL, "%s: it can be read", path);
    json_decref(object);
}

static int only_names(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void verify_one(struct mu_verify *v, const char *path, bool in_sweep)
{
    if (mu_file_exists_in(path, "sweep.json"))
        mu_verify_sweep(v, path);
    else if (mu_found_is_run(path))
        mu_verify_run(v, path);
    else if (in_sweep)
        mu_verify_find(
            v, MU_FINDING_NOTE, NULL,
            "%s: neither status.json nor checkpoints/: it was not begun, or a crash left "
            "it",
            path);
}

static void verify_each(struct mu_verify *v, const char *path, bool in_sweep)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, only_names, alphasort);

    if (count < 0)
        mu_verify_find(v, MU_FINDING_DAMAGE, "make it a readable folder", "%s: %s", path,
                       strerror(errno));
    for (int i = 0; i < count; i++) {
        char inside[MU_PATH_MAX];

        if (mu_path_format(inside, "%s/%s", path, names[i]->d_name) == MU_OK)
            verify_one(v, inside, in_sweep);
        free(names[i]);
    }
    free(names);
}

void mu_verify_runs(struct mu_verify *v, const char *path)
{
    verify_each(v, path, false);
}

void mu_verify_sweep(struct mu_verify *v, const char *path)
{
    char folder[MU_PATH_MAX];

    check_json(v, path, "sweep.json", false);
    check_json(v, path, "fit.json", true);
    check_csv(v, path, "results.csv");
    check_csv(v, path, "timing.csv");
    check_csv(v, path, "timeline.csv");
    if (mu_path_format(folder, "%s/journal", path) == MU_OK)
        mu_verify_journal(v, folder, false);
    mu_verify_leavings(v, path);
    if (mu_path_format(folder, "%s/parts", path) == MU_OK && mu_file_exists(folder))
        verify_each(v, folder, false);
    if (mu_path_format(folder, "%s/trials", path) == MU_OK && mu_file_exists(folder))
        verify_each(v, folder, true);
}
