#!/usr/bin/env bash
# The number of ranks changes while a run goes on: muster resize, and a host file to which slots are added.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

long=(checkpoint.every=0 eval.every=50)
run 1 tiny.cfg run.name=whole "${long[@]}" run.steps=150
ended_with 0 "the undisturbed run"

# USR2: a checkpoint, and on it goes. Then a resize, twice, and to the end.
slowly 2 tiny.cfg run.name=run "${long[@]}" run.steps=150
saved() { find runs/run/checkpoints -name checkpoint.h5 | sort | tail -n 1; }
before=$(saved)
newer() { [ "$(saved)" != "$before" ]; }
kill -USR2 "$mpirun"
until_true newer
"$MUSTER" resize runs/run 4
next_generation
[ "$(all_ranks | wc -w)" = 4 ] || fail "resize 2 -> 4: $(all_ranks | wc -w) ranks"
[ ! -e runs/run/control/resize ] || fail "resize: the request stands there still"
"$MUSTER" resize runs/run 4
until_said 'this run has 4 ranks already'
"$MUSTER" resize runs/run 3
finish
ended_with 0 "resized"
said 'generation 1: stopped for a change of ranks at step [0-9]+; starting again with 4 ranks on 1 host' "resized"
said 'generation 2: stopped for a change of ranks at step [0-9]+; starting again with 3 ranks on 1 host' "resized"
same_as run whole "resized"
untouched "resized"
if "$MUSTER" resize runs/run 2 2>"$log"; then fail "a resize that nobody obeys"; fi
said 'nobody would obey: no launcher has the run runs/run' "a resize that nobody obeys"

# Slots that are added while it runs are used when that pays.
echo "localhost slots=2" >hosts
MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99 begin --hostfile hosts train tiny.cfg run.name=grows "${long[@]}" run.steps=600
until_said "^step "
echo "localhost slots=4 # two more" >hosts
until_said 'starting again with 4 ranks on 1 host'
next_generation
kill -TERM "$mpirun"
finish
ended_with 75 "a host file that grows"
untouched "a host file that grows"
