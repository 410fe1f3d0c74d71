#!/usr/bin/env bash
# muster profile under mpirun: the bits of the run on any number of ranks, also when one dies; one rank speaks; who is slow.
# Cores: all (it counts milliseconds)
. "$(dirname "$0")/common.sh"
profile_hash() { sed -n 's/^state hash of step 12: //p' "$log"; }

run 1 tiny.cfg run.name=whole
ended_with 0 "the run"
reboot
verb=profile
plan=(tiny.cfg run.name=profiled --steps 4 --warm-up 3) # 3 + 2 x 4 + 1 steps

run 2 "${plan[@]}"
ended_with 0 "two ranks"
[ "$(profile_hash)" = "$(hash_of whole)" ] || fail "other bits than the run's"
said '^2 ranks of 1 thread' "two ranks"
said '^rank 0: at work [0-9.]+ ms of a step, waits' "two ranks"
said '^rank 1: at work [0-9.]+ ms of a step, waits' "two ranks"
said '^slowest: rank [01], ' "two ranks"
said '^wait for other ranks ' "two ranks"
said_once '^state hash' "two ranks"
[ ! -e runs/profiled ] || fail "the run's folder was made"
nothing_left "two ranks"
[ -z "$(find "$TMPDIR" -name 'muster-profile*')" ] || fail "left in TMPDIR"

# On two (pretended) hosts ranks send to each other.
MUSTER_HOSTS=2 run 3 "${plan[@]}" --trace "$scratch/trace.json"
ended_with 0 "two hosts"
[ "$(profile_hash)" = "$(hash_of whole)" ] || fail "two hosts: other bits"
said '^communication between ranks ' "two hosts"
[ "$(grep -c '"process_name"' "$scratch/trace.json")" = 3 ] || fail "the trace has not three ranks"
nothing_left "two hosts"

# A rank dies: its shards are computed again, and it is said.
MUSTER_FAULT=rank:1,at:forward,step:6,do:kill run 3 "${plan[@]}"
ended_with 0 "a death"
[ "$(profile_hash)" = "$(hash_of whole)" ] || fail "a death: other bits"
said 'rank 1 died' "a death"
said 'a rank died meanwhile: its repair is in the figures' "a death"
nothing_left "a death"

# Mistakes are told once.
run 3 tiny.cfg model.width=15
ended_with 78 "a wrong configuration"
said_once 'error:' "a wrong configuration"
run 3 tiny.cfg --steps 0
ended_with 64 "no steps"
said_once 'error:' "no steps"
touch "$scratch/there"
run 2 tiny.cfg --trace "$scratch/there"
ended_with 64 "a file that is there"
said_once 'error:' "a file that is there"
nothing_left "mistakes"
