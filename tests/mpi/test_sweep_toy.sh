#!/usr/bin/env bash
# configs/sweep-toy.cfg with smaller budgets, on real text: tuned, trained, bracketed and fitted from one command.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

# The dictionary that scripts/quickstart fetches; else the prose that is here: pages and comments of this project.
mkdir configs data
if [ -f "$MUSTER_SOURCE/data/gcide-train.bin" ] && [ -f "$MUSTER_SOURCE/data/gcide-valid.bin" ]; then
    ln -s "$MUSTER_SOURCE"/data/gcide-{train,valid}.bin data
else
    find "$MUSTER_SOURCE"/{README.md,CONTRIBUTING.md,orchestrator,worker,kernels} -name '*.[hm]*' -type f | sort | xargs cat >prose.txt
    "$MUSTER" tokenize prose.txt --out data/gcide >"$log" 2>&1 || fail "tokenize"
fi
cp "$MUSTER_SOURCE/configs/gpt-toy.cfg" configs
cat >smaller.sed <<'SED'
s/budgets = .*/budgets = [1e10, 3e10];/
s/values = \[8, .*\];/values = [8, 16, 24, 32, 40];/
s/points = 5; each_side = 2; extend = 2/points = 4; each_side = 1; extend = 1/
s/value = "N"; unit/value = "N \/ 4"; unit/
s/size = 48/size = 32/
s/factors = .*/factors = [0.33, 1.0, 3.0];/
s/trunk_tax = .*\]/trunk_tax = [16]/
s/budget = 1e11; seeds = 3/budget = 1e10; seeds = 2/
s/budget = 1e12; seeds = 2/budget = 3e10; seeds = 1/
s/budget = 1e11/budget = 1e10/g
s/targets = .*\]/targets = [1e11]/
s/bootstrap = 4000/bootstrap = 200/
SED
sed -f smaller.sed "$MUSTER_SOURCE/configs/sweep-toy.cfg" >configs/sweep-toy.cfg
! grep -q '1e1[12]' <(sed 's/#.*//; /targets/d' configs/sweep-toy.cfg) || fail "the example has changed: budgets are not those that this test makes smaller"
"$MUSTER" plan configs/sweep-toy.cfg --quick >"$log" 2>&1 || fail "muster plan"
said '20 trials: 12 cells, 6 to tune with, 2 controls' "muster plan"
small=(batch.sequences=16 eval.tokens=16384)
limit=200 sweep 2 configs/sweep-toy.cfg run.dir=runs sweep.name=toy "${small[@]}"
ended_with 0 "the toy sweep"
nothing_left "the toy sweep"
steps_once toy "the toy sweep"
[ "$(with_status toy complete)" -ge 8 ] || fail "only $(with_status toy complete) cells are complete"
for trial in $(column runs/toy/results.csv status | awk '$2 == "complete" || $2 == "control" { print $1 }'); do
    # Bytes of English, after some hundred kB: better than their frequencies alone (about 3.2 nats), worse than any model there is.
    awk -v loss="$(result toy "$trial" loss)" 'BEGIN { exit !(loss > 1 && loss < 5.6) }' || fail "$trial: loss $(result toy "$trial" loss)"
done
"$MUSTER" fit runs/toy >"$log" 2>&1 || fail "muster fit of the toy sweep"
grep -q '"schema": *"muster-fit-1"' runs/toy/fit.json || fail "fit.json"
grep -q '<svg' runs/toy/report.html || command -v gnuplot >/dev/null || fail "report.html has no picture"
