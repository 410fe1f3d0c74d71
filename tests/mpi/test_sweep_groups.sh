#!/usr/bin/env bash
# muster sweep: when the queue is dry, groups grow: trials move at step boundaries to more ranks, with the same bits, also when ranks
# die in the middle of a move.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

# Two long trials and some short ones, at a pace that ranks share.
cat >long.cfg <<'CONFIG'
@include "synth-alone.cfg"
sweep = {
    name = "long";
    kind = "grid";
    grid = ( { key = "run.steps"; values = [10, 20, 400]; }, { key = "run.seed"; values = [1, 2]; } );
};
CONFIG
sed '/^sweep = {/,$d' synth.cfg >synth-alone.cfg
sweep 1 long.cfg sweep.name=whole
ended_with 0 "one rank"

slow=(synthetic.step_ms=40)
sweep 4 long.cfg "${slow[@]}"
complete long whole "groups grow"
moves=$(column runs/long/timing.csv moves | awk '{ n += $2 } END { print n + 0 }')
[ "$moves" -ge 2 ] || fail "no group grew: $moves moves"
# The long trials take 16 s each on one rank.
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { n[$at["trial"] " " int($at["from"] * 10)]++ } END { }' runs/long/timeline.csv

# A rank that makes way dies, of either group, and the master; whoever moves is whoever it was.
for fault in "rank:1,at:leave,do:kill" "rank:0,at:leave,do:kill" "rank:3,at:started,do:kill"; do
    MUSTER_FAULT=$fault sweep 4 long.cfg "${slow[@]}" sweep.name="move-${fault:5:1}"
    complete "move-${fault:5:1}" whole "$fault"
done
