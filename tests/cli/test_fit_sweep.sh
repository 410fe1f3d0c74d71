#!/usr/bin/env bash
# muster fit FOLDER: a sweep's report out of what the sweep leaves, whenever it is asked for. sweep_folder/ is that of a sweep of
# 44 trials (configs/sweep-toy.cfg before anything was extended), its losses made by a law with noise.
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
schema=$MUSTER_SOURCE/orchestrator/report/fit.schema.json
/usr/bin/python3 -c 'import jsonschema' 2>/dev/null || schema=
says_not() { tr -s '\n ' ' ' <"$1" | grep -qF -- "$2" && fail "$1 says '$2'"; }
# take FOLDER: a copy of the example.
take() {
    rm -rf "$1"
    cp -r "$MUSTER_SOURCE/tests/cli/sweep_folder" "$1"
    chmod -R u+w "$1"
}
# is_page FOLDER PICTURES: all there, loads nothing, runs nothing; names and messages are text.
is_page() {
    [ "$(tail -c 8 "$1/report.html")" = "</html>" ] || fail "$1/report.html has no end"
    grep -qiE '<script|<link|<iframe|@import|src=|url\((["'"'"']?)[^#"'"'"']|href=["'"'"'][^#]' "$1/report.html" &&
        fail "$1/report.html loads or runs something"
    sed 's/xmlns\(:xlink\)\?="[^"]*"//g' "$1/report.html" | grep -qi 'https\?://' && fail "$1/report.html has an address to load"
    grep -q '<b>' "$1/report.html" && fail "$1/report.html shows a message as markup"
    if command -v gnuplot >/dev/null; then
        grep -q 'Pictures are missing' "$1/report.html" && fail "$1/report.html: pictures are missing"
        [ "$(grep -c '<svg' "$1/report.html")" = "$2" ] || fail "$1/report.html has not $2 pictures"
    fi
}
is_valid() {
    [ -z "$schema" ] || /usr/bin/python3 - "$schema" "$1" <<'PY' >valid 2>&1 || fail "$1: $(cat valid)"
import json, sys, jsonschema
jsonschema.Draft202012Validator(json.load(open(sys.argv[1]))).validate(json.load(open(sys.argv[2])))
PY
}

# A sweep that has ended. What its file asks for (methods, replicates, targets) is taken from sweep.json.
take whole
expect 0 "$MUSTER" fit whole
reads out 'written: whole/fit.json, whole/report.html'
reads out "44 rows of whole/results.csv give 29 points, 29 of them used."
reads out "left out: 15 (4 'control', 10 'tuning', 1 'failed')."
reads out "each of the 19 values of column 'trunk' is a cluster"
reads out 'FLOPs of training on a token: 6 N + 12 L d T'
reads out 'The envelope method is refused: not asked for.'
is_valid whole/fit.json
is_page whole 8
[ "$(value whole/fit.json "x['options']['methods'], x['options']['replicates'], x['options']['targets'], len(x['isoflop']['budgets'])")" = \
    "(['isoflop', 'parametric'], 4000, [10000000000000.0], 3)" ] || fail "the sweep's own options were not taken"
[ "$(value whole/fit.json "sorted((i['status'], i['rows']) for i in x['input']['left_out'])")" = \
    "[('control', 4), ('failed', 1), ('tuning', 10)]" ] || fail "fit.json does not say what was left out"
[ "$(value whole/fit.json "all(.99 < p['c'] / b < 1.01 for p in x['points'] for b in [x['isoflop']['budgets'][p['budget']]['c']])")" = True ] ||
    fail "a point is in another budget than its group says"
for text in 'Sweep gcide-isoflop' 'All 44 trials have ended. Trials by state: complete: 43, failed: 1.' \
    'no: smaller sizes wanted, none left' 'optim.lr = 0.300000 N<sup>' \
    '<td class="l">alone-width16-c1e+11-s1</td><td class="l">width16-c1e+11-s1</td>' '<td class="l w">yes</td>' \
    'trunks spared 1.520e12 (11.7&nbsp;%)' 'Ranks that died in one: 2; tries after a crash: 2; moves' \
    'The goodput is the share of compute: 95.0&nbsp;%' 'All that are known so far: 44.' '&lt;b&gt;again&lt;/b&gt;'; do
    reads whole/report.html "$text"
done
says_not whole/report.html 'other bits than their cells'

# What is typed wins; the folder of the sweep need not be written to.
take typed
expect 0 "$MUSTER" fit --bootstrap 0 --target-flops 3e12 --out elsewhere --n params_all typed
[ -e typed/fit.json ] && fail "--out is ignored"
[ "$(value elsewhere/fit.json "x['options']['replicates'], x['options']['targets'], x['input']['columns']['n']")" = \
    "(0, [3000000000000.0], 'params_all')" ] || fail "what is typed does not win"
sed -i 's/"params": "nonemb+head"/"params": "nonemb"/' typed/sweep.json
expect 0 "$MUSTER" fit --bootstrap 0 typed
[ "$(value typed/fit.json "x['input']['columns']['n']")" = params_nonemb ] || fail "N is not counted as the sweep counts"

# results.csv alone, without any option: the same points.
expect 0 "$MUSTER" fit --bootstrap 0 --out alone whole/results.csv
[ "$(value alone/fit.json "[(p['n'], p['d'], p['c'], p['loss'], p['cluster'], p['group'], p['seed']) for p in x['points']]")" = \
    "$(value whole/fit.json "[(p['n'], p['d'], p['c'], p['loss'], p['cluster'], p['group'], p['seed']) for p in x['points']]")" ] ||
    fail "results.csv gives other points than its folder"

# Controls with other bits are an alarm.
take other
sed -i '/^alone-width16-c1e+11-s1,/s/[0-9a-f]*$/0123456789abcdef0123456789abcdef/' other/results.csv
expect 0 "$MUSTER" fit --bootstrap 0 other
reads other/report.html '<td class="l w">NO</td>'
reads other/report.html '1 of the controls ended with other bits than their cells'

# Many ranks: a bar has no room for a name, and not all bars are shown.
take many
awk 'BEGIN {
    print "start,rank,trial,from,to,ending"
    for (i = 0; i < 6600; i++)
        printf "1,%d,width16-c1e+11-s1,%d,%d,%s\n", i % 60, int(i / 60), int(i / 60) + 1, i % 1000 == 7 ? "died" : ""
}' >many/timeline.csv
expect 0 "$MUSTER" fit --bootstrap 0 many
is_page many 8
reads many/report.html 'The timeline shows 6000 of 6600 stretches'

# At any time: before the first result, while it is tuned, with too few cells for a law, with files that are not there yet.
take none
sed -i '2,$d' none/results.csv none/timeline.csv
touch none/fit.json
expect 0 "$MUSTER" fit none
reads out 'no cell has ended with a loss so far: no fit yet'
[ -e none/fit.json ] && fail "a fit of an earlier state was left"
is_page none 0
reads none/report.html 'None yet: no cell has ended with a loss so far.'
expect 0 env PATH=/nowhere "$MUSTER" fit none
[ "$(grep -c 'Pictures are missing' none/report.html)" = 0 ] || fail "pictures are missed where there is nothing to show"
expect 0 env PATH=/nowhere "$MUSTER" fit --bootstrap 0 typed
[ "$(grep -c 'Pictures are missing' typed/report.html)" = 1 ] || fail "that pictures are missing is not said once"
take tuning
sed -i '/,tune,\|^trial/!d' tuning/results.csv
expect 0 "$MUSTER" fit tuning
is_page tuning 2
take few
sed -i '/^width[0-9]*-c3e+11-s1,\|^trial/!d' few/results.csv
expect 0 "$MUSTER" fit few
is_valid few/fit.json
is_page few 3
reads few/report.html "the law&#39;s 5 parameters need at least 6"
says_not out 'inf times'
take young
rm young/results.csv young/timing.csv young/timeline.csv
expect 0 "$MUSTER" fit young
is_page young 0

# Beside a sweep: it dies with the rank that started it.
take beside
expect 0 env MUSTER_REPORTER=$$ "$MUSTER" fit --bootstrap 0 beside
is_page beside 8
take orphan
expect 137 env MUSTER_REPORTER=1 "$MUSTER" fit --bootstrap 0 orphan
[ -e orphan/report.html ] && fail "one whose parent is gone goes on"

# Mistakes.
mkdir empty
refuses 64 "empty is no folder of a sweep: it has no sweep.json; expected one, or a CSV file of points" "$MUSTER" fit empty
take broken
echo '{"schema": "muster-sweep-1",' >broken/sweep.json
expect 1 "$MUSTER" fit broken
reads err 'broken/sweep.json:'
echo '{"schema": "muster-sweep-9"}' >broken/sweep.json
refuses 1 "broken/sweep.json: its schema is 'muster-sweep-9'; expected 'muster-sweep-1'" "$MUSTER" fit broken
echo '{"schema": "muster-sweep-1", "fit": {"methods": ["magic"]}}' >broken/sweep.json
refuses 1 "broken/sweep.json: fit.methods cannot be" "$MUSTER" fit broken
take torn
sed -i '$s/,[^,]*,[^,]*$//' torn/timing.csv
expect 1 "$MUSTER" fit torn
reads err 'torn/timing.csv:45: the row has'
take twice
sed -i '2p' twice/results.csv
refuses 1 "twice/results.csv: two rows are of trial alone-width16-c1e+11-s1" "$MUSTER" fit twice
[ -e twice/report.html ] && fail "a page of a damaged folder"
finish
