/* Copies of the committed state in the memory of each machine, where the state itself lies in the
 * memory of devices (worker/resident.h) and goes when their processes go: what the next generation
 * finds when mpirun or all ranks have died.
 *
 * A machine's ranks share a segment of halves alone (segment.h), as the ranks of a host share their
 * state in the other mode. `machine` is this rank as a worker that has it: its host is the machine,
 * and what worker.h and hand_over.h do with a state that was taken up they do with the copy.
 *
 *   take     into the half that is not committed, each rank its chunks     chunk.written = step
 *   commit   anybody flips the state word once all chunks are there        state = step
 *
 * Of a state in parts (parts.h) moments come first: all ranks gather them, and each takes those of
 * its chunks, so that a machine has all of them however many ranks it has.
 *
 * So the newest whole copy stays until the next one is whole. A copy in whose making somebody died
 * is given up: the next one has other owners, who keep the chunks that are there if it is of the
 * same step. Copies of two machines may be of different steps; the newest one is handed over. */
#ifndef MUSTER_WORKER_SNAPSHOT_H
#define MUSTER_WORKER_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/worker.h"

struct mu_snapshots {
    struct mu_segment segment; /* header NULL: no copies are made */
    struct mu_roll machines;   /* the worker's roll, whose hosts are machines */
    struct mu_worker machine;
    const uint64_t *machine_key;
    uint32_t first_machines; /* how many there were in the beginning */
    uint64_t bytes;          /* of the segment, whether there is room for it or not */
    uint64_t due_ns;         /* when the next one may be made */
};

/* For a worker whose state lies in its device. machine_key: by the rank's number in the fleet;
 * equal keys share memory; borrowed. After it `machine` is of use, without its segment. */
enum mu_status mu_snapshots_init(struct mu_snapshots *s, const struct mu_worker *w,
                                 const uint64_t *machine_key) MU_CHECKED;
/* The segment, of the run or trial, generation, deadline and poll hook in `how`; the rest of it is
 * filled in here. By the first rank of each machine before its others. MU_NO_MEMORY: too little
 * room in /dev/shm or memory, which is not reported, and no failure of the job: then all close. */
enum mu_status mu_snapshots_open(struct mu_snapshots *s, struct mu_segment_options how) MU_CHECKED;
/* unlink: as mu_segment_close; what init has given stays. */
void mu_snapshots_close(struct mu_snapshots *s, bool unlink);
void mu_snapshots_deinit(struct mu_snapshots *s);

/* How long "auto" waits after one that took so long: then they take 1 % of the time at most. */
uint64_t mu_snapshots_pause_ns(uint64_t cost_ns);
/* Whether one is to be made of the state after the step that is taken next, when `step` are
 * committed. For the rank that decides. */
bool mu_snapshots_is_due(const struct mu_snapshots *s, const struct mu_worker *w, int64_t step);
/* By every rank, of the same committed state, which `result` is the step of. Changes nothing when
 * that copy is there. MU_RECOVERED: the copy is given up. MU_FAILED: the device's. */
enum mu_status mu_snapshots_take(struct mu_snapshots *s, struct mu_worker *w,
                                 const struct mu_segment_origin *origin,
                                 const struct mu_step_result *result) MU_CHECKED;

/* By the first rank of a machine that was handed a state over: as if it had made the copy. */
void mu_snapshots_adopt_result(struct mu_snapshots *s);
/* Half 0 of the worker's own state from the copy: the caller agrees with all, and then commits. */
enum mu_status mu_snapshots_upload(struct mu_snapshots *s, struct mu_worker *w) MU_CHECKED;

#endif
