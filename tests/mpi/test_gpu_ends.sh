#!/usr/bin/env bash
# Runs on GPUs that are stopped, stand still or are ended whole, and go on: what only lay in their memory is computed again from
# the newest checkpoint, and nobody says that it was kept.
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

# All are killed: the launcher goes on from the checkpoint, not from memory.
export MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99
begin -n 3 train tiny.cfg run.name=launched "${long[@]}"
unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
until_true beyond launched 12
kill -KILL "$(launched_mpirun | xargs)"
finish
ended_with 0 "mpirun is killed"
said_once 'mpirun was killed \(signal 9\) at step [0-9]+; starting again with 3 ranks on 1 host, from the checkpoint of step' \
    "mpirun is killed"
if grep -aqE '(still|stays) in memory' "$log"; then fail "mpirun is killed: said of a GPU's state that it stays"; fi
same_as launched whole "mpirun is killed"
untouched "mpirun is killed"

# Its own drill.
"$MUSTER" drill -n 3 --only 'worker-backward,master-flip,kill-all' tiny.cfg >"$log" 2>&1 || fail "a drill"
said '^kill-worker-backward +R1 in the job .* equal$' "a drill"
said '^kill-all +R3 by checkpoint .* equal$' "a drill"
nothing_left "a drill"
