/* muster status --pid: from ranks.json, and checked where it can be. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/log.h"
#include "orchestrator/steer/ranks.h"
#include "orchestrator/steer/standing.h"
#include "orchestrator/steer/steer.h"

static const struct mu_rank_row *find(const struct mu_rank_row *row, uint32_t count, int64_t rank)
{
    for (uint32_t i = 0; i < count; i++)
        if (row[i].rank == rank)
            return &row[i];
    return NULL;
}

/* "0 to 3", "0, 2, 3", cut where there are many. */
static void list(char *out, size_t size, const struct mu_rank_row *row, uint32_t count)
{
    size_t used = 0;

    out[0] = 0;
    for (uint32_t i = 0; i < count && used + 24 < size; i++) {
        uint32_t last = i;

        while (last + 1 < count && row[last + 1].rank == row[last].rank + 1)
            last++;
        used += (size_t)snprintf(out + used, size - used, "%s%d", i > 0 ? ", " : "", row[i].rank);
        if (last > i)
            used += (size_t)snprintf(out + used, size - used, "%s%d", last > i + 1 ? " to " : ", ",
                                     row[last].rank);
        i = last;
    }
}

static enum mu_status print_row(const char *run, const struct mu_rank_row *r)
{
    const char *what = r->is_master ? "the master" : r->is_worker ? "a worker" : "a spare";

    if (r->pid == 0)
        return MU_FAIL(MU_FAILED,
                       "rank %d of %s lives on another host, and its pid is not known: the master "
                       "that knew it has died",
                       r->rank, run);
    if (mu_rank_is_here(r) && !mu_rank_lives(r))
        return MU_FAIL(MU_FAILED, "rank %d of %s (%s, pid %" PRIu32 ") lives no more", r->rank, run,
                       what, r->pid);
    if (!mu_rank_is_here(r))
        mu_log(MU_LOG_INFO, "rank %d, %s, is on host %s: whether it lives cannot be seen from here",
               r->rank, what, r->host);
    return printf("%" PRIu32 "\n", r->pid) < 0
               ? MU_FAIL(MU_FAILED, "cannot write to standard output")
               : MU_OK;
}

enum mu_status mu_steer_print_pid(const char *run, int64_t rank)
{
    struct mu_rank_row *row = NULL;
    const struct mu_rank_row *r;
    char living[200];
    uint32_t count;
    enum mu_status st;

    if (mu_steer_folder_kind(run) == MU_STEER_SWEEP)
        return MU_FAIL(MU_FAILED,
                       "%s is a sweep, whose ranks go from trial to trial; `--pid` wants one of "
                       "its trials/NAME",
                       run);
    st = mu_ranks_read(run, NULL, &row, &count);
    if (st == MU_NOT_FOUND)
        return MU_FAIL(MU_FAILED, "%s has no ranks.json: no rank has begun to train it", run);
    if (st != MU_OK)
        return st;
    r = find(row, count, rank);
    list(living, sizeof living, row, count);
    st = r ? print_row(run, r)
           : MU_FAIL(MU_FAILED,
                     "there is no rank %" PRId64 " in %s: it died, or never was; there are %s",
                     rank, run, living);
    free(row);
    return st;
}
