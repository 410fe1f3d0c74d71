/* Nobody leads and nothing is locked: whoever comes opens or makes the file, of one size and zeros
 * at first (pid 0: nobody), and from then on writes its own entry only, `pid` last. The name comes
 * from mpirun's job, the entry from the rank in its environment, both known before MPI_Init. An
 * entry lives while /proc has its pid with the same start time, so a pid that is used again is not
 * taken for its predecessor, and a zombie is dead. */
#include "worker/board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"

struct mu_board {
    struct mu_board_entry *entry; /* MU_BOARD_RANKS */
    int rank;
    char name[64]; /* for shm_open */
};

enum { EMPTY_BOARD_S = 60 };

static const size_t board_bytes = MU_BOARD_RANKS * sizeof(struct mu_board_entry);

uint64_t mu_board_process_start(uint32_t pid)
{
    char path[64], text[1024], *after;
    unsigned long long start = 0;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    fclose(f);
    after = strrchr(text, ')'); /* the name before it may hold anything */
    if (!after || after[1] != ' ' || after[2] == 'Z' || after[2] == 'X')
        return 0;
    if (sscanf(after + 2,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &start) != 1)
        return 0;
    return start;
}

bool mu_board_is_alive(const struct mu_board_entry *e)
{
    uint32_t pid = atomic_load(&e->pid);

    return pid != 0 && mu_board_process_start(pid) == atomic_load(&e->start_time);
}

static bool anybody_alive(const struct mu_board_entry *entry)
{
    for (int i = 0; i < MU_BOARD_RANKS; i++)
        if (mu_board_is_alive(&entry[i]))
            return true;
    return false;
}

static int open_checked(const char *name, int flags)
{
    struct stat s;
    int fd = shm_open(name, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 && (fstat(fd, &s) != 0 || s.st_uid != geteuid())) {
        close(fd);
        errno = EPERM;
        return -1;
    }
    return fd;
}

/* By whoever comes first; a full /dev/shm is seen here. An error number, also in errno. */
static int reserve(int fd)
{
    do
        errno = posix_fallocate(fd, 0, (off_t)board_bytes);
    while (errno == EINTR);
    return errno;
}

static struct mu_board_entry *map_board(int fd)
{
    void *map = mmap(NULL, board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return map == MAP_FAILED ? NULL : map;
}

/* Somebody wrote itself down here, and nobody lives any more. On an empty board the first rank may
 * be about to write: it is given a minute. */
static bool is_stale(const struct mu_board_entry *entry, const struct stat *file)
{
    for (int i = 0; i < MU_BOARD_RANKS; i++)
        if (atomic_load(&entry[i].pid) != 0)
            return !anybody_alive(entry);
    return time(NULL) - file->st_mtime > EMPTY_BOARD_S;
}

/* Boards of jobs of which nobody lives any more: all were killed. A board that is too short is
 * being made just now. */
static void remove_stale_boards(const char *own_name)
{
    char prefix[32];
    struct dirent *file;
    DIR *folder = opendir("/dev/shm");

    snprintf(prefix, sizeof prefix, "muster-%u-", (unsigned)geteuid());
    while (folder && (file = readdir(folder))) {
        size_t length = strlen(file->d_name);
        struct mu_board_entry *entry = NULL;
        struct stat s;
        int fd;

        if (strncmp(file->d_name, prefix, strlen(prefix)) != 0 || length < 6 ||
            strcmp(file->d_name + length - 6, ".board") != 0 ||
            strcmp(file->d_name, own_name + 1) == 0)
            continue;
        fd = open_checked(file->d_name, 0);
        if (fd >= 0 && fstat(fd, &s) == 0 && (size_t)s.st_size == board_bytes)
            entry = map_board(fd);
        if (entry && is_stale(entry, &s)) {
            mu_log(MU_LOG_DEBUG, "removed /dev/shm/%s, left by a job whose ranks are dead",
                   file->d_name);
            shm_unlink(file->d_name);
        }
        if (entry)
            munmap(entry, board_bytes);
        if (fd >= 0)
            close(fd);
    }
    if (folder)
        closedir(folder);
}

static void identify(struct mu_board *b)
{
    const char *job = getenv("PMIX_NAMESPACE"), *rank = getenv("PMIX_RANK");
    char alone[32];

    if (!rank)
        rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!job)
        job = getenv("OMPI_MCA_ess_base_jobid");
    snprintf(alone, sizeof alone, "pid%ld", (long)getpid());
    if (!job || !rank)
        job = alone;
    b->rank = rank && job != alone ? atoi(rank) : 0;
    snprintf(b->name, sizeof b->name, "/muster-%u-%016llx.board", (unsigned)geteuid(),
             (unsigned long long)mu_hash_bytes(job, strlen(job), 0).low);
}

enum mu_status mu_board_open(struct mu_board **out)
{
    struct mu_board *b = calloc(1, sizeof *b);
    struct mu_board_entry *own;
    int fd;

    *out = NULL;
    if (!b)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the board");
    identify(b);
    if (b->rank < 0 || b->rank >= MU_BOARD_RANKS) {
        enum mu_status st =
            MU_FAIL(MU_FAILED, "rank %d: at most %d ranks can be run", b->rank, MU_BOARD_RANKS);

        free(b);
        return st;
    }
    remove_stale_boards(b->name);
    fd = open_checked(b->name, O_CREAT);
    if (fd >= 0 && reserve(fd) == 0)
        b->entry = map_board(fd);
    if (fd >= 0)
        close(fd);
    if (!b->entry) {
        enum mu_status st = MU_FAIL(
            MU_FAILED, "cannot make /dev/shm%s: %s. Is /dev/shm full, or owned by another user?",
            b->name, strerror(errno));

        free(b);
        return st;
    }
    own = mu_board_own(b);
    atomic_store(&own->start_time, mu_board_process_start((uint32_t)getpid()));
    atomic_store(&own->pid, (uint32_t)getpid());
    mu_fault_set_mark(&own->mark);
    *out = b;
    return MU_OK;
}

void mu_board_close(struct mu_board *b)
{
    if (!b)
        return;
    mu_fault_set_mark(NULL);
    atomic_store(&mu_board_own(b)->pid, 0);
    if (!anybody_alive(b->entry))
        shm_unlink(b->name);
    munmap(b->entry, board_bytes);
    free(b);
}

void mu_board_abandon(struct mu_board *b)
{
    bool others = false;

    for (int i = 0; b && i < MU_BOARD_RANKS; i++)
        others |= i != b->rank && mu_board_is_alive(&b->entry[i]);
    if (b && !others)
        shm_unlink(b->name);
}

int mu_board_own_rank(const struct mu_board *b)
{
    return b->rank;
}

struct mu_board_entry *mu_board_own(struct mu_board *b)
{
    return &b->entry[b->rank];
}

const struct mu_board_entry *mu_board_entry(const struct mu_board *b, int rank)
{
    if (rank < 0 || rank >= MU_BOARD_RANKS || atomic_load(&b->entry[rank].pid) == 0)
        return NULL;
    return &b->entry[rank];
}
