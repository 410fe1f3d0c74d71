/* What the survivors of a death go on with: a pure function of what they report, so that all of
 * them come to the same without another word.
 *
 * Words. A *turn* is one attempt at a step, 2 * step + attempt + 1 (worker/segment.h). The *fleet*
 * is who began on the state in memory: ranks by their number in the job's first communicator, which
 * is their name for ever, each with a home, its host, and a slot there. A *place* is a rank's
 * number among those that live now (core/roll.h).
 *
 * Why it is right, whoever dies when:
 *   1. A chunk's total is a sum over all shards, each once, of integers; which sums hold which
 *      shards changes nothing, as long as the sums that are added hold each shard exactly once.
 *   2. What a living rank has whole in its sum, and the shard that it computes or adds right now
 *      (its claim), stays its own. Deals are partitions, so that these sets never meet.
 *   3. The sum of a dead rank whose host lives counts unless it died while adding. It never changes
 *      again, so that every later repair in the same turn finds the same. If it holds a shard that
 *      somebody living has too, it is not counted: then none of its shards is.
 *   4. What is in none of these is dealt one by one to whoever has the fewest: spares first, and
 *      not to a dedicated master. Who takes shards is nothing that 1 to 3 depend on.
 *   5. Nobody enters turn t + 1 before every chunk of turn t is reduced on its host, and no chunk
 *      of t + 1 is reduced before every host has entered it. So a living host is behind by one turn
 *      at most, and a host that is ahead still has every total of the turn before: the one that is
 *      behind fetches what it lacks, and computes no shard of that turn. */
#ifndef MUSTER_CORE_RECOVERY_H
#define MUSTER_CORE_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/core/roll.h"
#include "orchestrator/core/shards.h"

enum { MU_RECOVERY_NOBODY = -1 };

/* STARTING: not every rank is known to hold the state. FINISHED: all that there was to do is done,
 * and written. REFUSED: the same, of a start that failed; with STARTING only. IDLE: of a rank
 * without a job. */
enum mu_recovery_phase {
    MU_RECOVERY_STARTING,
    MU_RECOVERY_RUNNING,
    MU_RECOVERY_FINISHED,
    MU_RECOVERY_REFUSED,
    MU_RECOVERY_IDLE
};

struct mu_fleet {
    uint32_t ranks, hosts;
    uint32_t *home;  /* by rank: its host, numbered as in the roll that the state was laid for;
                        `hosts`: the rank was dead by then */
    uint32_t *slot;  /* by rank: its slot in that host's segment */
    uint32_t *slots; /* by host: how many */
};
/* name[place]: the rank at each place of the roll, ascending; `ranks` is above all of them. */
enum mu_status mu_fleet_init(struct mu_fleet *fleet, const struct mu_roll *roll,
                             const uint32_t *name, uint32_t ranks) MU_CHECKED;
void mu_fleet_deinit(struct mu_fleet *fleet);

/* A rank's own word. */
struct mu_rank_report {
    uint32_t rank, phase; /* enum mu_recovery_phase */
    int64_t duties;       /* the newest step whose duties it knows to be done; INT64_MIN: none */
};

/* What stands in a slot, whether its rank lives or not. */
struct mu_slot_report {
    uint64_t entered; /* the turn the rank has begun */
    uint64_t adding;  /* turn << 1, with bit 0 set while a shard is added */
    uint64_t claim;   /* mu_recovery_claim(): the shard that the rank computes or adds; 0: none */
    struct mu_shard_set shards; /* whole in the sum, in turn adding >> 1 */
};
static inline uint64_t mu_recovery_claim(uint64_t turn, uint32_t shard)
{
    return turn << 16 | (shard + 1);
}

/* What stands in a host's segment. */
struct mu_host_report {
    uint64_t state;              /* committed step << 1 | half */
    struct mu_slot_report *slot; /* fleet->slots[host] */
    uint64_t *done;              /* bitmap: chunks whose total is of mu_recovery_host_turn() */
};
/* The turn that a host has come to. */
uint64_t mu_recovery_host_turn(const struct mu_host_report *report, uint32_t slots);

struct mu_recovery_plan {
    bool restart;  /* nobody holds a state yet: begin again with who is left */
    bool finished; /* everybody is: leave */
    int64_t step;  /* the highest committed one */
    uint64_t turn; /* that is under way after it */
    int64_t duties;
    struct mu_shard_set *deal; /* by place, in `turn` */
    struct mu_shard_set
        *counted;        /* by rank: what a dead rank's sum adds in `turn`; empty: no sum */
    uint64_t *host_turn; /* by host of the fleet; 0: nobody lives there */
    uint64_t *done;      /* by host of the fleet, done_words each: as reported */
    uint32_t done_words, hosts;
    int *server; /* by chunk: the first host that has its total of `turn`; MU_RECOVERY_NOBODY */
    struct mu_shard_set again; /* dealt since nobody had them, though a dead rank had begun them */
};

/* report: by place of the roll, which is the new one. host: by host of the fleet; those where
 * nobody lives are not looked at. MU_NO_MEMORY. */
enum mu_status mu_recovery_plan_init(struct mu_recovery_plan *plan, const struct mu_fleet *fleet,
                                     const struct mu_roll *roll,
                                     const struct mu_rank_report *report,
                                     const struct mu_host_report *host, uint32_t shards,
                                     uint32_t chunks, bool dedicated) MU_CHECKED;
void mu_recovery_plan_deinit(struct mu_recovery_plan *plan);

/* Who takes shards: places first .. first + count - 1. */
struct mu_crew {
    uint32_t first, count;
};
/* Of a roll: as many as there are shards at most; `spares` of the others wait as long as there are
 * any. At least 1. dedicated: the lowest place, which is the master's, takes none, unless it is
 * alone; when it dies, the next one gives its own up with the turn that follows. */
struct mu_crew mu_recovery_crew(uint32_t size, uint32_t spares, uint32_t shards, bool dedicated);

/* What a place has to have in its sum in a turn; plan: NULL before the first death. */
struct mu_shard_set mu_recovery_deal(const struct mu_recovery_plan *plan, uint64_t turn,
                                     uint32_t place, struct mu_crew crew, uint32_t shards);
/* The host of the fleet that `host` fetches the total of a chunk of a turn from;
 * MU_RECOVERY_NOBODY: it has it, or all hosts reduce it together. */
int mu_recovery_server(const struct mu_recovery_plan *plan, uint32_t host, uint32_t chunk,
                       uint64_t turn);
/* Whether every total of a turn stands on some host: then `host` fetches those that it lacks. Else,
 * where turns are reduced as a whole, everybody reduces all of it once more. */
bool mu_recovery_is_reduced(const struct mu_recovery_plan *plan, uint32_t host, uint64_t turn,
                            uint32_t chunks);
#endif
