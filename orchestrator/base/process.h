/* What the kernel tells of a process or thread: /proc/PID/stat, /proc/PID/task/TID/stat; and how one
 * is started apart from this one. */
#ifndef MUSTER_BASE_PROCESS_H
#define MUSTER_BASE_PROCESS_H

#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>

struct mu_process {
    char state; /* 'R', 'S', 'T' (stopped), 't' (traced), 'Z', 'X', ... */
    int parent, session;
    uint64_t start_time; /* clock ticks since boot: with the pid it names a process for good */
    uint64_t memory;     /* bytes; 0: it has given them up, or is a zombie */
};

/* False: there is none (ESRCH, ENOENT), or it cannot be read (errno). */
bool mu_process_read(uint32_t pid, struct mu_process *out);
bool mu_process_read_thread(uint32_t pid, uint32_t thread, struct mu_process *out);

/* It has ended; its parent may not have asked yet. */
static inline bool mu_process_is_over(const struct mu_process *p)
{
    return p->state == 'Z' || p->state == 'X';
}

/* For a program that is started: none of this process's signal settings, and a process group of its
 * own, so that it can be killed with all that it started, and that what a terminal signals is not
 * for it. The caller destroys them. */
void mu_process_attributes(posix_spawnattr_t *attributes);

#endif
