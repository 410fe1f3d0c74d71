#include "orchestrator/launch/remains.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "worker/segment.h"
#include "worker/shm_file.h"

enum {
    LONGEST_FOLDER = 40,
    TRIAL_S = 2, /* an older file is not about to be removed by who made it */
};

#define FOLDER "/mu-XXXXXX"

enum mu_status mu_remains_make_folder(char out[64])
{
    const char *base = getenv("TMPDIR");

    if (!base || !*base || strlen(base) + strlen(FOLDER) > LONGEST_FOLDER || base[0] != '/')
        base = "/tmp";
    snprintf(out, 64, "%s" FOLDER, base);
    if (mkdtemp(out))
        return MU_OK;
    return MU_FAIL(MU_FAILED, "cannot make a folder for temporary files in %s: %s", base,
                   strerror(errno));
}

void mu_remains_remove_folder(const char *path)
{
    const char *last = strrchr(path, '/');

    if (!last || strlen(last) != strlen(FOLDER) || strncmp(last, "/mu-", 4) != 0)
        return;
    if (mu_file_remove_tree(path) != MU_OK)
        mu_log(MU_LOG_WARN, "%s could not be removed", path);
}

/* Open MPI tries shared memory with a file that it makes and removes at once; a rank that is killed
 * in between leaves it, and after a hundred of them no rank can try any more. */
static void remove_trials(void)
{
    static const char beginning[] = "open_mpi.";
    DIR *folder = opendir("/dev/shm");
    struct dirent *file;
    struct stat st;

    while (folder && (file = readdir(folder)))
        if (strncmp(file->d_name, beginning, sizeof beginning - 1) == 0 &&
            fstatat(dirfd(folder), file->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_uid == geteuid() && !mu_file_is_young(&st, TRIAL_S))
            unlinkat(dirfd(folder), file->d_name, 0);
    if (folder)
        closedir(folder);
}

void mu_remains_remove_mpi_files(const char *prefix)
{
    static const char shm[] = "/dev/shm/";
    const size_t length = strlen(prefix);
    struct dirent *file;
    DIR *folder;

    remove_trials();
    if (strncmp(prefix, shm, sizeof shm - 1) != 0)
        return;
    folder = opendir(shm);
    while (folder && (file = readdir(folder)))
        if (strncmp(file->d_name, prefix + sizeof shm - 1, length - (sizeof shm - 1)) == 0)
            unlinkat(dirfd(folder), file->d_name, 0);
    if (folder)
        closedir(folder);
}

/* ---- segments ---- */
/* As mu_segment_open and mu_segment_trial_key name them. */
void mu_segments_begin(struct mu_segments *s, const char *run, bool is_sweep)
{
    const uint64_t key = mu_hash_bytes(run, strlen(run), 0).low;

    memset(s, 0, sizeof *s);
    s->is_sweep = is_sweep;
    if (is_sweep)
        snprintf(s->beginning, sizeof s->beginning, "muster-%u-%08" PRIx32, (unsigned)geteuid(),
                 (uint32_t)key);
    else
        snprintf(s->beginning, sizeof s->beginning, "muster-%u-%016" PRIx64 "-h",
                 (unsigned)geteuid(), key);
}

static void let_go(struct mu_segments *s, int index)
{
    close(s->fd[index]);
    s->count--;
    s->fd[index] = s->fd[s->count];
    memmove(s->name[index], s->name[s->count], sizeof s->name[index]);
}

static bool is_held(const struct mu_segments *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (strcmp(s->name[i], name) == 0)
            return true;
    return false;
}

static int64_t committed_step(int fd)
{
    struct mu_segment_header *h;
    struct stat file;
    int64_t step = -1;

    if (fstat(fd, &file) != 0 || (size_t)file.st_size < sizeof *h)
        return -1;
    h = mmap(NULL, sizeof *h, PROT_READ, MAP_SHARED, fd, 0);
    if (h == MAP_FAILED)
        return -1;
    if (h->settled == 1)
        step = (int64_t)(h->state >> 1);
    munmap(h, sizeof *h);
    return step;
}

int64_t mu_segments_step(const struct mu_segments *s, int index, uint32_t *trial)
{
    const char *rest = s->name[index] + 1 + strlen(s->beginning);

    *trial = s->is_sweep ? (uint32_t)strtoul(rest, NULL, 16) : 0;
    return committed_step(s->fd[index]);
}

int64_t mu_segments_hold(struct mu_segments *s)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *file;
    int64_t newest = -1;
    char name[96];

    for (int i = s->count - 1; i >= 0; i--)
        if (!mu_shm_file_is_named(s->name[i], s->fd[i]))
            let_go(s, i);
    while (folder && (file = readdir(folder))) {
        if (strncmp(file->d_name, s->beginning, strlen(s->beginning)) != 0 ||
            (size_t)snprintf(name, sizeof name, "/%s", file->d_name) >= sizeof name ||
            s->count == MU_REMAINS_SEGMENTS || is_held(s, name))
            continue;
        if (mu_shm_file_open(name, 0, &s->fd[s->count]) == 0)
            memcpy(s->name[s->count++], name, sizeof name);
    }
    if (folder)
        closedir(folder);
    for (int i = 0; i < s->count; i++) {
        int64_t step = committed_step(s->fd[i]);

        newest = step > newest ? step : newest;
    }
    return newest;
}

void mu_segments_end(struct mu_segments *s, bool remove)
{
    bool are_more;

    do {
        if (remove)
            mu_segments_hold(s);
        are_more = remove && s->count == MU_REMAINS_SEGMENTS;
        while (s->count > 0) {
            if (remove)
                mu_shm_file_unlink(s->name[s->count - 1], s->fd[s->count - 1]);
            let_go(s, s->count - 1);
        }
    } while (are_more);
}
