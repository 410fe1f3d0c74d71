/* What the ranks have found, as the master has it. */
#ifndef MUSTER_PROFILE_FOUND_H
#define MUSTER_PROFILE_FOUND_H

#include <stdint.h>

#include "kernels/timed.h"
#include "orchestrator/base/hash.h"
#include "worker/comm/control.h"

struct mu_profile_rank {
    int name;
    struct mu_timed_cell cell[MU_TIMED_ROW_COUNT]; /* of all timed steps */
    double timed_ms, plain_ms;                     /* medians of steps; NAN: there was none */
    double peak_flops, bandwidth;
    double gap_ms;
    enum mu_timed_row gap_row;
    struct mu_timed_event *event;
    uint32_t event_count;
};

struct mu_profile_found {
    char summary[256];
    const char *device, *precision;
    double tokens_per_step;
    int64_t steps; /* timed */
    int threads;
    bool waits_for_operations; /* the device lags behind where nobody times it */
    int64_t last_step;
    struct mu_hash hash; /* of the state after last_step */
    struct mu_profile_rank *rank;
    int ranks;
};

/* By all ranks: the master's *out gets a rank each. */
enum mu_status mu_profile_gather(struct mu_control *control, const struct mu_timed *own,
                                 struct mu_profile_found *out) MU_CHECKED;
void mu_profile_found_deinit(struct mu_profile_found *found);

/* A row of the table: means over ranks and timed steps. */
struct mu_profile_row {
    enum mu_timed_row row;
    double calls, ms, share; /* of a step; share: 0 .. 1 */
    double flops_per_s,
        peak_share; /* of all ranks together while they are in it; NAN: no products */
    double bytes_per_s, memory_share; /* NAN: not counted */
    const char *near;                 /* "compute", "memory", "overhead"; "" where neither counts */
};
struct mu_profile_sums {
    struct mu_profile_row
        row[MU_TIMED_ROW_COUNT]; /* largest first; what is not accounted for last */
    int rows;
    double phase_ms[MU_TIMED_PHASE_COUNT];
    double step_ms;               /* mean over timed steps and ranks: the sum of the rows */
    double timed_ms, plain_ms;    /* medians, means over ranks */
    double peak_flops, bandwidth; /* of all ranks together; 0: not known */
    int slowest, longest_gap;     /* index of a rank */
};
struct mu_profile_sums mu_profile_add_up(const struct mu_profile_found *found);
/* A rank's time in a step, ms: waiting for others, idle or in communication, where waiting cannot be
 * told from sending; and the rest. */
double mu_profile_away_ms(const struct mu_profile_found *found, int rank);
double mu_profile_busy_ms(const struct mu_profile_found *found, int rank);
double mu_profile_phase_ms(const struct mu_profile_found *found, int rank,
                           enum mu_timed_phase phase);

void mu_profile_show(const struct mu_profile_found *found, const struct mu_profile_sums *sums);
enum mu_status mu_profile_print_json(const struct mu_profile_found *found,
                                     const struct mu_profile_sums *sums) MU_CHECKED;
/* Chrome's trace format, as Perfetto reads it. */
enum mu_status mu_profile_write_trace(const struct mu_profile_found *found,
                                      const char *path) MU_CHECKED;

#endif
