#include "worker/missing_rank.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/process.h"

static int count_on_board(const struct mu_board *board)
{
    int count = 0;

    for (int r = 0; r < MU_BOARD_RANKS; r++)
        count += mu_board_entry(board, r) != NULL;
    return count;
}

static bool is_on_board(const struct mu_board *board, uint32_t pid)
{
    for (int r = 0; r < MU_BOARD_RANKS; r++) {
        const struct mu_board_entry *e = mu_board_entry(board, r);

        if (e && atomic_load(&e->pid) == pid)
            return true;
    }
    return false;
}

/* prterun, prted: its children are the ranks. */
static bool is_of_mpirun(int pid)
{
    char path[64], name[8] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    if (!fgets(name, sizeof name, f))
        name[0] = 0;
    fclose(f);
    return strncmp(name, "prte", 4) == 0;
}

/* Children of `parent` that live and are not on the board; -1: unknown. */
static int count_on_their_way(const struct mu_board *board, int parent)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    int count = 0;

    if (!processes)
        return -1;
    while ((entry = readdir(processes))) {
        uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
        struct mu_process p;

        if (pid > 0 && mu_process_read(pid, &p) && p.parent == parent && !mu_process_is_over(&p))
            count += !is_on_board(board, pid);
    }
    closedir(processes);
    return count;
}

bool mu_rank_is_missing(const struct mu_board *board)
{
    const char *size = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    int expected = size ? atoi(size) : 0, parent = getppid(), coming;

    if (count_on_board(board) >= expected || !is_of_mpirun(parent))
        return false;
    coming = count_on_their_way(board, parent);
    /* Counted last: who came to the board meanwhile counts twice, and never not at all. */
    return coming >= 0 && count_on_board(board) + coming < expected;
}
