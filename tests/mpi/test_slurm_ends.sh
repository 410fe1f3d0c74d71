#!/usr/bin/env bash
# How launch ends in a Slurm job that is preempted, is stopped by muster stop, is cancelled, has a mistake in its configuration, or
# has lost its controller: what is to go on is queued again, and ends with the bits of one host; the rest is not.
# Needs root, and Debian's slurm-wlm and munge.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
make_cluster 4 --cpus 2 --conf SlurmctldParameters=preempt_send_user_signal

run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# not_again NAME WHEN: the job has ended, nothing of it was queued again, and no process of its run is left.
is_gone() { ! pgrep -f "run[.]name=$1 " >/dev/null; }
not_again() {
    ended "$job"
    ! grep -q 'is queued again' "$log" || fail "$2: queued again"
    until_true is_gone "$1"
}

# By a job of another partition, which has the nodes for a moment: the warning signal comes then as well.
job preempted -w 'n[1-3]'
until_said '^step '
other=$(submit -p urgent -N 3 -w 'n[1-3]' --exclusive --wrap 'sleep 1')
ended "$job"
over "$other" || fail "the urgent job did not end"
same_as preempted whole "preempted"
said 'asking 6 ranks to save and stop' "preempted"
said 'restart 1$' "preempted"

# Meanwhile, on another node, for the end of this test.
long=(run.steps=500 run.hash_every=50 checkpoint.every=10 eval.every=0)
fault=at:flip,do:sleep-30
job orphan -w n4 -N 1 -n 2
orphan=$job
long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)
fault=at:flip,do:sleep-20

job stopped
until_said '^step '
"$MUSTER" stop runs/stopped >stop.log 2>&1 || fail "muster stop: $(cat stop.log)"
not_again stopped "muster stop"
[ "$(field stopped outcome)" = requeue ] || fail "muster stop: outcome $(field stopped outcome)"

job cancelled
until_said '^step '
scancel "$job"
not_again cancelled "scancel"

(cat tiny.cfg && echo nonsense) >wrong.cfg
config=wrong.cfg job mistaken
not_again mistaken "a mistake"
said 'wrong.cfg' "a mistake"

# The controller dies, and the job goes on. It is warned (by hand: scancel asks the controller), and waits to be queued again.
job=$orphan log=$scratch/orphan.out
cluster kill ctl
had=$(lines orphan)
until_true beyond orphan "$((had + 20))"
kill -USR1 "$(launcher orphan)"
until_said "Slurm's controller does not answer: job $job waits for it"
cluster heal ctl
until_said 'is queued again'
ended "$job"
said 'restart 1$' "a controller that was away"
log=$scratch/log run 1 tiny.cfg run.name=whole-orphan run.steps=500 run.hash_every=50 checkpoint.every=10 eval.every=0
same_as orphan whole-orphan "a controller that was away"
