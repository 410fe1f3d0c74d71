#!/usr/bin/env bash
# muster launch in Slurm's allocations, on a virtual cluster of three nodes: submitted, to the end; stopped by the warning signal, by
# muster stop, by the end of its time, preempted, and queued again; with a node that dies. Always the bits of one host, every step
# once. Needs root, and Debian's slurm-wlm and munge.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
make_cluster 3 --cpus 2

long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# job NAME [WORDS OF SBATCH...]: scripts/slurm/train.sbatch, its two lines set; a run of NAME, slowly. Its number is in $job, what it
# says in $log.
job() {
    local name=$1
    shift
    sed "s|^muster=.*|muster='$MUSTER'|; s|^config=.*|config=tiny.cfg|; s|\"\$config\"|& run.name=$name ${long[*]} $more|" \
        "$MUSTER_SOURCE/scripts/slurm/train.sbatch" >"$name.sbatch"
    : >"$name.out"
    log=$scratch/$name.out
    job=$(MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99 submit -n 6 -N 3 --ntasks-per-node=2 -t 10 -o "$name.out" "$@" "$name.sbatch")
}
more=

job nodes
ended "$job"
same_as nodes whole "a job"
said 'Slurm job [0-9]+: 3 nodes, 6 task slots, 10 min left$' "a job"
said '6 ranks on 3 hosts' "a job"

# The warning, in the middle of the run. Then it is queued again, and once started goes on.
job warned
until_said '^step '
scancel --batch --signal=USR1 "$job"
until_said 'is queued again, and goes on when it starts'
ended "$job"
same_as warned whole "warned"
said 'asking 6 ranks to save and stop' "warned"
said 'Slurm job [0-9]+: .*; restart 1$' "warned"
said 'going on from' "warned"

# A node dies.
job killed
until_said '^step '
cluster kill n2
until_said 'host n2 does not answer: left out'
ended "$job"
same_as killed whole "a node killed"
said '4 ranks on 2 hosts' "a node killed"
cluster heal n2
