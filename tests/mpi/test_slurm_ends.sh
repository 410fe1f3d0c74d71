#!/usr/bin/env bash
# How launch ends in a Slurm job that is preempted, has too little time, is stopped by muster stop, is cancelled, or has a mistake
# in its configuration: what is to go on is queued again, and ends with the bits of one host; the rest is not.
# Needs root, and Debian's slurm-wlm and munge.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
make_cluster 3 --cpus 2 --conf SlurmctldParameters=preempt_send_user_signal

run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# not_again WHEN: the job has ended, and nothing of it was queued again.
not_again() {
    ended "$job"
    ! grep -q 'is queued again' "$log" || fail "$1: queued again"
    no_rank_left "$1"
}

# By a job of another partition, which has the nodes for a moment: the warning signal comes then as well.
job preempted
until_said '^step '
other=$(submit -p urgent -N 3 --exclusive --wrap 'sleep 1')
ended "$job"
over "$other" || fail "the urgent job did not end"
same_as preempted whole "preempted"
said 'asking 6 ranks to save and stop' "preempted"
said 'restart 1$' "preempted"

# Three times too little time. Slurm gives whole minutes; so the job believes in less.
before_exec="export SLURM_JOB_START_TIME=\$(date +%s) SLURM_JOB_END_TIME=\$((\$(date +%s) + 11))"
job short
until_said 'stopped by run.time_limit at step'
ended "$job"
same_as short whole "too little time"
said 'Slurm job [0-9]+: .*, 1[01] s left' "too little time"
[ "$(grep -c 'is queued again' "$log")" -ge 1 ] || fail "too little time: not queued again"
before_exec=

job stopped
until_said '^step '
"$MUSTER" stop runs/stopped >stop.log 2>&1 || fail "muster stop: $(cat stop.log)"
not_again "muster stop"
[ "$(field stopped outcome)" = requeue ] || fail "muster stop: outcome $(field stopped outcome)"

job cancelled
until_said '^step '
scancel "$job"
not_again "scancel"

echo 'nonsense' >>tiny.cfg
job mistaken
not_again "a mistake"
said 'tiny.cfg' "a mistake"
