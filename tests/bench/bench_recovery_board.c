/* The hand of bench-recovery and soak-recovery: looks at the board of a running job from outside,
 * as the ranks' own watchdogs do, and kills.
 *
 *   bench-recovery-board BOARD show
 *       a line a living rank: rank, pid, epoch, polls, beats of its watchdog, phase
 *   bench-recovery-board BOARD kill RANK...
 *       SIGKILLs these, one right after the other, and waits until the last survivor is at work
 *       again, by the times that the ranks themselves wrote down. Prints the number of survivors,
 *       and in ms since the first SIGKILL: the last thread of the killed gone (to LOOK_US), the
 *       first survivor to enter the repair, the last, the last to be back. 1: that did not come
 *       within DEADLINE_MS. 2: one of them is not there.
 *
 * BOARD is the file in /dev/shm. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "worker/board.h"

enum { DEADLINE_MS = 20000, LOOK_US = 500, QUIET_MS = 300, EXIT_HANGS = 1, EXIT_NOBODY = 2 };

struct view {
    const struct mu_board_entry *entry; /* MU_BOARD_RANKS */
    int living[MU_BOARD_RANKS], count;
};

static bool open_board(struct view *v, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map;

    if (fd < 0)
        return false;
    map = mmap(NULL, MU_BOARD_RANKS * sizeof *v->entry, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    v->entry = map;
    return map != MAP_FAILED;
}

static void find_living(struct view *v)
{
    v->count = 0;
    for (int r = 0; r < MU_BOARD_RANKS; r++)
        if (mu_board_is_alive(&v->entry[r]))
            v->living[v->count++] = r;
}

static void show(struct view *v)
{
    find_living(v);
    for (int i = 0; i < v->count; i++) {
        const struct mu_board_entry *e = &v->entry[v->living[i]];

        printf("%d %u %u %" PRIu64 " %" PRIu64 " %s\n", v->living[i], atomic_load(&e->pid),
               atomic_load(&e->epoch), atomic_load(&e->polls), atomic_load(&e->beats),
               mu_phase_name(mu_board_phase(e)));
    }
}

struct times {
    uint64_t first_in_ns, last_in_ns, back_ns;
    bool all_back;
};

/* Of the survivors, since the kill. */
static struct times look(const struct view *v, uint64_t killed_ns)
{
    struct times t = {.first_in_ns = UINT64_MAX, .all_back = true};

    for (int i = 0; i < v->count; i++) {
        const struct mu_board_entry *e = &v->entry[v->living[i]];
        uint64_t in = atomic_load(&e->repair_ns), back = atomic_load(&e->repaired_ns);

        if (in < killed_ns || back < in)
            t.all_back = false;
        t.first_in_ns = in > killed_ns && in < t.first_in_ns ? in : t.first_in_ns;
        t.last_in_ns = in > t.last_in_ns ? in : t.last_in_ns;
        t.back_ns = back > t.back_ns ? back : t.back_ns;
    }
    return t;
}

static bool take_away(struct view *v, int rank)
{
    for (int i = 0; i < v->count; i++) {
        if (v->living[i] == rank) {
            v->living[i] = v->living[--v->count];
            return true;
        }
    }
    return false;
}

/* Its memory too: only then its parent hears of it. */
static bool has_gone(const struct mu_board_entry *e)
{
    char path[64];
    struct stat tasks;

    snprintf(path, sizeof path, "/proc/%u/task", atomic_load(&e->pid));
    return !mu_board_is_alive(e) && (stat(path, &tasks) != 0 || tasks.st_nlink <= 3);
}

static int kill_ranks(struct view *v, int count, char **ranks)
{
    struct mu_deadline end;
    uint64_t killed_ns, now_ns, gone_ns = 0;
    bool gone;
    struct times t;

    find_living(v);
    for (int i = 0; i < count; i++)
        if (!take_away(v, atoi(ranks[i])))
            return EXIT_NOBODY;
    killed_ns = mu_clock_ns();
    for (int i = 0; i < count; i++)
        kill((pid_t)atomic_load(&v->entry[atoi(ranks[i])].pid), SIGKILL);
    /* Two deaths may be two repairs: it is over when nothing has happened for some time. */
    end = mu_deadline_in_ms(DEADLINE_MS);
    do {
        mu_clock_sleep_us(LOOK_US);
        t = look(v, killed_ns);
        now_ns = mu_clock_ns();
        gone = gone_ns != 0;
        for (int i = 0; i < count && gone_ns == 0; i++)
            gone = (i == 0 || gone) && has_gone(&v->entry[atoi(ranks[i])]);
        gone_ns = gone && gone_ns == 0 ? now_ns : gone_ns;
    } while ((!t.all_back || gone_ns == 0 || now_ns - t.back_ns < QUIET_MS * 1000000u) &&
             !mu_deadline_passed(end));
    printf("%d %.2f %.2f %.2f %.2f\n", v->count, 1e-6 * (double)(gone_ns - killed_ns),
           1e-6 * (double)(t.first_in_ns - killed_ns), 1e-6 * (double)(t.last_in_ns - killed_ns),
           1e-6 * (double)(t.back_ns - killed_ns));
    return t.all_back ? 0 : EXIT_HANGS;
}

int main(int argc, char **argv)
{
    static struct view v;

    if (argc < 3 || !open_board(&v, argv[1]))
        return EXIT_NOBODY;
    if (argc > 3 && strcmp(argv[2], "kill") == 0)
        return kill_ranks(&v, argc - 3, argv + 3);
    if (strcmp(argv[2], "show") != 0)
        return EXIT_NOBODY;
    show(&v);
    return 0;
}
