#!/usr/bin/env bash
# muster launch in Slurm's allocations, on a virtual cluster of three nodes: submitted, to the end; stopped by the warning signal and
# queued again; preempted. Always the bits of one host, every step once. Needs root, and Debian's slurm-wlm and munge.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
make_cluster 3 --cpus 2

run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

"$MUSTER" submit tiny.cfg run.name=nodes "${long[@]}" -N 3 -n 6 --ntasks-per-node=2 -t 10 >"$log" 2>&1 || fail "muster submit"
job=$(sed -n 's|^job \([0-9]*\): .*/runs/nodes$|\1|p' "$log")
[ -n "$job" ] || fail "muster submit does not tell the job and its folder"
ended "$job"
log=$scratch/runs/nodes/slurm-$job.out
same_as nodes whole "a job"
said 'Slurm job [0-9]+: 3 nodes, 6 task slots, 10 min left$' "a job"
said '6 ranks on 3 hosts' "a job"

# The warning, in the middle of the run. Then it is queued again, and once started goes on.
job warned
until_said '^step '
scancel --batch --signal=USR1 "$job"
until_said 'is queued again, and goes on when it starts'
had=$(lines warned)
until_true beyond warned "$had"
awk -v a="$(starts warned | tail -n 1)" -v b="$EPOCHREALTIME" 'BEGIN {
    printf "a new step %.1f s after the start of the script, queued again\n", b - a
    exit b - a > 5
}' || fail "warned: its first step came late"
ended "$job"
same_as warned whole "warned"
said 'asking 6 ranks to save and stop' "warned"
said 'Slurm job [0-9]+: .*; restart 1$' "warned"
said 'going on from' "warned"

# Preempted, where Slurm does not give the warning signal then, but ends what it has started on other nodes. Launch starts it again
# within the time that is left, and hears how little that is. A sweep at the same time.
sweep 2 synth.cfg sweep.name=whole-laws
ended_with 0 "a sweep on one host"
job preempted -N 2 -n 4
preempted=$job
until_said '^step '
script=sweep config=synth.cfg long=(synthetic.step_ms=20 checkpoint.every=20)
job laws -N 1 -n 2
until_said 'complete at step'
other=$(submit -p urgent -N 3 --exclusive --wrap 'sleep 1')
ended "$preempted"
ended "$job"
ended "$other"
said 'restart 1$' "a sweep, preempted"
same_results laws whole-laws "a sweep, preempted"
log=$scratch/preempted.out
same_as preempted whole "preempted"
said 'stopped by run.time_limit at step' "preempted"
said 'restart 1$' "preempted"
