#!/usr/bin/env bash
# muster sweep: a trial that diverges, does not fit or crashes again and again is its own problem: it is recorded, and the others are
# trained. What cannot be at all is refused before anything is trained.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

# A learning rate that is absurd.
cat >grid.cfg <<'CONFIG'
@include "tiny.cfg"
sweep = {
    name = "grid";
    kind = "grid";
    grid = ( { key = "optim.lr"; values = [1e-3, 1e-2, 1e3]; }, { key = "run.seed"; values = [1, 2]; } );
};
CONFIG
wild=(optim.clip=0 optim.weight_decay=1e3 checkpoint.every=0)
sweep 3 grid.cfg "${wild[@]}"
ended_with 0 "two trials diverge"
nothing_left "two trials diverge"
[ "$(ended grid)" = 6 ] && [ "$(with_status grid diverged)" = 2 ] && [ "$(with_status grid complete)" = 4 ] ||
    fail "not 4 complete and 2 diverged: $(column runs/grid/results.csv status | xargs)"
said 'diverged' "two trials diverge"
cp runs/grid/results.csv grid.csv
for ranks in 1 4; do
    sweep "$ranks" grid.cfg "${wild[@]}" sweep.name="grid-$ranks"
    ended_with 0 "two trials diverge on $ranks ranks"
    cmp -s grid.csv "runs/grid-$ranks/results.csv" || fail "two trials diverge on $ranks ranks: other results"
done
# It is a result: it is not tried again.
before=$(stamp grid .)
sweep 2 grid.cfg "${wild[@]}"
ended_with 0 "diverged trials, again"
[ "$(stamp grid .)" = "$before" ] || fail "diverged trials were touched by the same command"

# One that no host has the memory for (2 TB): a result, too.
cat >large.cfg <<'CONFIG'
@include "tiny.cfg"
sweep = { name = "large"; kind = "grid"; grid = ( { key = "model.width"; values = [16, 32, 65536]; } ); };
CONFIG
sweep 3 large.cfg run.steps=2 sweep.name=large
ended_with 0 "trials that are too large"
nothing_left "trials that are too large"
[ "$(result large width65536-s1 status)" = "out of memory" ] && [ "$(with_status large complete)" -ge 2 ] ||
    fail "trials that are too large: $(column runs/large/results.csv status | xargs)"

# Refused before launch: nothing is there afterwards.
refused() {
    local what=$1 text=$2
    shift 2
    sweep 2 "$@" sweep.name=refused
    ended_with 78 "$what"
    said "$text" "$what"
    [ ! -e runs/refused ] || fail "$what: a folder was made: $(find runs/refused | head)"
    nothing_left "$what"
}
sed 's/values = \[4, 8, 12, 16\]/values = [4, 8, 13, 16]/' gpts.cfg >bad.cfg
refused "a width that heads do not divide" 'width13.*model.heads|model.heads.*width13' bad.cfg
refused "no data" 'data\.train' gpts.cfg data.train=gone.bin

# One that crashes whenever it is tried, with its rank or without: `retries` times more, then it is `failed`, and the rest is trained.
# The next start tries it again.
sed '/^sweep = {/,$d' synth.cfg >synth-alone.cfg
cat >crash.cfg <<'CONFIG'
@include "synth-alone.cfg"
sweep = {
    name = "crash";
    kind = "grid";
    retries = 1;
    grid = ( { key = "run.steps"; values = [10, 20, 60]; }, { key = "run.seed"; values = [1, 2]; } );
};
CONFIG
# A group that crashes as a whole takes all its ranks with it: here trials have one each.
for do in fail segv; do
    shards=$([ "$do" = fail ] && echo 8 || echo 1)
    sweep 2 crash.cfg sweep.name="calm-$do" batch.shards="$shards"
    ended_with 0 "nothing crashes"
    # Steps 50 are those of the two long trials.
    MUSTER_FAULT=at:backward,step:50,do:$do sweep 6 crash.cfg sweep.name="crash-$do" batch.shards="$shards"
    ended_with 1 "trials that crash ($do)"
    nothing_left "trials that crash ($do)"
    [ "$(with_status "crash-$do" failed)" = 2 ] && [ "$(with_status "crash-$do" complete)" = 4 ] ||
        fail "trials that crash ($do): $(column "runs/crash-$do/results.csv" status | xargs)"
    [ "$(column "runs/crash-$do/timing.csv" retries | awk '{ n += $2 } END { print n }')" = 2 ] || fail "trials that crash ($do): not 2 retries"
    mapfile -t whole < <(column "runs/crash-$do/results.csv" status | awk '$2 == "complete" { print $1 }')
    before=$(stamp "crash-$do" "${whole[@]}")
    sweep 3 crash.cfg sweep.name="crash-$do" batch.shards="$shards"
    complete "crash-$do" "calm-$do" "trials that had crashed ($do), again"
    [ "$(stamp "crash-$do" "${whole[@]}")" = "$before" ] || fail "trials that had ended were touched"
done
