/* Nobody leads: whoever comes opens or makes the file, of one size and zeros at first (pid 0:
 * nobody), and from then on writes its own entry only, `pid` last, so that entries need no lock.
 * The name comes from mpirun's job, the entry from the rank in its environment, both known before
 * MPI_Init. An entry lives while /proc has its pid with the same start time: a pid that is used
 * again is not taken for its predecessor, and a zombie is dead. */
#include "worker/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/base/hash.h"
#include "worker/shm_file.h"

struct mu_board {
    struct mu_board_entry *entry; /* MU_BOARD_RANKS */
    int rank, fd;                 /* holds the lock */
    char name[MU_BOARD_NAME_MAX]; /* for shm_open */
};

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

void mu_board_name(const char *job, char name[MU_BOARD_NAME_MAX])
{
    snprintf(name, MU_BOARD_NAME_MAX, "/muster-%u-%016llx.board", (unsigned)geteuid(),
             (unsigned long long)mu_hash_bytes(job, strlen(job), 0).low);
}

static void identify(struct mu_board *b)
{
    const char *launch = getenv("MUSTER_JOB"), *job = getenv("PMIX_NAMESPACE"),
               *rank = getenv("PMIX_RANK");
    char alone[32];

    if (!rank)
        rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!job)
        job = getenv("OMPI_MCA_ess_base_jobid");
    if (launch && *launch)
        job = launch; /* the launcher looks at this board too, and mpirun's job it cannot know */
    snprintf(alone, sizeof alone, "pid%ld", (long)getpid());
    if (!job || !rank)
        job = alone;
    b->rank = rank && job != alone ? atoi(rank) : 0;
    mu_board_name(job, b->name);
}

/* Whoever comes first makes it; a full /dev/shm is seen here. An error number. */
static int map_board(struct mu_board *b)
{
    void *map = MAP_FAILED;
    int error = mu_shm_file_open(b->name, O_CREAT, &b->fd);

    if (error != 0)
        return error;
    error = mu_shm_file_reserve(b->fd, board_bytes);
    if (error == 0) {
        map = mmap(NULL, board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
        error = map == MAP_FAILED ? errno : 0;
    }
    if (error != 0) {
        mu_shm_file_unlink_unheld(b->name, b->fd);
        close(b->fd);
    }
    b->entry = map;
    return error;
}

enum mu_status mu_board_open(struct mu_board **out)
{
    struct mu_board *b = calloc(1, sizeof *b);
    struct mu_board_entry *own;
    int error;

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
    mu_shm_file_remove_stale(b->name);
    error = map_board(b);
    if (error != 0) {
        enum mu_status st = MU_FAIL(
            MU_FAILED, "cannot make /dev/shm%s: %s. Is /dev/shm full, or owned by another user?",
            b->name, strerror(error));

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
    mu_shm_file_unlink_unheld(b->name, b->fd);
    close(b->fd);
    munmap(b->entry, board_bytes);
    free(b);
}

void mu_board_abandon(struct mu_board *b)
{
    if (b)
        mu_shm_file_unlink_unheld(b->name, b->fd);
}

bool mu_board_claim_news(struct mu_board *b, int dead_rank)
{
    return dead_rank < 0 || dead_rank >= MU_BOARD_RANKS ||
           atomic_exchange(&b->entry[dead_rank].told, 1) == 0;
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
