/* Beside means PATH.tmp.PID: two processes that write the same file do not meet, and the last
 * rename wins. A folder is removed by descriptors, never through a symbolic link. */
#include "orchestrator/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum mu_status mu_path_format(char out[MU_PATH_MAX], const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out, MU_PATH_MAX, format, args);
    va_end(args);
    if (n < 0 || n >= MU_PATH_MAX)
        return MU_FAIL(MU_FAILED, "path longer than %d characters: %.200s...", MU_PATH_MAX - 1,
                       out);
    return MU_OK;
}

void mu_path_go_up(char path[MU_PATH_MAX])
{
    char *slash = strrchr(path, '/');

    if (slash)
        slash[slash == path] = 0;
    else
        strcpy(path, ".");
}

void mu_path_find_nearest(char out[MU_PATH_MAX], const char *path)
{
    struct stat s;

    snprintf(out, MU_PATH_MAX, "%s", path);
    while (stat(out, &s) != 0 && errno == ENOENT)
        mu_path_go_up(out);
}

void mu_path_trim(char *path)
{
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
}

bool mu_path_ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);

    return n > m && strcmp(path + n - m, ending) == 0;
}

bool mu_file_exists(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0;
}

bool mu_file_exists_in(const char *folder, const char *name)
{
    char path[MU_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);

    return n > 0 && n < MU_PATH_MAX && mu_file_exists(path);
}

/* Two clocks that tick apart may be a second apart in whole seconds. */
bool mu_file_is_young(const struct stat *file, int seconds)
{
    time_t age_s = time(NULL) - file->st_mtime;

    return age_s >= -1 && age_s < seconds;
}

static enum mu_status make_folder(const char *path)
{
    struct stat s;
    int error;

    if (mkdir(path, 0777) == 0)
        return MU_OK;
    error = errno;
    if (error == EEXIST && stat(path, &s) == 0 && S_ISDIR(s.st_mode))
        return MU_OK;
    return MU_FAIL(MU_FAILED, "cannot make folder %s: %s", path,
                   error == EEXIST ? "a file of that name is there" : strerror(error));
}

enum mu_status mu_file_make_folders(const char *path)
{
    char part[MU_PATH_MAX];
    enum mu_status st = mu_path_format(part, "%s", path);

    for (char *p = part + (*path != 0); st == MU_OK && *p; p++)
        if (*p == '/') {
            *p = 0;
            st = make_folder(part);
            *p = '/';
        }
    return st == MU_OK ? make_folder(part) : st;
}

enum mu_status mu_file_open_stream(const char *path, FILE **in)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat s;
    enum mu_status st = MU_OK;

    *in = NULL;
    if (fd < 0 && errno == ENOENT)
        return MU_NOT_FOUND;
    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
        st = MU_FAIL(MU_FAILED, "cannot read %s: it is not a regular file", path);
    else if (!(*in = fdopen(fd, "r")))
        st = MU_FAIL(MU_NO_MEMORY, "no memory to read %s", path);
    if (st != MU_OK)
        close(fd);
    return st;
}

enum mu_status mu_file_read(const char *path, size_t max_size, char **data, size_t *size)
{
    enum mu_status st = MU_OK;
    struct stat s;
    size_t have = 0;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    *data = NULL;
    *size = 0;
    if (fd < 0)
        return errno == ENOENT ? MU_NOT_FOUND
                               : MU_FAIL(MU_FAILED, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        st = MU_FAIL(MU_FAILED, "%s is not a regular file", path);
        goto done;
    }
    if ((uint64_t)s.st_size > max_size) {
        st = MU_FAIL(MU_FAILED, "%s has %lld bytes; at most %zu were expected", path,
                     (long long)s.st_size, max_size);
        goto done;
    }
    text = malloc((size_t)s.st_size + 1);
    if (!text) {
        st =
            MU_FAIL(MU_NO_MEMORY, "no memory for the %lld bytes of %s", (long long)s.st_size, path);
        goto done;
    }
    while (have < (size_t)s.st_size) {
        ssize_t n = read(fd, text + have, (size_t)s.st_size - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            st = MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
            goto done;
        }
        if (n == 0)
            break;
        have += (size_t)n;
    }
    text[have] = 0;
    *data = text;
    *size = have;
    text = NULL;
done:
    free(text);
    close(fd);
    return st;
}

enum mu_status mu_file_write_all(int fd, const void *data, size_t size, const char *path)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MU_FAIL(MU_FAILED, "cannot write %s: %s", path, strerror(errno));
        at += n;
        size -= (size_t)n;
    }
    return MU_OK;
}

static enum mu_status write_and_rename(const char *path, const void *data, size_t size,
                                       bool durable)
{
    enum mu_status st;
    char beside[MU_PATH_MAX];
    int fd = -1;

    st = mu_path_format(beside, "%s.tmp.%ld", path, (long)getpid());
    if (st != MU_OK)
        return st;
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot create %s: %s", beside, strerror(errno));
    MU_TRY(mu_file_write_all(fd, data, size, beside), st, done);
    if (durable && fsync(fd) != 0) {
        st = MU_FAIL(MU_FAILED, "cannot sync %s: %s", beside, strerror(errno));
        goto done;
    }
    if (close(fd) != 0) {
        fd = -1;
        st = MU_FAIL(MU_FAILED, "cannot close %s: %s", beside, strerror(errno));
        goto done;
    }
    fd = -1;
    if (durable)
        MU_TRY(mu_file_rename_durably(beside, path), st, done);
    else if (rename(beside, path) != 0)
        st = MU_FAIL(MU_FAILED, "cannot rename %s to %s: %s", beside, path, strerror(errno));
done:
    if (fd >= 0)
        close(fd);
    if (st != MU_OK)
        unlink(beside);
    return st;
}

enum mu_status mu_file_write_durably(const char *path, const void *data, size_t size)
{
    return write_and_rename(path, data, size, true);
}

enum mu_status mu_file_write_atomically(const char *path, const void *data, size_t size)
{
    return write_and_rename(path, data, size, false);
}

int mu_file_replace(const char *path, const char *beside, const char *text)
{
    const size_t length = strlen(text);
    const bool ends = length > 0 && text[length - 1] == '\n';
    FILE *out = fopen(beside, "we");
    int error = 0;

    if (!out)
        return errno;
    if (fputs(text, out) < 0 || (!ends && fputc('\n', out) < 0) || fflush(out) != 0)
        error = errno;
    if (fclose(out) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(beside, path) != 0)
        error = errno;
    if (error != 0)
        unlink(beside);
    return error;
}

static enum mu_status sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC), failed;

    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot open %s to sync it: %s", path, strerror(errno));
    failed = fsync(fd) != 0;
    if (failed)
        failed = errno;
    close(fd);
    return failed ? MU_FAIL(MU_FAILED, "cannot sync %s: %s", path, strerror(failed)) : MU_OK;
}

enum mu_status mu_file_sync(const char *path)
{
    return sync_path(path, O_RDONLY);
}

enum mu_status mu_file_sync_folder(const char *path)
{
    return sync_path(path, O_RDONLY | O_DIRECTORY);
}

enum mu_status mu_file_rename_durably(const char *from, const char *to)
{
    char folder[MU_PATH_MAX];
    enum mu_status st = mu_path_format(folder, "%s", to);

    if (st != MU_OK)
        return st;
    if (rename(from, to) != 0)
        return MU_FAIL(MU_FAILED, "cannot rename %s to %s: %s", from, to, strerror(errno));
    mu_path_go_up(folder);
    return mu_file_sync_folder(folder);
}

static enum mu_status remove_at(int parent, const char *name, const char *shown)
{
    enum mu_status st = MU_OK;
    struct dirent *entry;
    DIR *folder;
    int fd;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return MU_OK;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return MU_OK; /* on a read-only disk only the opening says that it is missing */
    folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0)
            close(fd);
        return MU_FAIL(MU_FAILED, "cannot remove %s: %s", shown, strerror(errno));
    }
    while (st == MU_OK && (entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            st = remove_at(dirfd(folder), entry->d_name, entry->d_name);
    closedir(folder);
    if (st == MU_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        st = MU_FAIL(MU_FAILED, "cannot remove %s: %s", shown, strerror(errno));
    return st;
}

enum mu_status mu_file_remove_tree(const char *path)
{
    char name[MU_PATH_MAX];
    enum mu_status st = mu_path_format(name, "%s", path);

    if (st != MU_OK)
        return st;
    mu_path_trim(name); /* "link/" would be what it leads to */
    return remove_at(AT_FDCWD, name, name);
}
