#!/usr/bin/env bash
# Stopped by a file and by signals, and gone on with on other ranks, hosts and threads, again and again: every step once, with
# the losses and the final bits of the undisturbed run.
. "$(dirname "$0")/common.sh"

long=(run.steps=150 eval.every=50 checkpoint.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# slowly RANKS [ARGUMENTS...]: starts, and waits for some more steps, at 20 ms each.
slowly() {
    local ranks=$1 had
    shift
    had=$(lines run)
    export MUSTER_FAULT="at:flip,do:sleep-20"
    start "$ranks" tiny.cfg run.name=run "${long[@]}" "$@"
    unset MUSTER_FAULT
    until_true beyond run $((had + 5))
}
# stopped WHEN: as it should be.
stopped() {
    finish
    ended_with 75 "$1"
    said 'stopped on request at step [0-9]+ of 150, with a checkpoint: the same command goes on' "$1"
    [ "$(field run outcome)" = requeue ] || fail "$1: outcome $(field run outcome)"
    [ "$(field run step)" = "$(lines run)" ] || fail "$1: step $(field run step), and $(lines run) lines of metrics"
    nothing_left "$1"
}

slowly 3
touch runs/run/control/stop
stopped "control/stop"
[ "$(find runs/run/checkpoints -name checkpoint.h5 | wc -l)" = 1 ] || fail "control/stop: not one checkpoint"

export MUSTER_HOSTS=2
slowly 2
kill -USR1 "$(rank_pid 1)"
stopped "SIGUSR1 to rank 1"

export MUSTER_HOSTS=3
slowly 5 device.threads=2
kill -TERM "$(rank_pid 2)"
stopped "SIGTERM to rank 2"
unset MUSTER_HOSTS

# A checkpoint on request, and on it goes; then mpirun passes a signal on to all.
slowly 4
before=$(find runs/run/checkpoints -name checkpoint.h5 | wc -l)
kill -USR2 "$(rank_pid 3)"
one_more() { [ "$(find runs/run/checkpoints -name checkpoint.h5 | wc -l)" -gt "$before" ]; }
until_true one_more
until_true beyond run $(($(lines run) + 3))
kill -USR1 "$(mpirun_pid)"
stopped "SIGUSR1 to mpirun"

slowly 1
kill -INT "$(rank_pid 0)"
stopped "SIGINT to the only rank"

run 8 tiny.cfg run.name=run "${long[@]}"
ended_with 0 "to the end"
same_as run whole "to the end"
nothing_left "to the end"
