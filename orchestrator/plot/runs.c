#include "orchestrator/plot/runs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/inspect/found.h"
#include "orchestrator/run/no_path.h"

static bool is_sweep(const char *path)
{
    return mu_file_exists_in(path, "sweep.json");
}

static bool is_run(const char *path)
{
    return mu_found_is_run(path) || mu_file_exists_in(path, "metrics.jsonl");
}

/* Where it is there already the name that the user gave stays. */
static enum mu_status add(struct mu_plot_runs *runs, const char *path, const struct stat *s,
                          bool named)
{
    struct mu_plot_run *more;

    for (size_t i = 0; i < runs->count; i++)
        if (runs->run[i].device == s->st_dev && runs->run[i].inode == s->st_ino)
            return MU_OK;
    more = realloc(runs->run, (runs->count + 1) * sizeof *more);
    if (!more)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu runs", runs->count + 1);
    runs->run = more;
    more[runs->count] = (struct mu_plot_run){
        .path = strdup(path), .named = named, .device = s->st_dev, .inode = s->st_ino};
    if (!more[runs->count++].path)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu runs", runs->count);
    return MU_OK;
}

static int only_names(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers within names by their value: width8 before width16, params720000 before params1e+06. */
static int by_name(const struct dirent **one, const struct dirent **other)
{
    const char *a = (*one)->d_name, *b = (*other)->d_name;
    char *a_end, *b_end;

    while (*a && *b) {
        if (is_digit(*a) && is_digit(*b)) {
            const double x = strtod(a, &a_end), y = strtod(b, &b_end);

            if (x != y)
                return x < y ? -1 : 1;
            a = a_end;
            b = b_end;
        } else if (*a != *b) {
            break;
        } else {
            a++;
            b++;
        }
    }
    return *a != *b ? (unsigned char)*a - (unsigned char)*b
                    : strcmp((*one)->d_name, (*other)->d_name);
}

/* The runs that lie directly in `folder`. */
static enum mu_status add_inner(struct mu_plot_runs *runs, const char *folder)
{
    struct dirent **names;
    const int count = scandir(folder, &names, only_names, by_name);
    enum mu_status st = MU_OK;

    if (count < 0)
        return MU_FAIL(MU_FAILED, "cannot read %s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[MU_PATH_MAX];
        struct stat s;

        if (st == MU_OK)
            st = mu_path_format(path, "%s/%s", folder, names[i]->d_name);
        if (st == MU_OK && stat(path, &s) == 0 && S_ISDIR(s.st_mode) && !is_sweep(path) &&
            is_run(path))
            st = add(runs, path, &s, false);
        free(names[i]);
    }
    free(names);
    return st;
}

static enum mu_status add_word(struct mu_plot_runs *runs, const char *word)
{
    char trials[MU_PATH_MAX];
    const size_t before = runs->count;
    struct stat s;
    enum mu_status st = MU_OK;

    if (stat(word, &s) != 0)
        return errno == ENOENT ? mu_no_path(word, "")
                               : MU_FAIL(MU_NOT_FOUND, "cannot read %s", word);
    if (!S_ISDIR(s.st_mode))
        return MU_FAIL(MU_NOT_FOUND,
                       "%s is a file; expected the folder of a run, of a sweep, or of runs "
                       "(run.dir/NAME)",
                       word);
    if (is_sweep(word)) {
        MU_TRY(mu_path_format(trials, "%s/trials", word), st, done);
        if (!mu_file_exists(trials))
            return MU_FAIL(MU_NOT_FOUND, "the sweep %s has no trials yet", word);
        return add_inner(runs, trials);
    }
    if (is_run(word))
        return add(runs, word, &s, true);
    MU_TRY(add_inner(runs, word), st, done);
    if (runs->count == before)
        st = MU_FAIL(MU_NOT_FOUND,
                     "%s is not the folder of a run (it has no metrics.jsonl), nor of a sweep (no "
                     "sweep.json), nor has it folders of runs in it; 'muster inspect' tells what "
                     "it holds",
                     word);
done:
    return st;
}

/* The last `parts` parts of a path. */
static const char *last_parts(const char *path, int parts)
{
    const char *at = path + strlen(path);

    while (at > path && (at[-1] != '/' || --parts > 0))
        at--;
    return at;
}

static bool is_unique(char *const *real, size_t count, size_t i, int parts)
{
    for (size_t k = 0; k < count; k++)
        if (k != i && strcmp(last_parts(real[k], parts), last_parts(real[i], parts)) == 0)
            return false;
    return true;
}

/* As short as tells it apart; of the real path, so that "." has a name. */
static enum mu_status name_all(struct mu_plot_runs *runs)
{
    char **real = calloc(runs->count + 1, sizeof *real);
    bool complete = real != NULL;

    for (size_t i = 0; complete && i < runs->count; i++) {
        real[i] = realpath(runs->run[i].path, NULL);
        if (!real[i])
            real[i] = strdup(runs->run[i].path);
        complete = real[i] != NULL;
    }
    for (size_t i = 0; complete && i < runs->count; i++) {
        int parts = 1;

        while (parts < 4 && !is_unique(real, runs->count, i, parts))
            parts++;
        runs->run[i].name = strdup(last_parts(real[i], parts));
        complete = runs->run[i].name != NULL;
    }
    for (size_t i = 0; real && i < runs->count; i++)
        free(real[i]);
    free(real);
    return complete ? MU_OK
                    : MU_FAIL(MU_NO_MEMORY, "no memory for the names of %zu runs", runs->count);
}

enum mu_status mu_plot_runs_find(char *const *word, int count, struct mu_plot_runs *out)
{
    enum mu_status st = MU_OK;

    *out = (struct mu_plot_runs){0};
    for (int i = 0; i < count; i++)
        MU_TRY(add_word(out, word[i]), st, done);
    MU_TRY(name_all(out), st, done);
done:
    if (st != MU_OK)
        mu_plot_runs_deinit(out);
    return st;
}

void mu_plot_runs_deinit(struct mu_plot_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        free(runs->run[i].path);
        free(runs->run[i].name);
    }
    free(runs->run);
    *runs = (struct mu_plot_runs){0};
}
