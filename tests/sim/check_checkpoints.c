/* A checkpoint that is published can be read for ever, and is the state of its step. */
#include <string.h>

#include "tests/sim/sim.h"

void check_checkpoints(struct sim *s)
{
    for (uint32_t k = 0; k <= s->steps; k++)
        for (uint32_t c = 0; s->disk.checkpoint[k].published && c < s->chunks; c++) {
            const struct part *p = &s->disk.checkpoint[k].part[c];

            if (!p->whole)
                sim_violation(s, "part %u of the published checkpoint of step %u is torn", c, k);
            else if (memcmp(p->value, &s->reference[k][c * CHUNK], sizeof p->value) != 0)
                sim_violation(s, "the checkpoint of step %u holds another state", k);
        }
}
