#!/usr/bin/env bash
# One sweep over the tasks of a Slurm array, on a virtual cluster of three nodes: scripts/slurm/sweep-array.sbatch, of which one task is
# warned, one loses all its processes and one its node. No cell is lost or done twice, and results.csv has the bytes of the sweep done
# at once on one host. Needs root, and Debian's slurm-wlm and munge.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/parts.sh
. "$(dirname "$0")/parts.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
make_cluster 3 --cpus 2

sweep 2 edge.cfg sweep.name=whole
ended_with 0 "the sweep at once"

# array NAME [WORDS OF SBATCH...]: a copy of the script with its lines set; what task K says in NAME-K.out; the job's number.
array() {
    local name=$1
    shift
    sed "s|^muster=.*|muster='$MUSTER'|; s|^config=.*|config=edge.cfg|; s|--array=0-3|--array=0-2|; s|--ntasks-per-node=8|--ntasks-per-node=2|
        s|\"\$config\"|& sweep.name=$name synthetic.step_ms=${step_ms:-0}|" "$MUSTER_SOURCE/scripts/slurm/sweep-array.sbatch" >"$name.sbatch"
    submit -t 10 -o "$name-%a.out" "$@" "$name.sbatch"
}
# kill_task K: all processes of that part of three, wherever they are.
kill_task() {
    local p
    for p in /proc/[0-9]*; do
        if { tr "\0" " " <"$p/cmdline"; } 2>/dev/null | grep -q -- "--part $1/3 "; then kill -KILL "${p#/proc/}" 2>/dev/null || true; fi
    done
}

step_ms=10
job=$(array many)
for k in 0 1 2; do
    log=$scratch/many-$k.out
    until_true part_trials_beyond many $k-of-3 0
done
node=$(squeue -h -r -j "$job" -o '%K %N' | sed -n 's/^2 //p')
cluster kill "$node"
kill_task 1
scancel --batch --signal=USR1 "${job}_0"
log=$scratch/many-0.out
until_said "Slurm job ${job}_0 is queued again, and goes on when it starts"
until_true scontrol requeue "${job}_1"

# Meanwhile a task of another sweep, submitted alone, which knows how many there are: what it would have to wait for is not in the
# queue, so that it is not queued again.
step_ms=0
lone=$(array lone --array=2)

# Slurm notices the node's death, and queues its task again.
noticed() { ! squeue -h -r -j "$job" -o '%K %N' | grep -q "^2 $node"; }
for _ in 1 2 3; do if noticed; then break; fi; sleep 8; done
until_true noticed
cluster heal "$node"
ended "$job"
as_whole many whole "killed, warned, without a node"
for k in 0 1 2; do
    log=$scratch/many-$k.out
    said 'launch: complete; 1 generation' "task $k"
    said "Slurm job ${job}_$k: .*; restart [1-9]" "task $k"
done
log=$scratch/many-0.out
said 'asking 2 ranks to save and stop' "the task that was warned"
# On whichever node they are started again.
for k in 1 2; do
    log=$scratch/many-$k.out
    said '(the launcher of this run was pid [0-9]+ on n[1-3]|taking over from a launcher that was killed)' "task $k, whose launcher was killed"
done

ended "$lone"
log=$scratch/lone-2.out
said 'sweep lone, part 2/3, begins' "a task alone"
said 'waits for results of parts 0, 1 of 3, which have [0-9]+ trials to do and do not run' "a task alone"
said "is not queued again: no task of job $lone in the queue would do what it waits for" "a task alone"
