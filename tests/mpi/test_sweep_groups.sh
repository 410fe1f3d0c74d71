#!/usr/bin/env bash
# muster sweep: when nothing waits any more, groups grow: trials make way at a step boundary and go on with more ranks, with the same
# bits, also when ranks die in the middle of it.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

# Two long trials and two short ones, at a pace that ranks share.
sed '/^sweep = {/,$d' synth.cfg >synth-alone.cfg
cat >long.cfg <<'CONFIG'
@include "synth-alone.cfg"
sweep = {
    name = "long";
    kind = "grid";
    retries = 5;
    grid = ( { key = "run.steps"; values = [15, 300]; }, { key = "run.seed"; values = [1, 2]; } );
};
CONFIG
sweep 1 long.cfg sweep.name=whole
ended_with 0 "one rank"
[ "$(with_status whole complete)" = 4 ] || fail "one rank: not 4 complete trials"

slow=(synthetic.step_ms=30)
sweep 4 long.cfg "${slow[@]}"
complete long whole "groups grow"
moves() { column "runs/$1/timing.csv" moves | awk '{ n += $2 } END { print n + 0 }'; }
[ "$(moves long)" -ge 1 ] || fail "no group grew: $(cat runs/long/timing.csv)"
# ranks_at_once SWEEP TRIAL: most ranks that trained it at one time, by the timeline.
ranks_at_once() {
    awk -F, -v trial="$2" '$3 == trial { print $4 + 0.001, 1; print $5, -1 }' "runs/$1/timeline.csv" | sort -g |
        awk '{ n += $2; if (n > most) most = n } END { print most + 0 }'
}
for trial in $(column runs/long/results.csv run_steps | awk '$2 == 300 { print $1 }'); do
    [ "$(ranks_at_once long "$trial")" -ge 2 ] || fail "$trial was trained by $(ranks_at_once long "$trial") rank at a time: $(cat runs/long/timeline.csv)"
done

# Longest trials first: ranks 0 and 1 train one each, and leave it when it is to grow, if they do not die just then; 2 and 3 begin
# their second trial when they join.
for fault in rank:0,at:leave,do:kill rank:1,at:leave,do:kill rank:2,at:started,count:1,do:kill "rank:1,at:leave,do:kill;rank:3,at:started,count:1,do:kill"; do
    name=move-$(tr -dc 0-9a-z <<<"$fault" | cut -c -24)
    MUSTER_FAULT=$fault sweep 4 long.cfg "${slow[@]}" sweep.name="$name"
    complete "$name" whole "$fault"
    said "rank ${fault:5:1} died" "$fault"
    [ "$(lost_in "$name")" = 0 ] || fail "$fault: $(lost_in "$name") steps were taken again"
done
