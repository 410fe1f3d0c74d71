#!/usr/bin/env bash
# muster sweep: between two starts the file gets more budgets, sizes and seeds, or other meanings: cells are added, those that are
# there stay, and a changed meaning of one that has a result is refused by its name, before anything is changed.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 3 synth.cfg
ended_with 0 "the sweep"
cp runs/synth/results.csv first.csv
mapfile -t old < <(tail -n +2 first.csv | cut -d, -f1)
before=$(stamp synth "${old[@]}")

# More of everything.
sed 's/budgets = .*/budgets = [3e8, 6e8, 1.2e9, 2.4e9];/; s/fit = .*/repeats = ( { budget = 3e8; seeds = 2; } ); &/' synth.cfg >more.cfg
sweep 3 more.cfg
ended_with 0 "more budgets and seeds"
nothing_left "more budgets and seeds"
[ "$(ended synth)" = 20 ] || fail "more budgets and seeds: $(ended synth) lines of results, not 20"
[ -z "$(comm -23 <(sort first.csv) <(sort runs/synth/results.csv))" ] || fail "lines of results changed when budgets were added"
[ "$(stamp synth "${old[@]}")" = "$before" ] || fail "trials were touched when budgets were added"
sweep 2 more.cfg sweep.name=fresh
ended_with 0 "the larger sweep at once"
same_results synth fresh "the larger sweep in two parts"

# Another meaning of what has a result.
# all_of SWEEP: every file with its date. unchanged SWEEP WHEN: they are as they were in $all.
all_of() { (cd "runs/$1" && find . -type f ! -name .lock -printf '%p %T@ %s\n' | sort); }
unchanged() { [ "$(all_of "$1")" = "$all" ] || fail "$2: the refusal changed something: $(diff <(echo "$all") <(all_of "$1") | head -n 6)"; }
all=$(all_of synth)
refused() {
    local what=$1
    shift
    sweep 2 "$@"
    ended_with 78 "$what"
    said 'params[0-9]+-c[0-9.e+]+-s1' "$what"
    said "$what" "$what"
    unchanged synth "$what"
    nothing_left "$what"
}
refused 'synthetic\.noise' more.cfg synthetic.noise=0.02
refused 'optim\.lr' more.cfg optim.lr=0.5
refused 'batch\.sequences|run\.steps' more.cfg batch.sequences=16
# What changes no bits may change.
sweep 2 more.cfg checkpoint.keep=1 run.hang_timeout=40
ended_with 0 "operational keys"
cmp -s runs/synth/results.csv runs/fresh/results.csv || fail "operational keys changed results"

# Fewer budgets again: what they had given stays, and is not computed again when they come back.
sweep 2 synth.cfg
ended_with 0 "fewer budgets"
sweep 2 more.cfg
ended_with 0 "more budgets again"
same_results synth fresh "more budgets again"
[ "$(stamp synth "${old[@]}")" = "$before" ] || fail "trials were touched when budgets went and came"

# Another text under the same name is another meaning, too: new cells would stand beside those of the old one.
sweep 2 gpts.cfg
ended_with 0 "the sweep of GPTs"
cp data-train.bin kept.bin
tr a-e f-j <text.txt >other.txt
"$MUSTER" tokenize other.txt --out other >/dev/null 2>&1 || fail "tokenize"
all=$(all_of gpts)
cp other-train.bin data-train.bin
sed 's/budgets = .*/budgets = [1e8, 2e8, 4e8];/' gpts.cfg >more-gpts.cfg
sweep 2 more-gpts.cfg
ended_with 78 "another text"
said 'data\.train' "another text"
unchanged gpts "another text"
cp kept.bin data-train.bin
sweep 2 more-gpts.cfg
ended_with 0 "the first text again"
[ "$(with_status gpts complete)" = 16 ] || fail "the first text again: $(with_status gpts complete) complete cells, not 16"
nothing_left "the first text again"

# Longer runs are the trunks now: those of before stay as they are, and all have the bits that they have when it is trained at once.
sweep 3 more-gpts.cfg sweep.name=gpts-fresh
ended_with 0 "the longer trunks at once"
[ "$(column runs/gpts/results.csv hash)" = "$(column runs/gpts-fresh/results.csv hash)" ] || fail "other bits where trunks grew"
[ "$(column runs/gpts/results.csv loss)" = "$(column runs/gpts-fresh/results.csv loss)" ] || fail "other losses where trunks grew"
