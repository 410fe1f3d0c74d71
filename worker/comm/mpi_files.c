/* Who uses a file is read from /proc/PID/maps. Of another user's processes that cannot be read, but
 * they cannot map this user's files either (mode 0600). */
#include "worker/comm/mpi_files.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"

enum { YOUNG_S = 60 };

/* Calls take(context, path) for each of them that the process has mapped; "self" is this one. */
static void for_each_mapped(const char *process, void (*take)(void *context, const char *path),
                            void *context)
{
    char line[1024];
    FILE *maps;

    snprintf(line, sizeof line, "/proc/%.20s/maps", process);
    maps = fopen(line, "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strstr(line, "/dev/shm/sm_segment.");

        if (path) {
            path[strcspn(path, " \n")] = 0;
            take(context, path);
        }
    }
    if (maps)
        fclose(maps);
}

static void remove_it(void *context, const char *path)
{
    (void)context;
    unlink(path);
}

void mu_mpi_files_remove_own(void)
{
    for_each_mapped("self", remove_it, NULL);
}

struct beginning {
    char *out;
    size_t size;
};

static void keep_beginning(void *context, const char *path)
{
    const struct beginning *b = context;

    snprintf(b->out, b->size, "%.*s", (int)(strrchr(path, '.') + 1 - path), path);
}

void mu_mpi_files_name_own(char *out, size_t size)
{
    struct beginning b = {out, size};

    out[0] = 0;
    for_each_mapped("self", keep_beginning, &b);
}

struct search {
    const char *path;
    bool found;
};

static void compare(void *context, const char *path)
{
    struct search *s = context;

    s->found |= strcmp(path, s->path) == 0;
}

static bool is_mapped_by_anybody(const char *path)
{
    struct search s = {path, false};
    DIR *processes = opendir("/proc");
    struct dirent *p;

    if (!processes)
        return true; /* nothing is known */
    while (!s.found && (p = readdir(processes)))
        if (isdigit((unsigned char)p->d_name[0]))
            for_each_mapped(p->d_name, compare, &s);
    closedir(processes);
    return s.found;
}

static void for_each_stale(void (*take)(void *context, const char *path, const struct stat *s),
                           void *context)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *file;

    while (folder && (file = readdir(folder))) {
        char path[300];
        struct stat s;

        snprintf(path, sizeof path, "/dev/shm/%s", file->d_name);
        if (strncmp(file->d_name, "sm_segment.", 11) == 0 && lstat(path, &s) == 0 &&
            s.st_uid == geteuid() && S_ISREG(s.st_mode) && !mu_file_is_young(&s, YOUNG_S) &&
            !is_mapped_by_anybody(path))
            take(context, path, &s);
    }
    if (folder)
        closedir(folder);
}

static void remove_stale(void *context, const char *path, const struct stat *s)
{
    (void)context;
    (void)s;
    unlink(path);
    mu_log(MU_LOG_DEBUG, "removed %s, left by an MPI job that was killed", path);
}

void mu_mpi_files_remove_stale(void)
{
    for_each_stale(remove_stale, NULL);
}

struct stale {
    int count;
    uint64_t bytes;
};

static void count(void *context, const char *path, const struct stat *s)
{
    struct stale *found = context;

    (void)path;
    found->count++;
    found->bytes += 512 * (uint64_t)s->st_blocks;
}

int mu_mpi_files_count_stale(uint64_t *bytes)
{
    struct stale found = {0};

    for_each_stale(count, &found);
    *bytes = found.bytes;
    return found.count;
}
