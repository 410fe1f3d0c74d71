#!/usr/bin/env bash
# muster sweep: a dozen trials on 1 to 4 ranks end with the same bytes of results.csv, and each trial with the bits of `muster
# train` alone, also where it began as a branch of another one's trunk.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 3 synth.cfg
ended_with 0 "synth on 3 ranks"
nothing_left "synth on 3 ranks"
[ "$(ended synth)" = 12 ] || fail "12 trials, and $(ended synth) lines of results"
[ "$(with_status synth complete)" = 12 ] || fail "$(with_status synth complete) of 12 trials are complete"
steps_once synth "synth on 3 ranks"
for file in results.csv timing.csv timeline.csv sweep.json fit.json report.html; do
    [ -s "runs/synth/$file" ] || fail "no $file"
done
grep -q 'The sweep runs' runs/synth/report.html && fail "the last report says that the sweep runs"
said 'what came out: .*/runs/synth/report.html' "the end of a sweep"
tail -n +2 runs/synth/results.csv | LC_ALL=C sort -c -t, -k1,1 || fail "results.csv is not sorted"
[ "$(column runs/synth/timing.csv phase | awk '$2 == "complete"' | wc -l)" = 12 ] || fail "timing.csv does not have 12 trials"

# The loss is the law's: without noise of training, L(N, D) + a number of the run's seed and size.
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { n = $1; sub(/^params/, "", n); sub(/-.*/, "", n)
      law = 1.69 + 406.4 / n ^ 0.34 + 410.7 / $at["tokens"] ^ 0.28
      off = $at["loss"] - law
      if (off > 0.06 || off < -0.06) { print "loss " $at["loss"] ", by the law " law ": " $1; bad = 1 } }
    END { exit bad }' runs/synth/results.csv >"$log" || fail "losses"
[ "$(result synth params4000-c1.2e+09-s1 tokens)" = 49920 ] || fail "tokens of params4000: $(result synth params4000-c1.2e+09-s1 tokens)"

for ranks in 1 2 4; do
    sweep "$ranks" synth.cfg sweep.name="synth-$ranks"
    complete "synth-$ranks" synth "synth on $ranks ranks"
done
MUSTER_HOSTS=2 sweep 4 synth.cfg sweep.name=synth-hosts
complete synth-hosts synth "synth on 4 ranks of 2 hosts"

# Again: it says so, and nothing is trained.
before=$(stamp synth .)
sweep 2 synth.cfg
complete synth synth "a sweep that is complete"
[ "$(stamp synth .)" = "$before" ] || fail "trials of a complete sweep were touched"

# Trunks and branches.
sweep 3 gpts.cfg
ended_with 0 "gpts on 3 ranks"
nothing_left "gpts on 3 ranks"
[ "$(with_status gpts complete)" = 12 ] && [ "$(with_status gpts control)" = 2 ] || fail "not 12 complete cells and 2 controls"
[ "$(result gpts width8-c1e+08-s1 parent)" = width8-c2e+08-s1 ] || fail "a branch without its trunk"
for cell in width8-c1e+08-s1 width8-c2e+08-s1; do
    [ "$(result gpts $cell hash)" = "$(result gpts alone-$cell hash)" ] || fail "$cell and the same cell alone differ"
done
# What it began from is gone once it is complete.
[ "$(find runs/gpts/trials/width8-c1e+08-s1/checkpoints -name checkpoint.h5 | wc -l)" = 1 ] || fail "a branch keeps what it began from"
steps_once gpts "gpts on 3 ranks"
alone gpts width4-c1e+08-s1 2
alone gpts width16-c1e+08-s1 1
alone gpts width16-c2e+08-s1 3
for ranks in 1 4; do
    sweep "$ranks" gpts.cfg sweep.name="gpts-$ranks"
    complete "gpts-$ranks" gpts "gpts on $ranks ranks"
done
# Losses are of one validation set, which is small here: none of them is the last training loss.
column runs/gpts/results.csv bits_per_byte | awk '$2 == "" { exit 1 }' || fail "a trial was not evaluated: $(column runs/gpts/results.csv bits_per_byte)"
# Without trunks; and results are evaluated, whether or not runs are in between.
sweep 2 gpts.cfg sweep.name=gpts-apart sweep.share_trunk=false eval.every=0
ended_with 0 "gpts without trunks"
[ "$(column runs/gpts-apart/results.csv loss)" = "$(column runs/gpts/results.csv loss)" ] || fail "other losses with eval.every=0"
[ "$(column runs/gpts-apart/results.csv hash)" = "$(column runs/gpts/results.csv hash)" ] || fail "other bits without trunks"
steps_once gpts-apart "gpts without trunks"

# More ranks than trials can use.
sweep 6 gpts.cfg sweep.name=gpts-many
complete gpts-many gpts "gpts on 6 ranks"

# What reads a sweep.
"$MUSTER" fit runs/gpts >"$log" 2>&1 || fail "muster fit of the sweep"
"$MUSTER" status runs/gpts >"$log" 2>&1 || fail "muster status of the sweep"
said '^trials   complete 14$' "muster status"
