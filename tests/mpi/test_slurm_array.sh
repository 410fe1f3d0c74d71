#!/usr/bin/env bash
# One sweep over the tasks of a Slurm array, on a virtual cluster of three nodes: scripts/slurm/sweep-array.sbatch, of which one task's
# processes are killed, one is warned and queued again, and one's node dies. No cell is lost or done twice, and results.csv has the
# bytes of the sweep done as a whole on one host. Needs root, and Debian's slurm-wlm and munge.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
make_cluster 3 --cpus 2

sweep 2 edge.cfg sweep.name=whole
ended_with 0 "the whole sweep"

# array NAME [WORDS OF SBATCH...]: a copy of the script, its lines set; the job's number is in $job, what task K says in NAME-K.out.
array() {
    local name=$1
    shift
    sed "s|^muster=.*|muster='$MUSTER'|; s|^config=.*|config=edge.cfg|; s|--array=0-3|--array=0-2|; s|--ntasks-per-node=8|--ntasks-per-node=2|
        s|\"\$config\"|& sweep.name=$name synthetic.step_ms=10|" "$MUSTER_SOURCE/scripts/slurm/sweep-array.sbatch" >"$name.sbatch"
    job=$(submit -t 10 -o "$name-%a.out" "$@" "$name.sbatch")
}
# task K: what it says is the log from now on.
task() { log=$scratch/$name-$1.out; }
