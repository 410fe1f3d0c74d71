#!/usr/bin/env bash
# Signals to muster launch, at any moment: a checkpoint and exit code 75; the second one ends at once. A start that hangs, and a rank that stands
# still.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

long=(run.steps=150 checkpoint.every=0 eval.every=50)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# stopped WHEN: with a checkpoint.
stopped() {
    finish
    ended_with 75 "$1"
    said 'stopped on request at step [0-9]+ of 150, with a checkpoint' "$1"
    said 'launch: stopped on request: the same command goes on; 1 generation$' "$1"
    [ "$(field run outcome)" = requeue ] || fail "$1: outcome $(field run outcome)"
    untouched "$1"
}
for signal in TERM INT USR1; do
    slowly 2 tiny.cfg run.name=run "${long[@]}"
    kill -$signal "$mpirun"
    stopped "SIG$signal"
done
# A file in the run directory, and a signal to one rank: not asked for by the launcher, and obeyed by it.
slowly 2 tiny.cfg run.name=run "${long[@]}"
touch runs/run/control/stop
stopped "control/stop"

# TERM during a start, and during a pause between two generations.
MUSTER_FAULT=at:start,do:sleep-60000 begin -n 2 train tiny.cfg run.name=early "${long[@]}"
until_true test -s runs/early/launch.lock
sleep 0.3
kill -TERM "$mpirun"
began=$SECONDS
finish
ended_with 75 "TERM during the start"
[ $((SECONDS - began)) -le 4 ] || fail "TERM during the start: $((SECONDS - began)) s"
untouched "TERM during the start"
MUSTER_FAULT=at:started,do:kill MUSTER_FAULT_GENERATIONS=99 begin -n 2 train tiny.cfg run.name=early "${long[@]}"
until_said 'starting again in 1 s'
kill -TERM "$mpirun"
finish
ended_with 75 "TERM during a pause"
[ "$(grep -c 'starting again in' "$log")" = 1 ] || fail "TERM during a pause: it started again"
untouched "TERM during a pause"

# A start that hangs, without and with a rank that the others find stopped; a rank and all ranks that stand still; and a second TERM,
# while the ranks cannot obey the first.
MUSTER_FAULT='rank:0,at:start,do:sleep-60000' launch -n 2 --start-deadline 3 train tiny.cfg run.name=hangs run.steps=12
ended_with 0 "a start that hangs"
said 'generation 1: the ranks did not start within their deadline before the first step; starting again' "a start that hangs"
untouched "a start that hangs"
MUSTER_FAULT='rank:0,at:start,do:stop' launch -n 2 train tiny.cfg run.name=stopped run.steps=12
ended_with 0 "a rank stopped at the start"
said 'rank 0 was stopped by a signal for [0-9.]+ s while starting and was ended by rank 1' "a rank stopped at the start"
said 'generation 1: rank 0 .* died before the first step; starting again' "a rank stopped at the start"
untouched "a rank stopped at the start"
MUSTER_FAULT='rank:1,at:forward,step:7,do:stop' launch -n 2 train tiny.cfg run.name=one run.steps=12
ended_with 0 "a rank that stands still"
said 'launch: complete; 1 generation$' "a rank that stands still"
untouched "a rank that stands still"
MUSTER_FAULT='at:forward,step:7,do:stop' launch -n 2 --stall-deadline 2 train tiny.cfg run.name=stalls run.steps=12
ended_with 0 "ranks that stand still"
said 'generation 1: nothing moved any more at step [0-9]+; starting again with 2 ranks on 1 host, from the state in memory' "ranks that stand still"
nothing_lost stalls 1 "ranks that stand still"
untouched "ranks that stand still"
MUSTER_FAULT='at:flip,step:5,do:sleep-60000' begin -n 2 train tiny.cfg run.name=twice "${long[@]}"
until_said '^step '
sleep 0.5
kill -TERM "$mpirun"
until_said 'asking 2 ranks to save and stop'
kill -TERM "$mpirun"
finish
ended_with 143 "a second TERM"
no_rank_left "a second TERM"
