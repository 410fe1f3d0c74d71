/* A process is known by pid and start time, so that none that came after it is taken for it.
 * Entries are noted when they are first seen: an orderly rank takes its own away while it still
 * lives. */
#include "orchestrator/launch/ranks.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/process.h"
#include "worker/shm_file.h"

enum { MOST_DESCRIBED = 4, LOOK_MS = 5 };

static const size_t board_bytes = MU_BOARD_RANKS * sizeof(struct mu_board_entry);

static int map_board(struct mu_ranks *r, int flags)
{
    void *map;
    int error = mu_shm_file_open(r->name, flags, &r->fd);

    if (error != 0)
        return error;
    error = mu_shm_file_reserve(r->fd, board_bytes);
    if (error == 0) {
        map = mmap(NULL, board_bytes, PROT_READ, MAP_SHARED, r->fd, 0);
        error = map == MAP_FAILED ? errno : 0;
    }
    if (error == 0) {
        r->entry = map;
        return 0;
    }
    mu_shm_file_unlink_unheld(r->name, r->fd);
    close(r->fd);
    return error;
}

enum mu_status mu_ranks_open(struct mu_ranks *r, const char *job, uint32_t count)
{
    int error;

    memset(r, 0, sizeof *r);
    if (count > MU_BOARD_RANKS)
        return MU_FAIL(MU_FAILED, "%u ranks: at most %d can be run", count, MU_BOARD_RANKS);
    mu_board_name(job, r->name);
    r->count = count;
    r->pid = calloc(count, sizeof *r->pid);
    r->start_time = calloc(count, sizeof *r->start_time);
    error = r->pid && r->start_time ? map_board(r, O_CREAT) : ENOMEM;
    if (error == 0)
        return MU_OK;
    free(r->pid);
    free(r->start_time);
    memset(r, 0, sizeof *r);
    return MU_FAIL(MU_FAILED, "cannot make the board of a job in /dev/shm: %s", strerror(error));
}

void mu_ranks_close(struct mu_ranks *r)
{
    if (!r->entry)
        return;
    mu_shm_file_unlink(r->name, r->fd);
    munmap((void *)(uintptr_t)r->entry, board_bytes);
    close(r->fd);
    free(r->pid);
    free(r->start_time);
    memset(r, 0, sizeof *r);
}

static bool lives(uint32_t pid, uint64_t start_time)
{
    return pid != 0 && mu_board_process_start(pid) == start_time;
}

static void note(struct mu_ranks *r, uint32_t rank)
{
    const struct mu_board_entry *e = &r->entry[rank];
    uint32_t pid = atomic_load(&e->pid);

    if (pid != 0) {
        r->pid[rank] = pid;
        r->start_time[rank] = atomic_load(&e->start_time);
    }
}

struct mu_ranks_view mu_ranks_look(struct mu_ranks *r)
{
    struct mu_ranks_view v = {.seen = 0};

    for (uint32_t i = 0; i < r->count; i++) {
        const struct mu_board_entry *e = &r->entry[i];
        uint32_t point = atomic_load(&e->mark.point);

        note(r, i);
        if (r->pid[i] == 0)
            continue;
        v.seen++;
        v.marks = v.marks * 31 + (uint64_t)atomic_load(&e->mark.step) * MU_FAULT_COUNT + point;
        v.started += point >= MU_FAULT_STARTED;
        if (atomic_load(&e->pid) == 0)
            v.left++;
        else if (lives(r->pid[i], r->start_time[i]))
            v.living++;
        else
            v.dead++;
    }
    return v;
}

void mu_ranks_describe_dead(const struct mu_ranks *r, char *out, size_t capacity)
{
    uint32_t dead = 0;
    size_t n = 0;

    out[0] = 0;
    for (uint32_t i = 0; i < r->count && n < capacity; i++) {
        const struct mu_board_entry *e = &r->entry[i];

        if (atomic_load(&e->pid) == 0 || mu_board_is_alive(e) || dead++ >= MOST_DESCRIBED)
            continue;
        n += (size_t)snprintf(out + n, capacity - n, "%srank %u%s", n ? ", " : "", i,
                              mu_board_last_seen(e).text);
    }
    if (dead > MOST_DESCRIBED && n < capacity)
        snprintf(out + n, capacity - n, " and %u more", dead - MOST_DESCRIBED);
}

uint32_t mu_ranks_signal(struct mu_ranks *r, int number)
{
    uint32_t sent = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        note(r, i);
        if (atomic_load(&r->entry[i].pid) != 0 && lives(r->pid[i], r->start_time[i]))
            sent += kill((pid_t)r->pid[i], number) == 0;
    }
    return sent;
}

bool mu_ranks_find_mpi_files(const struct mu_ranks *r, char *out, size_t capacity)
{
    bool found = false;

    for (uint32_t i = 0; !found && i < r->count; i++) {
        char line[1024];
        FILE *maps = NULL;

        if (r->pid[i] != 0) {
            snprintf(line, sizeof line, "/proc/%u/maps", r->pid[i]);
            maps = fopen(line, "re");
        }
        while (!found && maps && fgets(line, sizeof line, maps)) {
            char *path = strstr(line, "/dev/shm/sm_segment."), *dot;

            if (!path)
                path = strstr(line, "/dev/shm/vader_segment."); /* Open MPI 4 */
            dot = path ? strrchr(path, '.') : NULL;
            found = dot && (size_t)(dot + 1 - path) < capacity;
            if (found)
                snprintf(out, capacity, "%.*s", (int)(dot + 1 - path), path);
        }
        if (maps)
            fclose(maps);
    }
    return found;
}

/* ---- the end ---- */
static pid_t session_of(uint32_t pid)
{
    struct mu_process p;

    return mu_process_read(pid, &p) && !mu_process_is_over(&p) ? p.session : 0;
}

/* Gives back how many lived. */
static uint32_t kill_session(pid_t session)
{
    DIR *processes = opendir("/proc");
    uint32_t alive = 0;
    struct dirent *p;

    while (processes && (p = readdir(processes)))
        if (isdigit((unsigned char)p->d_name[0]) &&
            session_of((uint32_t)atoi(p->d_name)) == session) {
            kill((pid_t)atoi(p->d_name), SIGKILL);
            alive++;
        }
    if (processes)
        closedir(processes);
    return alive;
}

static uint32_t kill_ranks(struct mu_ranks *r)
{
    uint32_t alive = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        note(r, i);
        if (lives(r->pid[i], r->start_time[i])) {
            kill((pid_t)r->pid[i], SIGKILL);
            alive++;
        }
    }
    return alive;
}

enum mu_status mu_ranks_end(struct mu_ranks *r, pid_t session, uint64_t deadline_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);
    uint32_t alive;

    while ((alive = kill_ranks(r) + (session > 0 ? kill_session(session) : 0)) > 0) {
        if (mu_deadline_passed(deadline))
            return MU_FAIL(MU_TIMEOUT,
                           "%u processes of a generation cannot be ended, %" PRIu64
                           " s after SIGKILL: is a disk or a file server stuck?",
                           alive, deadline_ms / 1000);
        mu_clock_sleep_us(1000 * LOOK_MS);
    }
    return MU_OK;
}

enum mu_status mu_ranks_fence(const char *job, pid_t session, uint64_t session_start,
                              uint64_t deadline_ms)
{
    struct mu_ranks r;
    enum mu_status st = mu_ranks_open(&r, job, MU_BOARD_RANKS);

    if (st != MU_OK)
        return st;
    if (session > 0 && mu_board_process_start((uint32_t)session) != session_start)
        session = 0; /* that mpirun is gone, and its number may be somebody else's */
    st = mu_ranks_end(&r, session, deadline_ms);
    mu_ranks_close(&r);
    return st;
}
