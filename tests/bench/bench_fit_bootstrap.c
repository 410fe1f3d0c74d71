/* A law and its bootstrap alone, nothing else of a fit: what bench_fit_numpy.py does as well.
 *
 *   bench-fit-bootstrap POINTS.csv N-COLUMN C-COLUMN LOSS-COLUMN DROP-TOP REPLICATES THREADS
 *
 * Prints the seconds from the opening of the file to the last replicate. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/fit/bootstrap.h"
#include "orchestrator/points/points_csv.h"

static int by_loss(const void *a, const void *b)
{
    const struct mu_fit_point *p = a, *q = b;

    return (p->loss > q->loss) - (p->loss < q->loss);
}

static enum mu_status run(char **argv, double *seconds)
{
    const struct mu_points_request request = {
        .path = argv[1],
        .column = {[MU_COLUMN_n] = argv[2], [MU_COLUMN_c] = argv[3], [MU_COLUMN_loss] = argv[4]},
        .alone = MU_COLUMNS};
    const size_t drop = strtoull(argv[5], NULL, 10), replicates = strtoull(argv[6], NULL, 10);
    const uint64_t begin = mu_clock_ns();
    static struct mu_points_found found;
    struct mu_fit_points points = {0};
    struct mu_parametric *problem = NULL;
    struct mu_law_estimate best;
    struct mu_resample resample = {0};
    struct mu_bootstrap bootstrap = {0};
    enum mu_status st = MU_OK;

    MU_TRY(mu_points_read(&request, &points, &found), st, done);
    qsort(points.point, points.count, sizeof *points.point, by_loss);
    points.count -= drop < points.count ? drop : points.count;
    MU_TRY(mu_parametric_new(points.point, points.count, MU_LAW_CHINCHILLA, &problem), st, done);
    const struct mu_measure_plan plan = {.point = points.point,
                                         .count = points.count,
                                         .law = MU_LAW_CHINCHILLA,
                                         .objective = {MU_OBJECTIVE_HUBER, 1e-3},
                                         .problem = problem,
                                         .flops = {.kind = MU_FLOPS_6N},
                                         .unique = INFINITY,
                                         .n_low = 1e3,
                                         .n_high = 1e15,
                                         .c_largest = 1e21};

    MU_TRY(mu_parametric_fit(problem, plan.objective, NULL, NULL, &best), st, done);
    MU_TRY(mu_resample_init(points.point, points.count, &resample), st, done);
    MU_TRY(mu_bootstrap_run(&plan, &resample, best.theta, 1, replicates,
                            (unsigned)strtoul(argv[7], NULL, 10), &bootstrap),
           st, done);
    *seconds = (double)(mu_clock_ns() - begin) * 1e-9;
done:
    mu_bootstrap_deinit(&bootstrap);
    mu_resample_deinit(&resample);
    mu_parametric_free(problem);
    mu_points_free(&points);
    return st;
}

int main(int argc, char **argv)
{
    double seconds = 0;

    if (argc != 8) {
        fprintf(stderr,
                "usage: %s POINTS.csv N-COLUMN C-COLUMN LOSS-COLUMN DROP-TOP REPLICATES "
                "THREADS\n",
                argv[0]);
        return 64;
    }
    if (run(argv, &seconds) != MU_OK)
        return 1;
    printf("%.6f\n", seconds);
    return 0;
}
