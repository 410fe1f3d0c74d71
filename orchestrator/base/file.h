/* Files that survive a crash: written beside, fsynced, renamed, the folder fsynced. Errors are
 * reported with path and reason; nothing here exits. */
#ifndef MUSTER_BASE_FILE_H
#define MUSTER_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "orchestrator/base/status.h"

enum { MU_PATH_MAX = 4096 };

/* printf into a path; MU_FAILED when it is too long. */
enum mu_status mu_path_format(char out[MU_PATH_MAX], const char *format, ...) MU_CHECKED
    __attribute__((format(printf, 2, 3)));

/* The folder that a path lies in: "a/b" -> "a", "b" -> ".", "/b" -> "/". */
void mu_path_go_up(char path[MU_PATH_MAX]);
/* The path itself, or the nearest folder above it that is there: where it will be made. */
void mu_path_find_nearest(char out[MU_PATH_MAX], const char *path);
/* Takes the slashes from its end; "/" stays. */
void mu_path_trim(char *path);
/* Whether it ends in this, and is longer. */
bool mu_path_ends_in(const char *path, const char *ending);

bool mu_file_exists(const char *path);
bool mu_file_exists_in(const char *folder, const char *name);
/* Written within the last seconds, by the clock on the wall. One that says it was written in the
 * future is not: the clock was set back since. */
bool mu_file_is_young(const struct stat *file, int seconds);
enum mu_status mu_file_make_folders(const char *path) MU_CHECKED; /* as `mkdir -p` */
/* Files to read from are opened without waiting: where a pipe lies, it is refused at once. */
/* A regular file as a stream; MU_NOT_FOUND, not reported, when there is none. */
enum mu_status mu_file_open_stream(const char *path, FILE **in) MU_CHECKED;
/* Whole file into malloc'ed memory with a zero byte after it; the caller frees. MU_NOT_FOUND is not
 * reported. */
enum mu_status mu_file_read(const char *path, size_t max_size, char **data,
                            size_t *size) MU_CHECKED;
/* A reader sees the old content or the new one, never a part, also after a power cut. */
enum mu_status mu_file_write_durably(const char *path, const void *data, size_t size) MU_CHECKED;
/* The same without fsync: for files rewritten every second (status, metrics for scrapers). */
enum mu_status mu_file_write_atomically(const char *path, const void *data, size_t size) MU_CHECKED;
/* The same for text, which a newline ends at last, unreported: 0 or an errno. For who warns once,
 * and goes on. */
int mu_file_replace(const char *path, const char *beside, const char *text);
/* fsync of a file's content; of a folder's names. */
enum mu_status mu_file_sync(const char *path) MU_CHECKED;
enum mu_status mu_file_sync_folder(const char *path) MU_CHECKED;
/* Of either, while `poll` is called again and again; what it gives back other than MU_OK ends the
 * wait and is passed on (the fsync goes on by itself). MU_FAILED too when ten minutes do not do. */
enum mu_status mu_file_sync_polling(const char *path, enum mu_status (*poll)(void *context),
                                    void *context) MU_CHECKED;
/* rename + fsync of the folder of `to`. */
enum mu_status mu_file_rename_durably(const char *from, const char *to) MU_CHECKED;
/* Removes a file's name at once, however large it is: a thread gives its room back (80 ms for 400
 * MB). A missing one is no error. */
enum mu_status mu_file_remove(const char *path) MU_CHECKED;
/* Removes a folder and all in it; a missing one is no error. Follows no symbolic link. */
enum mu_status mu_file_remove_tree(const char *path) MU_CHECKED;
/* All bytes or an error; interrupted and short writes are continued. */
enum mu_status mu_file_write_all(int fd, const void *data, size_t size,
                                 const char *path) MU_CHECKED;

#endif
