/* Nobody leads: whoever comes opens or makes the file, of one size and zeros at first (pid 0:
 * nobody), and from then on writes its own entry only, `pid` last, so that entries need no lock.
 * The name comes from mpirun's job, the entry from the rank in its environment, both known before
 * MPI_Init. An entry lives while /proc has its pid with the same start time: a pid that is used
 * again is not taken for its predecessor, and a zombie is dead.
 *
 * Who dies is known sooner by the lock in its entry. The rank's main thread holds it for life; when
 * that thread ends, however, the kernel marks the lock of a dead owner (futex(2), robust futexes)
 * before it takes the memory apart. Whoever finds that notes it in `ended` for all. */
#include "worker/board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/process.h"
#include "orchestrator/base/started_by.h"
#include "worker/shm_file.h"

struct mu_board {
    struct mu_board_entry *entry; /* MU_BOARD_RANKS */
    int rank, fd;                 /* holds the lock */
    char name[MU_BOARD_NAME_MAX]; /* for shm_open */
};

static const size_t board_bytes = MU_BOARD_RANKS * sizeof(struct mu_board_entry);

enum { END_LOOK_US = 100 };

/* A fence in one word, so that it is there whole or not at all. */
enum { FENCE_BY_BITS = 16, FENCE_WHY_BITS = 4, FENCE_PHASE_BITS = 4 };

/* 0: there is no such process, or only its zombie. */
static uint64_t read_process(uint32_t pid, char *state)
{
    struct mu_process p;

    if (!mu_process_read(pid, &p) || mu_process_is_over(&p))
        return 0;
    *state = p.state;
    return p.start_time;
}

uint64_t mu_board_process_start(uint32_t pid)
{
    char state;

    return read_process(pid, &state);
}

enum mu_process_state mu_board_process_state(const struct mu_board_entry *e)
{
    char state = 0;
    uint64_t start = read_process(atomic_load(&e->pid), &state);

    if (start == 0 || start != atomic_load(&e->start_time))
        return MU_PROCESS_GONE;
    return state == 'T' ? MU_PROCESS_STOPPED : state == 't' ? MU_PROCESS_TRACED : MU_PROCESS_RUNS;
}

bool mu_board_has_ended(const struct mu_board_entry *entry)
{
    struct mu_board_entry *e = (struct mu_board_entry *)entry; /* const to who looks at it */
    int error;

    if (atomic_load_explicit(&e->ended, memory_order_relaxed))
        return true;
    error = pthread_mutex_trylock(&e->life);
    if (error == EOWNERDEAD) {
        atomic_store(&e->ended, 1);
        pthread_mutex_consistent(&e->life);
    }
    if (error == 0 || error == EOWNERDEAD)
        pthread_mutex_unlock(&e->life);
    return error == EOWNERDEAD;
}

bool mu_board_claim_end(struct mu_board *b, int ended_rank)
{
    uint32_t found = 1;

    return atomic_compare_exchange_strong(&b->entry[ended_rank].ended, &found, 2);
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

/* After a look that failed. Who cannot be seen for another reason than its end may be alive. */
static bool is_unknown(void)
{
    return errno != ENOENT && errno != ESRCH;
}

bool mu_board_process_may_write(uint32_t pid, uint64_t start_time)
{
    struct mu_process first, one;
    char path[64];
    struct dirent *task;
    bool may = false;
    DIR *folder;

    if (pid == 0)
        return false;
    if (!mu_process_read(pid, &first))
        return is_unknown();
    if (first.start_time != start_time)
        return false;
    snprintf(path, sizeof path, "/proc/%u/task", pid);
    folder = opendir(path);
    if (!folder)
        return is_unknown();
    while (!may && (task = readdir(folder))) {
        if (task->d_name[0] != '.')
            may = mu_process_read_thread(pid, (uint32_t)atoi(task->d_name), &one) ? one.memory != 0
                                                                                  : is_unknown();
    }
    closedir(folder);
    return may;
}

enum mu_status mu_board_end_process(uint32_t pid, uint64_t start_time, uint64_t deadline_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);

    while (mu_board_process_may_write(pid, start_time)) {
        kill((pid_t)pid, SIGKILL);
        if (mu_deadline_passed(deadline))
            return MU_TIMEOUT;
        mu_clock_sleep_us(END_LOOK_US);
    }
    return MU_OK;
}

static void identify(struct mu_board *b)
{
    const char *launch = mu_started_by_launch(), *job = getenv("PMIX_NAMESPACE"),
               *rank = getenv("PMIX_RANK");
    char alone[32];

    if (!rank)
        rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!job)
        job = getenv("OMPI_MCA_ess_base_jobid");
    if (launch)
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

/* Another process of this job may have been this rank before. */
static void clear(struct mu_board_entry *e)
{
    atomic_store(&e->pid, 0);
    atomic_store(&e->told, 0);
    atomic_store(&e->last_word, 0);
    atomic_store(&e->ended, 0);
    atomic_store(&e->mark.point, MU_FAULT_START);
    atomic_store(&e->mark.step, 0);
    atomic_store(&e->polls, 0);
    atomic_store(&e->beats, 0);
    atomic_store(&e->phase, MU_PHASE_STARTING);
    atomic_store(&e->epoch, 0);
    atomic_store(&e->repair, 0);
    atomic_store(&e->repair_from, MU_PHASE_STARTING);
    atomic_store(&e->unseen, 0);
    atomic_store(&e->repair_ns, 0);
    atomic_store(&e->repaired_ns, 0);
    atomic_store(&e->fence, 0);
    atomic_store(&e->shards_done, 0);
    atomic_store(&e->compute_ns, 0);
    atomic_store(&e->group, 0);
}

/* It is taken before `pid` says that it may be looked at. */
static void take_life(struct mu_board_entry *e)
{
    pthread_mutexattr_t kind;

    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&e->life, &kind);
    pthread_mutexattr_destroy(&kind);
    pthread_mutex_lock(&e->life);
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
    mu_shm_file_remove_stale("", ".board",
                             b->name); /* a segment may be what this run goes on from */
    error = map_board(b);
    if (error != 0) {
        enum mu_status st = MU_FAIL(
            MU_FAILED, "cannot make /dev/shm%s: %s. Is /dev/shm full, or owned by another user?",
            b->name, strerror(error));

        free(b);
        return st;
    }
    own = mu_board_own(b);
    clear(own);
    take_life(own);
    atomic_store(&own->start_time, mu_board_process_start((uint32_t)getpid()));
    atomic_store(&own->pid, (uint32_t)getpid());
    mu_fault_set_mark(&own->mark);
    *out = b;
    return MU_OK;
}

/* Every rank of this host is dead or about to leave, as this one is: nobody opens the board by its
 * name any more. */
static bool all_leave(struct mu_board *b)
{
    if (mu_board_phase(mu_board_own(b)) != MU_PHASE_LEAVING)
        return false;
    for (int r = 0; r < MU_BOARD_RANKS; r++) {
        const struct mu_board_entry *e = r == b->rank ? NULL : mu_board_entry(b, r);

        if (e && mu_board_phase(e) != MU_PHASE_LEAVING && mu_board_is_alive(e))
            return false;
    }
    return true;
}

/* mpirun may kill those that still hold it as soon as the first one has left. */
static void remove_name(struct mu_board *b)
{
    if (all_leave(b))
        mu_shm_file_unlink(b->name, b->fd);
    else
        mu_shm_file_unlink_unheld(b->name, b->fd);
}

void mu_board_close(struct mu_board *b)
{
    if (!b)
        return;
    mu_fault_set_mark(NULL);
    atomic_store(&mu_board_own(b)->pid, 0);
    pthread_mutex_unlock(&mu_board_own(b)->life);
    remove_name(b);
    close(b->fd);
    munmap(b->entry, board_bytes);
    free(b);
}

void mu_board_abandon(struct mu_board *b)
{
    if (b)
        remove_name(b);
}

bool mu_board_claim_news(struct mu_board *b, int dead_rank)
{
    return dead_rank < 0 || dead_rank >= MU_BOARD_RANKS ||
           atomic_exchange(&b->entry[dead_rank].told, 1) == 0;
}

bool mu_board_claim_last_word(struct mu_board *b)
{
    return atomic_exchange(&b->entry[0].last_word, 1) == 0;
}

void mu_board_note_unseen(struct mu_board *b, int rank)
{
    atomic_store(&b->entry[rank].unseen, 1);
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

enum mu_phase mu_board_phase(const struct mu_board_entry *e)
{
    return (enum mu_phase)atomic_load_explicit(&e->phase, memory_order_relaxed);
}

enum mu_phase mu_board_set_phase(struct mu_board *b, enum mu_phase phase)
{
    return b ? (enum mu_phase)atomic_exchange(&mu_board_own(b)->phase, (uint32_t)phase) : phase;
}

enum mu_phase mu_board_enter_repair(struct mu_board *b, uint32_t epoch)
{
    if (b) {
        atomic_store(&mu_board_own(b)->repair_from, (uint32_t)mu_board_phase(mu_board_own(b)));
        atomic_store(&mu_board_own(b)->repair, epoch);
        atomic_store(&mu_board_own(b)->repair_ns, mu_clock_ns());
    }
    return mu_board_set_phase(b, MU_PHASE_REPAIRING);
}

void mu_board_note_repaired(struct mu_board *b)
{
    if (b)
        atomic_store(&mu_board_own(b)->repaired_ns, mu_clock_ns());
}

void mu_board_set_epoch(struct mu_board *b, uint32_t epoch)
{
    if (b)
        atomic_store(&mu_board_own(b)->epoch, epoch);
}

void mu_board_set_group(struct mu_board *b, uint64_t group)
{
    if (b)
        atomic_store(&mu_board_own(b)->group, group);
}

void mu_board_note_shard(struct mu_board *b, uint64_t compute_ns)
{
    if (!b)
        return;
    atomic_fetch_add_explicit(&mu_board_own(b)->compute_ns, compute_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&mu_board_own(b)->shards_done, 1, memory_order_relaxed);
}

struct mu_watch_view mu_board_view(const struct mu_board_entry *e, int rank)
{
    return (struct mu_watch_view){
        .rank = rank,
        .pid = atomic_load(&e->pid),
        .start_time = atomic_load(&e->start_time),
        .polls = atomic_load_explicit(&e->polls, memory_order_relaxed),
        .beats = atomic_load_explicit(&e->beats, memory_order_relaxed),
        .phase = mu_board_phase(e),
        .repair = atomic_load_explicit(&e->repair, memory_order_relaxed),
        .from = (enum mu_phase)atomic_load_explicit(&e->repair_from, memory_order_relaxed),
        .point = (enum mu_fault_point)atomic_load_explicit(&e->mark.point, memory_order_relaxed),
        .shards_done = atomic_load_explicit(&e->shards_done, memory_order_relaxed),
        .compute_ns = atomic_load_explicit(&e->compute_ns, memory_order_relaxed),
        .group = atomic_load_explicit(&e->group, memory_order_relaxed),
    };
}

bool mu_board_claim_fence(struct mu_board *b, const struct mu_watch_fence *f)
{
    uint64_t nobody = 0, still_ms = f->still_ms < UINT32_MAX ? f->still_ms : UINT32_MAX;
    uint64_t word = (uint64_t)b->rank | (uint64_t)f->why << FENCE_BY_BITS |
                    (uint64_t)f->phase << (FENCE_BY_BITS + FENCE_WHY_BITS) | still_ms << 32;

    return atomic_compare_exchange_strong(&b->entry[f->rank].fence, &nobody, word);
}

void mu_board_withdraw_fence(struct mu_board *b, int rank)
{
    atomic_store(&b->entry[rank].fence, 0);
}

static unsigned bits(uint64_t word, unsigned from, unsigned count)
{
    return (unsigned)(word >> from & ((UINT64_C(1) << count) - 1));
}

bool mu_board_tell_fence(const struct mu_board_entry *e, int rank, char *out, size_t capacity)
{
    uint64_t word = atomic_load(&e->fence);
    enum mu_phase phase =
        (enum mu_phase)bits(word, FENCE_BY_BITS + FENCE_WHY_BITS, FENCE_PHASE_BITS);
    double seconds = 1e-3 * (double)bits(word, 32, 32);
    unsigned by = bits(word, 0, FENCE_BY_BITS);
    char where[96];

    if (phase == MU_PHASE_RUNNING || phase == MU_PHASE_EVALUATING)
        snprintf(where, sizeof where, "in %s of step %" PRId64,
                 mu_fault_point_name((enum mu_fault_point)atomic_load(&e->mark.point)),
                 atomic_load(&e->mark.step) + 1);
    else
        snprintf(where, sizeof where, "while %s", mu_phase_name(phase));
    switch ((enum mu_fence_why)bits(word, FENCE_BY_BITS, FENCE_WHY_BITS)) {
    case MU_FENCE_STILL:
        snprintf(out, capacity, "rank %d stood still for %.1f s %s and was ended by rank %u", rank,
                 seconds, where, by);
        return true;
    case MU_FENCE_STOPPED:
        snprintf(out, capacity,
                 "rank %d was stopped by a signal for %.1f s %s and was ended by rank %u", rank,
                 seconds, where, by);
        return true;
    case MU_FENCE_BEHIND:
        snprintf(out, capacity,
                 "rank %d stood still for %.1f s %s, kept the others from recovering, and was "
                 "ended by rank %u",
                 rank, seconds, where, by);
        return true;
    case MU_FENCE_IN_REPAIR:
        snprintf(out, capacity,
                 "rank %d did not come out of a recovery for %.1f s and was ended by rank %u", rank,
                 seconds, by);
        return true;
    case MU_FENCE_NOT:
        break;
    }
    return false;
}

struct mu_board_text mu_board_last_seen(const struct mu_board_entry *e)
{
    struct mu_board_text t = {""};
    uint32_t point = e ? atomic_load(&e->mark.point) : 0;
    char step[32] = "";

    if (!e)
        return t;
    if (point > MU_FAULT_STARTED)
        snprintf(step, sizeof step, ", step %" PRId64, atomic_load(&e->mark.step) + 1);
    snprintf(t.text, sizeof t.text, " (pid %u, last seen at: %s%s)", atomic_load(&e->pid),
             mu_fault_point_name((enum mu_fault_point)point), step);
    return t;
}
