#include "orchestrator/points/clusters.h"

#include <stdlib.h>

enum mu_status mu_clusters_number(struct mu_fit_points *points, uint32_t known)
{
    uint32_t *number = malloc((known + (size_t)1) * sizeof *number);

    if (!number)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u clusters", known);
    for (uint32_t i = 0; i < known; i++)
        number[i] = MU_FIT_NONE;
    for (size_t i = 0; i < points->count; i++) {
        uint32_t *cluster = &points->point[i].cluster;

        if (*cluster == MU_FIT_NONE)
            *cluster = points->clusters++;
        else if (number[*cluster] == MU_FIT_NONE)
            *cluster = number[*cluster] = points->clusters++;
        else
            *cluster = number[*cluster];
    }
    free(number);
    return MU_OK;
}
