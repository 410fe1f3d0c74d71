/* prometheus.prom: where the run stands, in Prometheus' text exposition format 0.0.4, for
 * node_exporter's textfile collector and whatever else reads that. A reader sees one whole file, the
 * old or the new. Private to the run directory.
 *
 * A run that was killed leaves its file as it is: alerts look at muster_updated_timestamp_seconds
 * beside muster_running. Samples bear no timestamps, as that collector refuses them. */
#ifndef MUSTER_RUN_PROMETHEUS_H
#define MUSTER_RUN_PROMETHEUS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/run/run_dir.h"

struct mu_prometheus {
    char path[MU_PATH_MAX], beside[MU_PATH_MAX];
    char run[512];             /* the label's value, escaped */
    struct mu_metrics metrics; /* the newest record; step 0: none yet */
    double began_s;
    bool warned;
};

/* path: the run's folder. */
enum mu_status mu_prometheus_open(struct mu_prometheus *p, const char *path) MU_CHECKED;
void mu_prometheus_note(struct mu_prometheus *p, const struct mu_metrics *m);
/* A failure is warned of the first time. */
void mu_prometheus_write(struct mu_prometheus *p, const struct mu_run_status *s);

/* The whole text, malloc'ed; NULL: no memory. What is not known has no sample. now_s: since
 * 1970. */
char *mu_prometheus_print(const struct mu_prometheus *p, const struct mu_run_status *s,
                          double now_s);

#endif
