/* Any bytes as a file of points: mistakes are told, nothing is read beyond the end, every row is a
 * point, bad, or not done, and what is taken is fit to be fitted. The first byte says how. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/points/points_csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_amount(double v)
{
    return isfinite(v) && v > 0;
}

static void check_point(const struct mu_fit_points *points, size_t i)
{
    const struct mu_fit_point *p = &points->point[i], *before = i ? p - 1 : NULL;

    MU_ASSERT(is_amount(p->n) && is_amount(p->d) && is_amount(p->c) && is_amount(p->loss));
    MU_ASSERT(isfinite(p->weight) && p->weight >= 0 && p->unique > 0 && p->unique <= p->d);
    MU_ASSERT(p->cluster < points->clusters && p->line > 1);
    MU_ASSERT(p->curve != MU_FIT_NONE || p->end);
    if (before && before->curve != MU_FIT_NONE && before->curve == p->curve)
        MU_ASSERT(!before->end && before->d < p->d && !(before->n < p->n) && !(before->n > p->n));
    if (p->shape.layers)
        MU_ASSERT(p->shape.width && p->shape.context && p->shape.vocab);
}

static void check(const struct mu_points_request *request, const struct mu_fit_points *points,
                  const struct mu_points_found *found)
{
    MU_ASSERT(points->count > 0 && points->clusters > 0 && points->clusters <= points->count);
    MU_ASSERT(!points->single || request->alone != MU_COLUMNS);
    MU_ASSERT(points->count + found->bad + found->not_done == found->rows);
    MU_ASSERT(found->bad == 0 || request->skip_bad);
    for (size_t i = 0; i < points->count; i++)
        check_point(points, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_points_request request = {.path = "fuzz.csv", .alone = MU_COLUMNS};
    struct mu_points_found found;
    struct mu_fit_points points;
    char *copy;

    if (size == 0)
        return 0;
    mu_log_set_level(MU_LOG_SILENT);
    request.skip_bad = data[0] & 1;
    request.flops = data[0] & 2 ? MU_FLOPS_6N_ATTENTION : MU_FLOPS_6N;
    request.column[MU_COLUMN_curve] = data[0] & 4 ? "run" : NULL;
    request.column[MU_COLUMN_cluster] = data[0] & 8 ? "loss" : NULL;
    if (data[0] & 16)
        request.alone = (enum mu_column)((data[0] >> 5) % 3); /* n, d or c */
    copy = malloc(size - 1 + (size == 1)); /* of exact size: reading one byte more is seen */
    MU_ASSERT(copy);
    memcpy(copy, data + 1, size - 1);
    if (mu_points_parse(&request, copy, size - 1, &points, &found) == MU_OK)
        check(&request, &points, &found);
    mu_points_free(&points);
    free(copy);
    return 0;
}
