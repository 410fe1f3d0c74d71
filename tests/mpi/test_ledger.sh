#!/usr/bin/env bash
# Where the time went, over a death and the generation after it; and run.time_limit, which ends a run in time.
# Cores: all (what it measures must not wait for others)
. "$(dirname "$0")/common.sh"
cat >paced.cfg <<'CONFIG'
run = { dir = "runs"; steps = 120; log_every = 5; };
model = { kind = "synthetic"; };
synthetic = { step_ms = 60.0; };
batch = { sequences = 12; shards = 12; };
checkpoint = { every = 50; };
CONFIG
# count RUN KEY: an integer of its goodput.
count() { sed -n 's/.*"goodput": {.*"'"$2"'": \([0-9]*\).*/\1/p' "runs/$1/status.json"; }
# seconds RUN KIND: of rank time, in ms.
ms() { sed -n 's/.*"seconds": {[^}]*"'"$2"'": \([0-9.]*\).*/\1/p' "runs/$1/status.json" | awk '{ printf "%.0f\n", 1000 * $1 }'; }
total() { sed -n 's/.*"rank_seconds": \([0-9.]*\).*/\1/p' "runs/$1/status.json" | awk '{ printf "%.0f\n", 1000 * $1 }'; }
adds_up() {
    local sum=0 kind
    for kind in compute communicate checkpoint recover redo idle wait; do sum=$((sum + $(ms "$1" $kind))); done
    [ "$sum" = "$(total "$1")" ] || fail "$1: the kinds add up to $sum ms of $(total "$1")"
}

# 120 steps of 20 ms: 7.2 rank-seconds of three ranks must be computing (120 x 60 ms), whatever else the machine does.
run 3 paced.cfg run.name=whole
ended_with 0 "an undisturbed run"
said_once 'goodput [0-9.]+ % of [0-9]+ rank-seconds: compute' "an undisturbed run"
adds_up whole
[ "$(ms whole compute)" -ge 7140 ] || fail "computing took $(ms whole compute) ms of 7200"
[ "$(count whole deaths)" = 0 ] && [ "$(count whole steps_lost)" = 0 ] && [ "$(ms whole idle)" = 0 ] || fail "a quiet run's counts"

# One is killed: it is counted, and no step is lost.
MUSTER_FAULT=rank:1,at:flip,step:70,do:kill run 3 paced.cfg run.name=survived
ended_with 0 "a death"
adds_up survived
[ "$(count survived deaths) $(count survived recoveries) $(count survived steps_lost)" = "1 1 0" ] || fail "a death: counts"
grep -q '"ranks": 2,' runs/survived/status.json || fail "a death: who died is counted among the ranks"

# So it is when the master is; the speed of the step in which it died is that of the whole step, not of what was left of it.
MUSTER_FAULT=rank:0,at:reduced,step:70,do:kill run 3 paced.cfg run.name=master run.log_every=1 run.steps=80
ended_with 0 "the master's death"
[ "$(count master deaths) $(count master recoveries) $(count master steps_lost)" = "1 1 0" ] || fail "the master's death: counts"
fastest=$(awk -F, 'NR > 1 { print int($5) }' runs/master/metrics.csv | sort -n | head -n 1)
[ "$fastest" -ge 15 ] || fail "the master's death: a step of 20 ms is said to have taken $fastest ms"
"$MUSTER" inspect runs/master >"$log"
said 'Z started with 2 ranks at step 70$' "the master's death: the journal"
said 'Z rank 0 died \(pid ' "the master's death: the journal"
said '^  computed on  2 ranks, 1 host$' "the master's death: the ranks"

# All are, in the 71st step: 20 committed steps, after the checkpoint of step 50, are taken again by all ranks.
MUSTER_FAULT=at:flip,step:70,do:kill run 3 paced.cfg run.name=killed
reboot
run 3 paced.cfg run.name=killed
ended_with 0 "after a death"
adds_up killed
lost=$(count killed steps_lost)
[ "$(count killed deaths)" = 3 ] || fail "after the death of all: $(count killed deaths) deaths are counted"
[ "$lost" = 20 ] || [ "$lost" = 21 ] || fail "after a death: $lost steps lost"
[ "$(ms killed redo)" -ge $((60 * lost - 60)) ] || fail "after a death: $(ms killed redo) ms of redoing $lost steps"
nothing_left "after a death"

# More ranks than shards: the others are idle.
run 3 paced.cfg run.name=few batch.shards=2 run.steps=40
ended_with 0 "a rank without shards"
adds_up few
[ "$(ms few idle)" -ge 1100 ] || fail "a rank without shards: idle for $(ms few idle) ms of 1200"

# run.time_limit.
began=$SECONDS
run 3 paced.cfg run.name=limited run.steps=100000 run.time_limit=6
ended_with 75 "run.time_limit"
[ $((SECONDS - began)) -le 7 ] || fail "run.time_limit = 6: it took $((SECONDS - began)) s"
said_once 'run.time_limit: stopping' "run.time_limit"
said 'with a checkpoint: the same command goes on' "run.time_limit"
[ "$(field limited outcome)" = requeue ] || fail "run.time_limit: outcome $(field limited outcome)"
nothing_left "run.time_limit"
