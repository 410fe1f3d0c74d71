#include "orchestrator/steer/request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"

enum { VERSION = 1, BYTES_MOST = 4096 };

static const char ending[] = ".request", aside[] = ".refused";

static const char *const words[MU_STEER_KINDS] = {
#define WORD(name, word) [MU_STEER_##name] = word,
    MU_STEER_TABLE(WORD)
#undef WORD
};

const char *mu_steer_word(enum mu_steer_kind kind)
{
    return words[kind];
}

static enum mu_steer_kind kind_of(const char *word)
{
    enum mu_steer_kind kind = 0;

    while (kind < MU_STEER_KINDS && strcmp(words[kind], word) != 0)
        kind++;
    return kind;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* It will stand in a line on somebody's terminal. */
static void copy_printable(char *to, size_t capacity, const char *from)
{
    snprintf(to, capacity, "%s", from);
    for (; *to; to++)
        if ((unsigned char)*to < ' ' || (unsigned char)*to > '~')
            *to = '?';
}

bool mu_steer_parse(const char *text, size_t size, struct mu_steer_request *out,
                    char why[MU_STEER_WHY_MAX])
{
    json_error_t error;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    const char *what = mu_json_get_text(object, "what");
    const json_int_t version = mu_json_get_integer(object, "version");

    why[0] = 0;
    out->kind = kind_of(what);
    copy_printable(out->by, sizeof out->by, mu_json_get_text(object, "by"));
    if (!object)
        copy_printable(why, MU_STEER_WHY_MAX, error.text);
    else if (!json_is_object(object))
        snprintf(why, MU_STEER_WHY_MAX, "it is not a JSON object");
    else if (version != VERSION)
        snprintf(why, MU_STEER_WHY_MAX,
                 "its version is %" JSON_INTEGER_FORMAT ", and this program knows %d", version,
                 VERSION);
    else if (out->kind == MU_STEER_KINDS) {
        char shown[32];

        copy_printable(shown, sizeof shown, what);
        snprintf(why, MU_STEER_WHY_MAX, "it asks for '%s'; expected stop or checkpoint", shown);
    }
    json_decref(object);
    return why[0] == 0;
}

static enum mu_status path_of(char out[MU_PATH_MAX], const char *run, const char *name)
{
    return mu_path_format(out, "%s/control/%s", run, name);
}

static enum mu_status make_name(struct mu_steer_request *out)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return MU_FAIL(MU_FAILED, "the system has no random numbers: %s", strerror(errno));
    snprintf(out->name, sizeof out->name, "%s-%016" PRIx64 "%s", words[out->kind], random, ending);
    return MU_OK;
}

static void name_asker(char *out, size_t size)
{
    const char *user = getenv("USER");
    char host[64] = "", who[32];

    gethostname(host, sizeof host - 1);
    if (user && *user)
        snprintf(who, sizeof who, "%s", user);
    else
        snprintf(who, sizeof who, getuid() == 0 ? "root" : "user %u", (unsigned)getuid());
    snprintf(out, size, "%s on %s, pid %ld", who, host, (long)getpid());
}

enum mu_status mu_steer_write(const char *run, enum mu_steer_kind kind,
                              struct mu_steer_request *out)
{
    char path[MU_PATH_MAX], *text = NULL;
    json_t *object = NULL;
    enum mu_status st;

    *out = (struct mu_steer_request){.kind = kind};
    name_asker(out->by, sizeof out->by);
    MU_TRY(make_name(out), st, done);
    MU_TRY(path_of(path, run, out->name), st, done);
    object = json_pack("{s:i, s:s, s:o, s:s}", "version", VERSION, "what", words[kind], "by",
                       mu_json_text(out->by), "date", mu_clock_date().text);
    text = json_dumps(object, JSON_COMPACT);
    st = text ? mu_file_write_durably(path, text, strlen(text))
              : MU_FAIL(MU_NO_MEMORY, "no memory for a request");
done:
    free(text);
    json_decref(object);
    return st;
}

static bool is_plain(const char *name)
{
    return kind_of(name) < MU_STEER_KINDS;
}

static bool read_text(const char *path, struct mu_steer_request *out, char why[MU_STEER_WHY_MAX])
{
    char *text = NULL;
    size_t size = 0;
    enum mu_status st = mu_file_read(path, BYTES_MOST, &text, &size);
    bool good = false;

    if (st == MU_OK)
        good = mu_steer_parse(text, size, out, why);
    else if (st != MU_NOT_FOUND)
        snprintf(why, MU_STEER_WHY_MAX, "it cannot be read");
    free(text);
    return good;
}

bool mu_steer_read(const char *run, const char *name, struct mu_steer_request *out,
                   char why[MU_STEER_WHY_MAX])
{
    char path[MU_PATH_MAX];
    struct stat file;

    why[0] = 0;
    *out = (struct mu_steer_request){.is_plain = is_plain(name)};
    snprintf(out->name, sizeof out->name, "%s", name);
    if (path_of(path, run, name) != MU_OK || lstat(path, &file) != 0)
        return false;
    out->made_s = (int64_t)file.st_mtim.tv_sec;
    if (!S_ISREG(file.st_mode)) /* to open a pipe would wait for whoever writes into it */
        snprintf(why, MU_STEER_WHY_MAX, "it is not a file");
    else if (!out->is_plain && !mu_path_ends_in(name, ending))
        snprintf(why, MU_STEER_WHY_MAX,
                 "no request has that name; expected stop or checkpoint, or use muster stop, "
                 "muster checkpoint");
    else if (!out->is_plain)
        return read_text(path, out, why);
    out->kind = out->is_plain ? kind_of(name) : MU_STEER_STOP;
    return why[0] == 0;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static bool is_of_others(const char *name)
{
    return name[0] == '.' || strcmp(name, words[MU_STEER_STOP]) == 0 ||
           strcmp(name, MU_REQUEST_RESIZE) == 0 || strcmp(name, MU_REQUEST_RELAUNCH) == 0 ||
           strstr(name, ".tmp.") || mu_path_ends_in(name, aside) ||
           strlen(name) >= MU_STEER_NAME_MAX;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

uint32_t mu_steer_names(const char *run, char (*names)[MU_STEER_NAME_MAX], uint32_t most)
{
    char path[MU_PATH_MAX];
    struct dirent *entry;
    uint32_t count = 0;
    DIR *folder = path_of(path, run, "") == MU_OK ? opendir(path) : NULL;

    while (folder && count < most && (entry = readdir(folder)))
        if (!is_of_others(entry->d_name))
            snprintf(names[count++], MU_STEER_NAME_MAX, "%.*s", MU_STEER_NAME_MAX - 1,
                     entry->d_name);
    if (folder)
        closedir(folder);
    qsort(names, count, sizeof *names, compare);
    return count;
}

bool mu_steer_is_there(const char *run, const char *name)
{
    char path[MU_PATH_MAX];
    struct stat file;

    return path_of(path, run, name) == MU_OK && (lstat(path, &file) == 0 || errno != ENOENT);
}

bool mu_steer_remove(const char *run, const char *name)
{
    char path[MU_PATH_MAX];

    return path_of(path, run, name) == MU_OK && (unlink(path) == 0 || errno == ENOENT);
}

bool mu_steer_set_aside(const char *run, const char *name)
{
    char from[MU_PATH_MAX], to[MU_PATH_MAX];

    return path_of(from, run, name) == MU_OK && mu_path_format(to, "%s%s", from, aside) == MU_OK &&
           rename(from, to) == 0;
}
