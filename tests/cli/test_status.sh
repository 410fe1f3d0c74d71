#!/usr/bin/env bash
# muster status: a run and a sweep as their files have them, whoever asks; what it ends with; watching until the end.
. "$(dirname "$0")/common.sh"
unset MUSTER_PROGRESS MUSTER_LOG COLUMNS LINES
status() { # status EXIT_CODE WORD...
    local code=$1
    shift
    expect "$code" "$MUSTER" status "$@"
}

# A run that is complete. It was evaluated once: there is no first and last.
cat >syn.cfg <<'CFG'
run: { name = "syn"; steps = 7; dir = "runs"; };
model: { kind = "synthetic"; };
checkpoint: { every = 3; };
CFG
expect 0 "$MUSTER" train syn.cfg
grep -Eq '^muster: validation loss [0-9.]+ nats per token$' err || fail "the summary of one evaluation"
grep -Eq '^muster: training loss [0-9.]+ -> [0-9.]+ nats per token$' err || fail "the summary of seven steps"
run=runs/syn
status 0 $run
has out "run runs/syn"
says "state        ended, outcome complete"
says "progress     step 7 of 7, 28672 tokens"
says "computed on  1 rank, 1 host"
grep -Eq '^  validation +loss [0-9.]+, in nats per token$' out || fail "the loss of one evaluation"
grep -Eq '^  training +loss [0-9.]+ first, [0-9.]+ last, in nats per token$' out || fail "the losses of seven steps"
grep -Eq '^  state hash   [0-9a-f]{32} of step 7$' out || fail "the hash"
grep -Eq '^  time         goodput [0-9.]+ % of ' out || fail "the goodput"
grep -Eq '^  newest       step 7/7  loss ' out || fail "the newest record"
grep -q 'ETA' out && fail "a run that is complete has time left"
has out "  checkpoint   of step 7"
status 0 --exit-code $run/
[ "$("$MUSTER" inspect $run | grep -c 'state hash   ')" -ge 1 ] || fail "inspect has no hash"
status 0 --watch --exit-code $run # has ended already
says "outcome complete"

# Its file, with one member more.
status 0 --json $run
has out '  "interrupted": false,'
[ "$(grep -v interrupted out)" = "$(cat $run/status.json)" ] || fail "--json changes what stands in status.json"

# What it ends with.
becomes() { sed -i -E 's/"state": "[a-z]+"/"state": "'"$1"'"/; s/"outcome": "[a-z]+"/"outcome": "'"$2"'"/' $run/status.json; }
becomes ended requeue
status 75 --exit-code $run
status 0 $run
becomes ended failed
status 1 --exit-code $run
says "outcome failed"
becomes running none
status 75 --exit-code $run
says "nobody trains it now: it was killed; the same command goes on from step 7"
status 75 --watch --exit-code $run
status 0 --json $run
has out '  "interrupted": true,'
exec 9<$run/.lock
flock -x 9
status 2 --exit-code $run
grep -q 'was killed' out && fail "a run whose lock is held is called killed"
status 0 --json $run
has out '  "interrupted": false,'

# Watched until it ends: in a file lines, once each; on a terminal (here: told to be one) in place.
"$MUSTER" status --watch --exit-code $run >watched 2>&1 9<&- &
watcher=$!
MUSTER_PROGRESS=bar COLUMNS=40 LINES=6 "$MUSTER" status --watch --exit-code $run >drawn 2>&1 9<&- &
drawer=$!
wait_for "line of a run that is watched" grep -q '^step 7/7 ' watched
wait_for "picture of a run that is watched" grep -q 'state        running' drawn
becomes ended complete
exec 9<&-
wait $watcher || fail "watching a run that completes ends with $?"
wait $drawer || fail "drawing a run that completes ends with $?"
cp watched out
[ "$(grep -c '^step 7/7 ' watched)" = 1 ] || fail "the same line was told again"
says "outcome complete"
cp drawn out
grep -q $'\e\\[5A\e\\[J' drawn || fail "it is not redrawn in place"
says "outcome complete"

# A launcher has it (one whose mpirun does nothing): what has failed, or was killed, is begun again.
printf '#!/bin/sh\nexec sleep 600\n' >mpirun
chmod +x mpirun
becomes ended failed
"$MUSTER" launch -n 1 --mpirun ./mpirun train syn.cfg >launched 2>&1 &
launcher=$!
runs_on() {
    "$MUSTER" status --exit-code $run >out 2>err
    [ $? = 2 ]
}
wait_for "launcher" runs_on
has out "  launcher     one has this run, and starts it again"
becomes running none
status 2 --exit-code $run
grep -q 'was killed' out && fail "a run that is launched is called killed"
kill -TERM $launcher
wait $launcher
status 75 --exit-code $run
becomes ended complete

# A run that has begun, and one that cannot be read.
mkdir -p runs/new/checkpoints runs/odd
status 75 --exit-code runs/new
says "state        unknown: no readable status.json"
has out "  checkpoint   none yet"
refuses 1 "runs/new/status.json is not there" "$MUSTER" status --json runs/new
echo '[1' >runs/odd/status.json
refuses 1 "runs/odd/status.json is not a JSON object" "$MUSTER" status --json runs/odd
status 75 --exit-code runs/odd

# A sweep.
mkdir -p runs/toy/trials
sweep() { # sweep ENDED READY FAILED
    cat >runs/toy/next <<JSON
{"schema": "muster-sweep-1", "muster": "0.1.0", "name": "toy", "kind": "isoflop", "start": 1, "now": 61.5, "ended": $1, "all_known": true,
 "trials": 3, "phases": {"waits": 0, "ready": $2, "trains": 1, "moves": 0, "complete": 1, "diverged": 0, "out of memory": 0, "failed": $3},
 "fleet": {"ranks": 4, "busy": 2, "dead": 0}, "tokens_per_s": 81234.5, "eta": 212.0, "size_key": "model.width", "tuned": null,
 "budgets": [{"budget": 1e11, "bracket": "right", "extended": 0, "exhausted": false, "best_size": 24, "best_loss": 2.2, "trials": 3, "ended": 1}],
 "live": [{"name": "width16-c1e+11-s1", "role": "cell", "phase": "trains", "workers": 2, "step": 120, "steps": 800, "n": 12000, "d": 1.1e6,
   "c": 1e11, "train_loss": 2.3, "valid_loss": 2.4, "tokens_per_s": 20000.0, "wanted": 40.0, "retries": 0}], "recent": []}
JSON
    mv runs/toy/next runs/toy/sweep.json
}
sweep null 1 0
: >runs/toy/.lock
exec 9<runs/toy/.lock
flock -x 9
status 2 --exit-code runs/toy
diff out - >&2 <<'TABLE' || fail "the table of a sweep"
sweep toy  1 of 3 trials ended  ETA 3:32  1:02 so far
trials   ready 1, trains 1, complete 1
fleet    [==..]  2 busy, 2 idle, 0 dead  81k tok/s
cell                 N     D     C  group     step  tok/s    loss   ETA  retries
width16-c1e+11-s1  12k  1.1M  1e11      2  120/800    20k  2.3000  0:40        0
budget   1e11    1/3 cells  minimum bracketed? no: larger sizes wanted; best 2.2000 at size 24
TABLE
expect 0 "$MUSTER" inspect runs/toy
has out "sweep toy  1 of 3 trials ended  ETA 3:32  1:02 so far"
has out "'muster inspect runs/toy/trials' lists its runs"
expect 0 "$MUSTER" inspect runs # runs and sweeps, a line each; those that cannot be read, too
grep -Eq '^  syn +complete +7 of 7 +[0-9.]+  ' out || fail "a folder of runs lacks one of them"
grep -q '^  sweep toy  1 of 3 trials ended  ' out || fail "a folder of runs lacks its sweep"
[ "$(grep -n '^sweeps runs$' out | cut -d: -f1)" -gt "$(grep -n '^  syn ' out | cut -d: -f1)" ] || fail "sweeps stand amid the runs"
mkdir runs/bad && echo '{' >runs/bad/sweep.json
expect 0 "$MUSTER" inspect runs
has out "  bad: a sweep that cannot be read"
rm -r runs/bad
expect 0 "$MUSTER" inspect --json runs
[ "$(grep -c '"kind": "sweep"' out)" = 1 ] || fail "--json: a folder of runs lacks its sweep"
expect 0 "$MUSTER" inspect --json runs/toy
says '"kind": "sweep"'
says '"killed": false'
says '"eta": 212.0'
refuses 64 "--config is of checkpoints; runs/toy is a sweep, with runs in runs/toy/trials" "$MUSTER" inspect --config runs/toy
status 0 --json runs/toy
has out '  "interrupted": false,"schema": "muster-sweep-1", "muster": "0.1.0", "name": "toy", "kind": "isoflop", "start": 1, "now": 61.5, "ended": null, "all_known": true,'
"$MUSTER" status --watch --exit-code runs/toy >watched 2>&1 9<&- &
watcher=$!
MUSTER_PROGRESS=bar COLUMNS=40 "$MUSTER" status --watch --exit-code runs/toy >drawn 2>&1 9<&- &
drawer=$!
wait_for "line of a sweep that is watched" grep -q '^sweep toy  1 of 3 trials ended  1 train  2 of 4 ranks busy  81k tok/s  1:02  ETA 3:32$' watched
wait_for "table of a sweep that is watched" grep -q '^width16-c1e+11-s1  120/800  2.3000$' drawn
sweep '"stopped on request: the same command goes on"' 1 0
for one in $watcher $drawer; do
    wait "$one"
    code=$?
    [ $code = 75 ] || fail "watching a sweep that is stopped ends with $code"
done
cp drawn out
has out "ended    stopped on request: the same command goes on"
exec 9<&-
sweep null 1 0
status 75 --exit-code runs/toy
has out "ended    nobody works on it now: it was killed; the same command goes on"
done_with() { sweep '"complete"' 0 "$1" && sed -i 's/"trains": 1/"trains": 0/; s/"complete": 1/"complete": '"$2"'/' runs/toy/sweep.json; }
done_with 0 3
status 0 --exit-code runs/toy
done_with 1 2
status 1 --exit-code runs/toy
has out "trials   complete 2, failed 1"
echo '{"schema": "muster-sweep-9"}' >runs/toy/sweep.json
refuses 1 "runs/toy/sweep.json: its schema is 'muster-sweep-9'; expected 'muster-sweep-1'" "$MUSTER" status runs/toy
echo '{"schema": ' >runs/toy/sweep.json
status 1 runs/toy
grep -q "^muster: error: runs/toy/sweep.json:2: " err || fail "a file that is cut short has no line"

# Mistakes.
refuses 1 "there is no runs/none" "$MUSTER" status runs/none
refuses 1 "syn.cfg is a file; expected the folder of a run or of a sweep (run.dir/NAME)" "$MUSTER" status syn.cfg
refuses 1 "runs is not the folder of a run (it has no status.json) nor of a sweep (no sweep.json); 'muster inspect' tells what it holds" \
    "$MUSTER" status runs
refuses 64 "nothing was said to work on; see 'muster status --help'" "$MUSTER" status
refuses 64 "'b' is one word too many; see 'muster status --help'" "$MUSTER" status a b
refuses 64 "unknown option --wach; did you mean --watch?; see 'muster status --help'" "$MUSTER" status --wach $run
refuses 64 "--json is told once; it cannot be watched; see 'muster status --help'" "$MUSTER" status --json --watch $run
refuses 64 "there is no verb 'statis'; did you mean 'status'?" "$MUSTER" statis $run
status 0 --help
says "--exit-code"
expect 0 "$MUSTER" --help
has out "    2   it still runs (muster status --exit-code)"

finish
