/* Totals that a host lacks after a repair and that another one has: nobody computes them again.
 * Both sides read from the same plan who sends what to whom (orchestrator/core/recovery.h), so that
 * nothing is asked for: the owner of a chunk on the host that has it sends at once, in the
 * background, and its owner on the host that lacks it receives when it comes to that chunk. */
#ifndef MUSTER_WORKER_FETCH_H
#define MUSTER_WORKER_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_worker;
struct mu_served;

struct mu_fetch {
    struct mu_served *served; /* messages under way from this rank */
    uint8_t *head;            /* of the largest chunk: what a message says besides the total */
    float *total;             /* on its way into a device's memory; else NULL */
};

enum mu_status mu_fetch_init(struct mu_worker *w) MU_CHECKED;
void mu_fetch_deinit(struct mu_worker *w);

/* After a repair, when all earlier requests are complete: posts what others will fetch from this
 * rank. Not from a device's hook where totals lie in the device's memory; there MU_RECOVERED says
 * that another repair has come in between: accept it, and call again. */
enum mu_status mu_fetch_serve(struct mu_worker *w) MU_CHECKED;
/* Gives back the memory of what has arrived, when no repair has come since it was posted. */
void mu_fetch_tidy(struct mu_worker *w);
/* The chunk's total of a turn from the home `server`, into the segment. Its word is left to the
 * caller, who writes it before anybody polls again. */
enum mu_status mu_fetch_chunk(struct mu_worker *w, uint32_t chunk, uint64_t turn,
                              int server) MU_CHECKED;

#endif
