#!/usr/bin/env bash
# The number of ranks changes while a run goes on: muster resize, and a host file to which slots are added.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

long=(checkpoint.every=0 eval.every=50)
run 1 tiny.cfg run.name=whole "${long[@]}" run.steps=150
ended_with 0 "the undisturbed run"

# USR2: a checkpoint, and on it goes. Then a resize, twice, and to the end: no other checkpoint is made for it, and no step lost.
slowly 2 tiny.cfg run.name=run "${long[@]}" run.steps=150
saved() { find runs/run/checkpoints -name checkpoint.h5 | sort | tail -n 1; }
before=$(saved)
newer() { [ "$(saved)" != "$before" ]; }
kill -USR2 "$mpirun"
until_true newer
"$MUSTER" resize runs/run 4 --no-wait
next_generation
[ "$(all_ranks | wc -w)" = 4 ] || fail "resize 2 -> 4: $(all_ranks | wc -w) ranks"
[ ! -e runs/run/control/resize ] || fail "resize: the request stands there still"
"$MUSTER" resize runs/run 4 --no-wait
until_said 'this run has 4 ranks already'
"$MUSTER" resize runs/run 3 --no-wait
finish
ended_with 0 "resized"
said 'generation 1: stopped for a change of ranks at step [0-9]+; starting again with 4 ranks on 1 host' "resized"
said 'generation 2: stopped for a change of ranks at step [0-9]+; starting again with 3 ranks on 1 host' "resized"
same_as run whole "resized"
nothing_lost run 2 "resized"
[ "$(find runs/run/checkpoints -name checkpoint.h5 | wc -l)" = 2 ] || fail "resized: other checkpoints than those of USR2 and of the end"
[ -z "$(ls runs/run/control)" ] || fail "resized: left in control: $(ls runs/run/control)"
untouched "resized"

# The wish to stop comes when ranks have just made way, the state in memory only: others are started to save it.
slowly 2 tiny.cfg run.name=both "${long[@]}" run.steps=150
"$MUSTER" resize runs/both 3 --no-wait
until_said 'starting again with 3 ranks'
kill -TERM "$mpirun"
finish
ended_with 75 "a stop during a resize"
said 'stopped on request at step [0-9]+ of 150, with a checkpoint' "a stop during a resize"
untouched "a stop during a resize"
launch -n 1 train tiny.cfg run.name=both "${long[@]}" run.steps=150
ended_with 0 "a stop during a resize"
same_as both whole "a stop during a resize"
said 'going on from the checkpoint of step [0-9]+' "a stop during a resize"
[ "$(lost both)" = 0 ] || fail "a stop during a resize: steps lost: $(lost both)"

# On several hosts the state is no longer whole where some ranks of another distribution are: then it is saved.
export MUSTER_HOSTS=2
slowly 2 tiny.cfg run.name=apart "${long[@]}" run.steps=100
"$MUSTER" resize runs/apart 3 --no-wait
finish
unset MUSTER_HOSTS
ended_with 0 "resized on two hosts"
said 'going on from the checkpoint of step [0-9]+' "resized on two hosts"
[ "$(lost apart)" = 0 ] || fail "resized on two hosts: steps lost: $(lost apart)"
untouched "resized on two hosts"

if "$MUSTER" resize runs/run 2 2>"$log"; then fail "a resize that nobody obeys"; fi
said 'nobody would obey: no launcher has the run runs/run' "a resize that nobody obeys"

# Slots that are added while it runs are used when that pays.
echo "localhost slots=2" >hosts
MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99 begin --hostfile hosts train tiny.cfg run.name=grows "${long[@]}" run.steps=600
until_said "^step "
echo "localhost slots=4 # two more" >hosts
until_said 'starting again with 4 ranks on 1 host, from the state in memory'
next_generation
kill -TERM "$mpirun"
finish
ended_with 75 "a host file that grows"
untouched "a host file that grows"

# Ranks that died are replaced when they have been dead for some time and enough is left to do; not when little is. Steps take 400 ms
# of one rank, 100 ms of four.
cat >paced.cfg <<'CONFIG'
run = { dir = "runs"; hash_every = 1; };
model = { kind = "synthetic"; };
synthetic = { params = 100000; };
batch = { sequences = 16; shards = 8; };
checkpoint = { every = 0; };
CONFIG
paced() { begin -n 4 train paced.cfg run.name="$1" run.steps="$2" synthetic.step_ms=400; }
run 1 paced.cfg run.name=fast run.steps=110
ended_with 0 "synthetic"
paced replaced 110
until_true beyond replaced 5
kill -KILL "$(rank_pid 1)" "$(rank_pid 3)"
until_said '2 ranks go on'
finish
ended_with 0 "ranks replaced"
said '2 of 4 ranks have died: making room for new ones' "ranks replaced"
said 'generation 1: stopped for a change of ranks at step [0-9]+; starting again with 4 ranks' "ranks replaced"
said 'launch: complete; 2 generations' "ranks replaced"
nothing_lost replaced 1 "ranks replaced"
same_as replaced fast "ranks replaced"
untouched "ranks replaced"
paced short 45
until_true beyond short 5
kill -KILL "$(rank_pid 1)" "$(rank_pid 3)"
finish
ended_with 0 "too little left"
said 'launch: complete; 1 generation$' "too little left"
untouched "too little left"
