#!/usr/bin/env bash
# muster sweep: tuning comes first and its law stands in the cells' configurations; budgets whose minimum lies at an end of their sizes
# get more of them. Both are the same on any number of ranks, and after a kill.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 3 edge.cfg sweep.name=edge
ended_with 0 "an extension"
nothing_left "an extension"
[ "$(ended edge)" -gt 9 ] || fail "three budgets of three sizes were not extended: $(ended edge) trials"
steps_once edge "an extension"
for ranks in 1 4; do
    sweep "$ranks" edge.cfg sweep.name="edge-$ranks"
    complete "edge-$ranks" edge "an extension on $ranks ranks"
done
grep -q '"bracket": *"yes"' runs/edge/sweep.json || fail "no budget is bracketed"

# Tuning: of tiny GPTs, on a seed of its own.
sweep 3 tune.cfg sweep.name=tune
ended_with 0 "tuning"
nothing_left "tuning"
[ "$(with_status tune tuning)" = 10 ] && [ "$(with_status tune complete)" = 12 ] || fail "not 10 to tune and 12 cells"
# lr SWEEP TRIAL: of its configuration.
lr() { sed -n '/^optim/,/^}/s/^ *lr = \([^;]*\);.*/\1/p' "runs/$1/trials/$2/config.cfg"; }
mapfile -t rates < <(for width in 4 8 12 16; do lr tune "width$width-c2e+08-s1"; done)
[ "${#rates[@]}" = 4 ] && [ "$(printf '%s\n' "${rates[@]}" | sort -u | wc -l)" -gt 1 ] || fail "the tuned learning rates of four sizes: ${rates[*]}"
[ "$(lr tune width8-c1e+08-s1)" = "$(lr tune width8-c2e+08-s1)" ] || fail "the learning rate follows more than the size"
# A power law of N: ln lr is linear in ln N.
for width in 4 8 12 16; do echo "$(result tune width$width-c2e+08-s1 params_nonemb_head) $(lr tune width$width-c2e+08-s1)"; done |
    awk '{ x[NR] = log($1); y[NR] = log($2) }
        END { slope = (y[4] - y[1]) / (x[4] - x[1])
            for (i = 2; i <= 3; i++) { off = y[i] - y[1] - slope * (x[i] - x[1]); if (off > 1e-3 || off < -1e-3) exit 1 } }' ||
    fail "the tuned learning rates are no power law: ${rates[*]}"
for trial in runs/tune/trials/tune-*; do
    [ "$(find "$trial" -name config.cfg -newer runs/tune/trials/width4-c2e+08-s1/config.cfg)" = "" ] || fail "$trial began after the cells"
done
sweep 1 tune.cfg sweep.name=tune-1
complete tune-1 tune "tuning on one rank"
start_sweep 3 tune.cfg sweep.name=tune-killed
until_true ended_beyond tune-killed 4
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "killed while tuning"
sweep 2 tune.cfg sweep.name=tune-killed
ended_with 0 "killed while tuning"
same_results tune-killed tune "killed while tuning"
no_state_left "killed while tuning"
