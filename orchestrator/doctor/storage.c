/* Where runs lie, and /dev/shm. All that touches the folder of runs does so apart: a network file
 * system that has lost its server makes every call wait. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/cores.h"
#include "orchestrator/base/disk.h"
#include "orchestrator/base/log.h"
#include "orchestrator/doctor/parts.h"
#include "worker/board.h"
#include "worker/checkpoint/h5.h"
#include "worker/comm/mpi_files.h"

enum {
    STORAGE_MS = 4000,
    CLEAR_MS = 2000,
    TRIAL_BYTES = 1 << 20,
    ROWS = 16,
    COLS = 64,
    FEW_NAMES = 1000
};
static const uint64_t MIB = 1 << 20, GIB = 1 << 30;

static void find_folder(const char *run_dir, struct mu_doctor_storage_facts *f)
{
    struct stat s;

    f->is_there = stat(run_dir, &s) == 0;
    mu_path_find_nearest(f->folder, run_dir);
    if (stat(f->folder, &s) != 0)
        f->look_error = errno;
    else if (!S_ISDIR(s.st_mode))
        f->look_error = ENOTDIR;
}

static void look_at_space(struct mu_doctor_storage_facts *f)
{
    struct statfs s;

    f->look_error = statfs(f->folder, &s) == 0 ? mu_disk_look(f->folder, &f->disk) : errno;
    f->type = f->look_error == 0 ? (uint64_t)s.f_type & 0xffffffffu : 0;
}

static void try_file(const char *folder, struct mu_doctor_storage_facts *f)
{
    static char block[TRIAL_BYTES];
    char path[MU_PATH_MAX];
    const double began = mu_clock_s();
    ssize_t written;
    int fd;

    snprintf(path, sizeof path, "%.4000s/trial", folder);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    written = fd >= 0 ? write(fd, block, sizeof block) : -1;
    if (written < 0 || fsync(fd) != 0)
        f->write_error = errno;
    else if (written < (ssize_t)sizeof block)
        f->write_error = ENOSPC;
    f->seconds = mu_clock_s() - began;
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0)
        f->lock_error = errno;
    if (fd >= 0)
        close(fd);
}

static enum mu_status write_and_read(const char *path, struct mu_doctor_storage_facts *f)
{
    const struct mu_h5_shape shape = {.type = MU_H5_F32, .rows = ROWS, .cols = COLS};
    float in[ROWS * COLS], out[ROWS * COLS] = {0};
    struct mu_h5_array array = MU_H5_NO_ARRAY;
    struct mu_h5 file = MU_H5_CLOSED;
    enum mu_status st;

    for (int i = 0; i < ROWS * COLS; i++)
        in[i] = (float)i;
    MU_TRY(mu_h5_create(&file, path, NULL), st, done);
    MU_TRY(mu_h5_array_create(&file, "trial", shape, &array), st, done);
    MU_TRY(mu_h5_array_write(&array, 0, ROWS, in), st, done);
    mu_h5_array_close(&array);
    MU_TRY(mu_h5_close(&file), st, done);
    f->h5_written = true;
    MU_TRY(mu_h5_open(&file, path), st, done);
    MU_TRY(mu_h5_array_open(&file, "trial", shape, &array), st, done);
    MU_TRY(mu_h5_array_read(&array, 0, ROWS, out), st, done);
    f->h5_read = memcmp(in, out, sizeof in) == 0;
done:
    mu_h5_array_close(&array);
    mu_h5_close_quietly(&file);
    return st;
}

/* What HDF5 says goes to stderr, which is a file here. */
static void try_h5(const char *folder, struct mu_doctor_storage_facts *f)
{
    char path[MU_PATH_MAX], said[MU_PATH_MAX];
    FILE *log;

    snprintf(path, sizeof path, "%.4000s/trial.h5", folder);
    snprintf(said, sizeof said, "%.4000s/said", folder);
    log = freopen(said, "w", stderr);
    if (write_and_read(path, f) == MU_OK || !log)
        return;
    fflush(stderr);
    log = fopen(said, "re");
    if (log && fgets(f->h5_problem, sizeof f->h5_problem, log))
        f->h5_problem[strcspn(f->h5_problem, "\n")] = 0;
    if (log)
        fclose(log);
}

/* Apart. */
static void look(void *context, int out)
{
    const struct mu_doctor_storage *s = context;
    struct mu_doctor_storage_facts f = {.look_error = 0};
    char scratch[MU_PATH_MAX];

    find_folder(s->run_dir, &f);
    if (f.look_error == 0)
        look_at_space(&f);
    if (f.look_error == 0) {
        snprintf(scratch, sizeof scratch, "%.4000s/%s", f.folder, s->scratch);
        if (mkdir(scratch, 0700) != 0) {
            f.write_error = errno;
        } else {
            try_file(scratch, &f);
            if (f.write_error == 0)
                try_h5(scratch, &f);
        }
    }
    if (write(out, &f, sizeof f) != (ssize_t)sizeof f)
        _exit(1);
}

/* Apart, too. */
static void clear(void *context, int out)
{
    const struct mu_doctor_storage *s = context;
    struct mu_doctor_storage_facts f = {.look_error = 0};
    char scratch[MU_PATH_MAX];

    (void)out;
    find_folder(s->run_dir, &f);
    snprintf(scratch, sizeof scratch, "%.4000s/%s", f.folder, s->scratch);
    if (mu_file_exists(scratch) && mu_file_remove_tree(scratch) != MU_OK)
        _exit(1);
}

void mu_doctor_storage_ask(struct mu_doctor_storage *s, const struct mu_doctor_request *request)
{
    snprintf(s->run_dir, sizeof s->run_dir, "%s", request->run_dir);
    snprintf(s->scratch, sizeof s->scratch, ".muster-doctor-%d", (int)getpid());
    mu_apart_call(&s->apart, look, s, STORAGE_MS);
}

void mu_doctor_storage_clear(struct mu_doctor_storage *s)
{
    struct mu_apart *const list[] = {&s->apart};

    mu_apart_call(&s->apart, clear, s, CLEAR_MS);
    mu_apart_wait(list, 1, NULL);
    if (!mu_apart_succeeded(&s->apart))
        mu_log(MU_LOG_WARN, "%s could not be removed from the folder of runs", s->scratch);
}

static void tell_folder(const struct mu_doctor_storage *s, const struct mu_doctor_storage_facts *f,
                        struct mu_doctor_report *r)
{
    struct mu_doctor_text type = mu_doctor_file_system(f->type);
    const char *advice = NULL;
    enum mu_doctor_mark mark = MU_DOCTOR_OK;

    if (f->write_error != 0) {
        mu_doctor_add(r, MU_DOCTOR_MISSING, "folder of runs",
                      "make it writable, make room, or give another one: run.dir=/where/to",
                      "%s (%s) cannot be written: %s", f->folder, type.text,
                      strerror(f->write_error));
        return;
    }
    if (f->disk.free_bytes < GIB) {
        mark = MU_DOCTOR_WARN;
        advice = "make room, or give another folder: run.dir=/where/to; a checkpoint takes 12 "
                 "bytes a parameter";
    } else if (f->disk.total_files > 0 && f->disk.free_files < FEW_NAMES) {
        mark = MU_DOCTOR_WARN;
        advice = "few names of files are left: remove old runs";
    } else if (mu_doctor_is_network(f->type)) {
        mark = MU_DOCTOR_NOTE;
        advice = "many small files of metrics go there; if it is slow, give a local folder as "
                 "run.dir, and keep copies there";
    } else if (strcmp(type.text, "tmpfs") == 0) {
        mark = MU_DOCTOR_WARN;
        advice = "that is memory: runs are gone after a restart; give another folder as run.dir";
    }
    mu_doctor_add(r, mark, "folder of runs", advice,
                  "%s%s: %s, %s of %s free, 1 MiB synced in %.0f ms", s->run_dir,
                  f->is_there ? "" : " (to be made)", type.text,
                  mu_amount_bytes((double)f->disk.free_bytes).text,
                  mu_amount_bytes((double)f->disk.total_bytes).text, 1e3 * f->seconds);
}

static void tell_h5(const struct mu_doctor_storage_facts *f, struct mu_doctor_report *r)
{
    const char *version = mu_h5_library_version();

    if (f->write_error != 0)
        mu_doctor_add(r, MU_DOCTOR_NOTE, "HDF5", NULL, "%s; not tried, as nothing can be written",
                      version);
    else if (!f->h5_written || !f->h5_read)
        mu_doctor_add(r, MU_DOCTOR_MISSING, "HDF5",
                      "on a file system without locks: export HDF5_USE_FILE_LOCKING=FALSE",
                      "%s: a small file cannot be %s: %s", version,
                      f->h5_written ? "read back" : "written", f->h5_problem);
    else
        mu_doctor_add(r, MU_DOCTOR_OK, "HDF5", NULL, "%s: a small file was written and read back",
                      version);
    if (f->write_error == 0 && f->lock_error != 0)
        mu_doctor_add(r, MU_DOCTOR_WARN, "file locks",
                      "never train one run twice at the same time; NFS: nfslock on the server, "
                      "Lustre: mount with -o flock",
                      "not in %s: %s; nothing keeps two processes from training one run", f->folder,
                      strerror(f->lock_error));
    else if (f->write_error == 0)
        mu_doctor_add(r, MU_DOCTOR_OK, "file locks", NULL, "a run cannot be trained twice at once");
}

void mu_doctor_storage_tell(const struct mu_doctor_storage *s, struct mu_doctor_report *r)
{
    struct mu_doctor_storage_facts f;
    char why[300];

    if (s->apart.length != sizeof f) {
        mu_apart_explain(&s->apart, why, sizeof why);
        mu_doctor_add(r, MU_DOCTOR_MISSING, "folder of runs",
                      "does `ls` there hang, too? Give another folder: run.dir=/where/to", "%s: %s",
                      s->run_dir, why);
        return;
    }
    memcpy(&f, s->apart.text, sizeof f);
    if (f.look_error != 0) {
        mu_doctor_add(r, MU_DOCTOR_MISSING, "folder of runs", "give another one: run.dir=/where/to",
                      "%s: %s", f.folder, strerror(f.look_error));
        return;
    }
    tell_folder(s, &f, r);
    tell_h5(&f, r);
}

/* ---- /dev/shm ---- */
/* Whether some process holds a lock on that file, without taking one. */
static bool is_held(const struct stat *file)
{
    char line[256];
    FILE *locks = fopen("/proc/locks", "re");
    bool held = locks == NULL; /* nothing is known */

    while (locks && !held && fgets(line, sizeof line, locks)) {
        const char *inode = strrchr(line, ':'); /* "1: FLOCK ADVISORY READ 42 00:19:5 0 EOF" */

        held = strstr(line, "FLOCK") && inode &&
               strtoull(inode + 1, NULL, 10) == (unsigned long long)file->st_ino;
    }
    if (locks)
        fclose(locks);
    return held;
}

/* This user's files of Muster's that nobody holds. */
static int count_unheld(uint64_t *bytes)
{
    DIR *folder = opendir("/dev/shm");
    struct dirent *entry;
    int count = 0;

    *bytes = 0;
    while (folder && (entry = readdir(folder))) {
        struct stat s;

        if (strncmp(entry->d_name, "muster-", 7) != 0 ||
            fstatat(dirfd(folder), entry->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 ||
            s.st_uid != geteuid() || !S_ISREG(s.st_mode) || is_held(&s))
            continue;
        count++;
        *bytes += 512 * (uint64_t)s.st_blocks;
    }
    if (folder)
        closedir(folder);
    return count;
}

static void tell_leftovers(struct mu_doctor_report *r)
{
    uint64_t own_bytes, mpi_bytes;
    int own = count_unheld(&own_bytes), mpi = mu_mpi_files_count_stale(&mpi_bytes);

    if (own > 0)
        mu_doctor_add(r, MU_DOCTOR_NOTE, "left in /dev/shm",
                      "starting the run again takes its state up from there; else they go with the "
                      "next start of any run, or by `rm /dev/shm/muster-UID-*` while none runs",
                      "%d file%s of Muster's (%s) that no process holds", own, own == 1 ? "" : "s",
                      mu_amount_bytes((double)own_bytes).text);
    if (mpi > 0)
        mu_doctor_add(r, MU_DOCTOR_NOTE, "left in /dev/shm",
                      "the next start of any run takes them away",
                      "%d file%s of Open MPI's (%s), from ranks that were killed", mpi,
                      mpi == 1 ? "" : "s", mu_amount_bytes((double)mpi_bytes).text);
}

/* worker/segment.h: two halves of weights and moments and the sum of a host; a sum of each rank. */
static double most_parameters(uint64_t space, int ranks)
{
    return (double)space / (28 + 4.6 * ranks);
}

void mu_doctor_shm_tell(struct mu_doctor_report *r)
{
    static const char enlarge[] = "mount -o remount,size=50% /dev/shm (docker and podman: "
                                  "--shm-size=8g), or remove what lies there";
    const uint64_t board = MU_BOARD_RANKS * sizeof(struct mu_board_entry);
    const int ranks = mu_cores_usable();
    struct mu_amount space_text, total_text;
    struct mu_disk shm;
    int error = mu_disk_look("/dev/shm", &shm);
    uint64_t space;
    double millions;

    if (error == 0 && access("/dev/shm", W_OK) != 0)
        error = errno;
    if (error != 0) {
        mu_doctor_add(r, MU_DOCTOR_MISSING, "/dev/shm",
                      "mount -t tmpfs -o mode=1777 tmpfs /dev/shm", "cannot be written: %s",
                      strerror(error));
        return;
    }
    space = shm.free_bytes;
    space_text = mu_amount_bytes((double)space);
    total_text = mu_amount_bytes((double)shm.total_bytes);
    millions = 1e-6 * most_parameters(space > board ? space - board : 0, ranks);
    if (space < board + MIB)
        mu_doctor_add(r, MU_DOCTOR_MISSING, "/dev/shm", enlarge,
                      "%s of %s free: the board of a host's ranks takes %s, their state the rest",
                      space_text.text, total_text.text, mu_amount_bytes((double)board).text);
    else
        mu_doctor_add(r, space < 256 * MIB ? MU_DOCTOR_WARN : MU_DOCTOR_OK, "/dev/shm",
                      space < 256 * MIB ? enlarge : NULL,
                      "%s of %s free: has room for the state of %.*f million parameters and %d "
                      "rank%s",
                      space_text.text, total_text.text, millions < 10, millions, ranks,
                      ranks == 1 ? "" : "s");
    tell_leftovers(r);
}
