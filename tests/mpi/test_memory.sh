#!/usr/bin/env bash
# A state that outlived its ranks, and a bit of it that flips before the next generation takes it up: said, not used; the run goes
# on from the newest checkpoint, or from the beginning, to the same bits. Untouched, it is used.
. "$(dirname "$0")/common.sh"

flip_bit=$MUSTER_BUILD/tests/flip-bit
long=(run.steps=24 checkpoint.every=5)
run 2 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# killed RUN STEP ARGUMENTS...: three ranks, all killed while step STEP + 2 is taken.
killed() {
    local name=$1 step=$2
    shift 2
    export MUSTER_FAULT="at:update,step:$((step + 1)),do:kill"
    run 3 tiny.cfg run.name="$name" "${long[@]}" "$@"
    unset MUSTER_FAULT
    [ "$(field "$name" outcome)" != complete ] || fail "$name: three ranks that were killed ended well"
    no_rank_left "$name"
}

# flipped WHERE CONFIG: of the host's segment, the one file that is left of the run.
flipped() {
    local segment
    segment=$(find /dev/shm -name "muster-$(id -u)-*-h*" -printf '/%f\n' | head -n 1)
    [ -n "$segment" ] || fail "$1: no state is left in memory"
    "$flip_bit" "$2" "$segment" "$1" >"$log" 2>&1 || fail "$1: no bit was flipped"
}

killed untouched 12
run 2 tiny.cfg run.name=untouched "${long[@]}"
ended_with 0 "untouched"
said 'which was still in memory' "untouched"
same_as untouched whole "untouched"

for where in weight m v prediction step; do
    killed "$where" 12
    flipped "$where" "runs/$where/config.cfg"
    run 2 tiny.cfg run.name="$where" "${long[@]}"
    ended_with 0 "$where"
    if [ "$where" != step ]; then # or the record of that step is not there
        said_once "warning: the state of step 13 in the memory of host $(uname -n) is damaged \(chunk 0, of .*\): it is not used" "$where"
    fi
    said 'going on from the checkpoint of step 10' "$where"
    same_as "$where" whole "$where"
    nothing_left "$where"
done

killed early 2
flipped m runs/early/config.cfg
run 3 tiny.cfg run.name=early "${long[@]}"
ended_with 0 "before the first checkpoint"
said_once 'warning: the state of step 3 in the memory' "before the first checkpoint"
same_as early whole "before the first checkpoint"
