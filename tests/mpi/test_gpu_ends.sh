#!/usr/bin/env bash
# Runs on GPUs that are stopped, stand still, make way or are ended whole, and go on: from the newest copy of their state in the
# host's memory; where there is none, from the newest checkpoint, and then nobody says that it was kept.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"
. "$(dirname "$0")/gpu.sh"

long=(run.steps=40 checkpoint.every=10 eval.every=20)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# gpus RUN RANKS [ARGUMENTS...]: starts, at 20 ms a step, and waits for some more steps.
gpus() {
    local name=$1 ranks=$2 had
    shift 2
    had=$(lines "$name")
    export MUSTER_FAULT=at:flip,do:sleep-20
    start "$ranks" tiny.cfg run.name="$name" "${long[@]}" "$@"
    unset MUSTER_FAULT
    until_true beyond "$name" $((had + 4))
}
# stopped WHEN: on request, with a checkpoint.
stopped() {
    finish
    ended_with 75 "$1"
    said 'stopped on request at step [0-9]+ of 40, with a checkpoint: the same command goes on' "$1"
    nothing_left "$1"
}

gpus run 3
kill -USR1 "$(rank_pid 1)"
stopped "SIGUSR1"
MUSTER_HOSTS=2 gpus run 4
touch runs/run/control/stop
stopped "control/stop"
gpus run 2 device.collective=mpi
kill -TERM "$(rank_pid 1)"
stopped "SIGTERM"
run 3 tiny.cfg run.name=run "${long[@]}"
same_as run whole "stopped three times"

# Who stands still is ended.
gpus still 3
kill -STOP "$(rank_pid 2)"
finish
ended_with 0 "a stopped rank"
said_once 'warning: rank 2 was stopped by a signal for .* and was ended by rank 0$' "a stopped rank"
same_as still whole "a stopped rank"
nothing_left "a stopped rank"

# launched RUN EVERY: by the launcher, beyond the first checkpoint; a copy of the state every so many steps.
launched() {
    export MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99
    begin -n 3 train tiny.cfg run.name="$1" "${long[@]}" device.snapshot_every="$2"
    unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
    until_true beyond "$1" 12
}
# killed RUN FROM: all of them.
killed() {
    kill -KILL "$(launched_mpirun | xargs)"
    finish
    ended_with 0 "$1: mpirun is killed"
    said_once "mpirun was killed \(signal 9\) at step [0-9]+; starting again with 3 ranks on 1 host, from the $2" "$1: mpirun is killed"
    same_as "$1" whole "$1: mpirun is killed"
    untouched "$1: mpirun is killed"
}
launched saved 0
killed saved 'checkpoint of step'
if grep -aqE '(still|stays) in memory' "$log"; then fail "said of a state in GPUs alone that it stays"; fi
launched copied 1
killed copied 'state in memory'
said_once 'going on from step [0-9]+, which was still in memory' "mpirun is killed"

# They make way for others: with a copy, whenever the last one was made, and without a checkpoint.
launched resized 1000
"$MUSTER" resize runs/resized 2 --no-wait
finish
ended_with 0 "resized"
said_once 'making way for other ranks at step [0-9]+ of 40; the state stays in memory' "resized"
said_once 'going on from step [0-9]+, which was still in memory' "resized"
same_as resized whole "resized"
[ "$(lost resized)" = 0 ] || fail "resized: steps lost: $(lost resized)"
untouched "resized"

# Its own drill.
MUSTER_DEVICE_SNAPSHOT_EVERY=1 "$MUSTER" drill -n 3 --only 'worker-backward,master-flip,kill-all' tiny.cfg >"$log" 2>&1 || fail "a drill"
said '^kill-worker-backward +R1 in the job .* equal$' "a drill"
said '^kill-all +R3 from memory .* equal$' "a drill"
nothing_left "a drill"
