# shellcheck shell=bash
# What the tests of copies of GPUs' state in the machines' memory share; sourced after gpu.sh: the undisturbed run `whole`, with a
# checkpoint every 10 steps and a copy every 3.

long=(run.steps=24)
export MUSTER_CHECKPOINT_EVERY=10 MUSTER_DEVICE_SNAPSHOT_EVERY=3
run 2 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"
nothing_left "the undisturbed run"

# killed RUN FAULTS [ARGUMENTS...]: three ranks, none of which lives on.
killed() {
    local name=$1
    export MUSTER_FAULT=$2
    shift 2
    run 3 tiny.cfg run.name="$name" "${long[@]}" "$@"
    unset MUSTER_FAULT
    [ "$(field "$name" outcome)" != complete ] || fail "$name: three ranks that were killed ended well"
    no_rank_left "$name"
}
# goes_on RUN RANKS FROM [ARGUMENTS...]
goes_on() {
    local name=$1 ranks=$2 from=$3
    shift 3
    run "$ranks" tiny.cfg run.name="$name" "${long[@]}" "$@"
    ended_with 0 "$name"
    said "going on from $from" "$name"
    same_as "$name" whole "$name"
    nothing_left "$name"
}
memory() { echo "step $1, which was still in memory"; }
