#!/usr/bin/env bash
# muster sweep --part K/M: jobs that share a sweep, side by side, one after the other, killed, in another number, and as a whole again:
# results.csv has the bytes of the sweep done at once, no trial is lost or done twice. What does not go together is refused.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/parts.sh
. "$(dirname "$0")/parts.sh"

sweep 3 edge.cfg sweep.name=edge
ended_with 0 "the sweep at once"
sweep 3 tune.cfg sweep.name=tune
ended_with 0 "the tuned sweep at once"

# Side by side, of other sizes; budgets are extended by what all have found.
for k in 0 1 2; do begin_part $k 3 $((1 + k % 2)) edge.cfg side; done
for k in 0 1 2; do end_part $k side 0 "side by side"; done
as_whole side edge "side by side"
for k in 0 1 2; do [ "$(part_trials side $k-of-3)" -gt 0 ] || fail "side by side: part $k did nothing"; done
[ -s runs/side/report.html ] || fail "side by side: no report"
for name in side edge; do "$MUSTER" fit runs/$name >"$log" || fail "muster fit of $name"; done
cmp -s <(sed 's|runs/side|runs/edge|' runs/side/fit.json) runs/edge/fit.json || fail "fit.json differs from that of the sweep at once"

# Another one is done one after the other, meanwhile: each part ends when it would have to wait for one that does not run.
begin_part 0 2 2 edge.cfg turns

# Tuned, with trunks: one part is killed, and begun again. The other waits for it, and says so when nobody comes.
begin_part 0 2 2 tune.cfg killed
begin_part 1 2 1 tune.cfg killed
until_true part_trials_beyond killed 1-of-2 1
kill_part 1 killed
end_part 0 killed 75 "the other one killed"
said 'waits for results of part 1 of 2, which has [1-5] trials? to do and does not run: start it, then the same command goes on' "the other one killed"
code=0
"$MUSTER" status runs/killed --exit-code >"$log" || code=$?
ended_with 75 "status, one killed"
end_part 0 turns 75 "by turns"
begin_part 1 2 2 edge.cfg turns
begin_part 1 2 2 tune.cfg killed
until_true part_trials_beyond killed 1-of-2 4
begin_part 0 2 1 tune.cfg killed
for k in 0 1; do end_part $k killed 0 "begun again"; done
as_whole killed tune "begun again"

end_part 1 turns 75 "by turns"
said 'waits for results of part 0 of 2' "by turns"
begin_part 1 3 2 edge.cfg turns

# What does not go together is refused, and nothing is written.
begin_part 0 2 1 edge.cfg alive synthetic.step_ms=20
until_true test -e runs/alive/parts/0-of-2/sweep.json
refused() {
    local what=$1 want=$2 text=$3
    shift 3
    log=$scratch/log
    sweep 1 edge.cfg sweep.name=alive "$@"
    ended_with "$want" "$what"
    said "$text" "$what"
    code=0
    "$MUSTER" launch -n 1 sweep edge.cfg sweep.name=alive "$@" >"$log" 2>&1 || code=$?
    ended_with "$want" "$what, launched"
    said "$text" "$what, launched"
    [ "$(ls runs/alive/parts)" = 0-of-2 ] || fail "$what: left behind: $(ls runs/alive/parts)"
}
refused "another number" 1 'is being done in another number of parts: part 0/2 runs' --part 0/3
refused "the whole" 1 'is being done in parts: part 0/2 runs'
sed 's/budgets = \[3e8, /budgets = [/' edge.cfg >fewer.cfg
for verb in sweep "launch -n 1 sweep"; do
    code=0
    # shellcheck disable=SC2086 # words
    "$MUSTER" $verb --part 1/2 fewer.cfg sweep.name=alive >"$log" 2>&1 || code=$?
    ended_with 1 "another file ($verb)"
    said 'part 0/2 of this sweep runs with another list of trials' "another file ($verb)"
done
until_true test -d runs/alive/trials
refused "other values" 78 'was begun with other values' --part 1/2 optim.lr=0.5
for part in 2/2 x 1/ 0/0; do refused "--part $part" 64 "--part $part: expected K/M" --part "$part"; done
"$MUSTER" resize runs/alive 2 >"$log" 2>&1 && fail "a resize of parts"
said 'is done in parts, each with ranks of its own: name one' "a resize of parts"

# A stop is for all of them.
begin_part 1 2 1 edge.cfg alive synthetic.step_ms=20
until_true test -e runs/alive/parts/1-of-2/sweep.json
"$MUSTER" stop runs/alive >"$log" || fail "muster stop"
said 'the sweep runs/alive has stopped, each trial with a checkpoint' "muster stop"
for k in 0 1; do end_part $k alive 75 "muster stop"; done
for k in 0 1; do begin_part $k 2 2 edge.cfg alive; done
for k in 0 1; do end_part $k alive 0 "after a stop"; done
as_whole alive edge "after a stop"

# Then as a whole, and in another number of parts.
end_part 1 turns 75 "in three"
log=$scratch/log
sweep 2 edge.cfg sweep.name=turns
complete turns edge "as a whole"
each_once turns "as a whole"
touch before
for k in 0 1 2 3; do begin_part $k 4 1 edge.cfg turns; done
for k in 0 1 2 3; do end_part $k turns 0 "in four, complete already"; done
as_whole turns edge "in four, complete already"
[ -z "$(find runs/turns/trials -newer before -type f)" ] || fail "a complete trial was touched: $(find runs/turns/trials -newer before -type f | head -n 3)"
nothing_left "the end"
