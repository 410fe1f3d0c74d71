/* The words of a progress line. Pure, so that tests can read them; progress.c decides when and
 * where they appear. */
#ifndef MUSTER_RUN_PROGRESS_TEXT_H
#define MUSTER_RUN_PROGRESS_TEXT_H

#include <stdint.h>

#include "orchestrator/run/run_dir.h"

enum { MU_PROGRESS_LINE_MAX = 512 };
struct mu_progress_text {
    char text[MU_PROGRESS_LINE_MAX];
};

/* "step 120/400  loss 2.3456  norm 0.51  lr 9.8e-04  85.2 ms  48k tok/s  41% of peak  ETA 0:31";
 * what has no value is left out. eta_s NaN: not known. */
struct mu_progress_text mu_progress_line(const struct mu_metrics *m, int64_t steps, double eta_s);
/* The same with a bar before it, in at most `width` columns (ASCII): the less important fields give
 * way first, then the bar. */
struct mu_progress_text mu_progress_bar(const struct mu_metrics *m, int64_t steps, double eta_s,
                                        int width);
/* "step 120/400  valid loss 2.4567  1.023 bits per byte" */
struct mu_progress_text mu_progress_eval_line(const struct mu_metrics *m, int64_t steps);
/* "0:31", "12:05", "3:07:09", "2d 03:04" */
struct mu_progress_text mu_progress_duration(double seconds);
/* "999", "1.0k", "48k", "2.0M" */
struct mu_progress_text mu_progress_count(double n);

/* Time left, from the wall time of the newest steps: sums of time and of steps that forget by a
 * factor e a minute, so that a pause (an evaluation, a checkpoint) is spread over the steps around
 * it. */
struct mu_progress_rate {
    double time_s, steps;
    double last_s; /* time and step of the newest record */
    int64_t last_step;
};
void mu_progress_rate_start(struct mu_progress_rate *r, double now_s, int64_t step);
void mu_progress_rate_step(struct mu_progress_rate *r, double now_s, int64_t step);
double mu_progress_rate_left(const struct mu_progress_rate *r, int64_t steps); /* NaN: not known */

#endif
