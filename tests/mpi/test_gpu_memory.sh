#!/usr/bin/env bash
# Copies of GPUs' state in the machines' memory, and what becomes of them when all ranks die: the newest whole one is gone on from,
# to the same bits; one that was being made is not; one that is damaged, or for which there was no room, leaves the checkpoint.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"

flip_bit=$MUSTER_BUILD/tests/flip-bit
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

killed all at:update,step:17,do:kill
goes_on all 2 "$(memory 15)"
killed none at:update,step:17,do:kill device.snapshot_every=0
goes_on none 2 'the checkpoint of step 10'
# A checkpoint that is newer than the copy.
killed older at:update,step:11,do:kill
goes_on older 3 'the checkpoint of step 10'

# mpirun alone is killed; its ranks end with it.
export MUSTER_FAULT=at:flip,do:sleep-20
start 3 tiny.cfg run.name=mpirun "${long[@]}" checkpoint.every=0 device.snapshot_every=1
unset MUSTER_FAULT
until_true beyond mpirun 5
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun is killed"
rm -f $(comm -13 <(echo "$shm_before") <(in_shm) | grep sm_segment) # Open MPI's own
goes_on mpirun 4 'step [0-9]+, which was still in memory'

# In the making of one. A death that the others mend, then the end of all.
killed mended "rank:0,at:snapshot,step:15,do:kill;at:update,step:17,do:kill"
goes_on mended 2 "$(memory 15)"
killed unmade at:snapshot,step:15,do:kill
goes_on unmade 2 "$(memory 12)"
survives survived 3 rank:0,at:snapshot,step:12,do:kill 1 "${long[@]}"

# Two machines, of which one has the newest; then a third, which has none.
export MUSTER_HOSTS=2
lonely='rank:1,at:snapshot,step:15,do:sleep-300;rank:1,at:snapshot,step:15,do:kill'
killed apart "$lonely;rank:0,at:shrink,do:kill;rank:2,at:shrink,do:kill"
goes_on apart 4 "$(memory 15)"
said_once 'step 15 is handed over to hosts that do not have it in memory' "two machines"
killed third at:update,step:17,do:kill
MUSTER_HOSTS=3 goes_on third 3 "$(memory 15)"
said_once 'step 15 is handed over' "a third machine"
# What was handed over is as good as what was copied: nothing is copied after it.
killed again at:update,step:17,do:kill
MUSTER_HOSTS=3 killed again at:update,step:16,do:kill device.snapshot_every=20
MUSTER_HOSTS=3 goes_on again 3 "$(memory 15)"
unset MUSTER_HOSTS

# flipped WHERE RUN: a bit of the copy, which is the largest file that is left.
flipped() {
    local segment
    segment=$(find /dev/shm -name "muster-$(id -u)-*-h*" -printf '%s /%f\n' | sort -n | tail -n 1)
    [ -n "$segment" ] || fail "$2: no state is left in memory"
    "$flip_bit" "runs/$2/config.cfg" "${segment#* }" "$1" >"$log" 2>&1 || fail "$2: no bit was flipped"
}
for where in weight m v prediction; do
    killed "$where" at:update,step:17,do:kill
    flipped "$where" "$where"
    goes_on "$where" 2 'the checkpoint of step 10'
    said_once "warning: the state of step 15 in the memory of host $(uname -n) is damaged" "$where"
done

# Every GPU looks through its own state, whoever hashes which piece of it: one that differs is named, and nothing is saved of it.
export MUSTER_FAULT=rank:1,at:hash,step:18,do:fail
run 3 tiny.cfg run.name=differs "${long[@]}"
unset MUSTER_FAULT
ended_with 70 "a GPU whose state differs"
said_once 'error: the state in the memory of the GPU of rank 1 is not the master.s. Memory or software of one of them is broken' \
    "a GPU whose state differs"
nothing_left "a GPU whose state differs"
goes_on differs 2 'the checkpoint of step 10'

# A GPT of four chunks, dealt to three ranks: rank 0 has copied its chunks of step 4, rank 1 has not. The copy of step 2 is whole.
wide=(model.layers=1 model.width=256 model.heads=1 model.context=4 batch.sequences=2 batch.shards=2 eval.every=0 device.kind=cuda)
copied=("${wide[@]}" run.steps=6 device.snapshot_every=2)
limit=120 run 1 gpt.cfg run.name=wide "${wide[@]}" run.steps=6
ended_with 0 "a GPT"
export MUSTER_FAULT="${lonely//15/4};rank:0,at:shrink,do:kill;rank:2,at:shrink,do:kill"
limit=120 run 3 gpt.cfg run.name=torn "${copied[@]}"
unset MUSTER_FAULT
no_rank_left "a torn copy"
limit=120 run 2 gpt.cfg run.name=torn "${copied[@]}"
said "going on from $(memory 2)" "a torn copy"
same_as torn wide "a torn copy"
# Rank 1 dies between two of its chunks: what it and the others have copied stays, and the others copy the rest.
export MUSTER_FAULT="rank:0,at:snapshot,step:4,do:kill,count:1;at:update,step:5,do:kill"
limit=120 run 3 gpt.cfg run.name=completed "${copied[@]}"
unset MUSTER_FAULT
no_rank_left "a copy that was completed"
limit=120 run 3 gpt.cfg run.name=completed "${copied[@]}"
said "going on from $(memory 4)" "a copy that was completed"
same_as completed wide "a copy that was completed"
nothing_left "a copy that was completed"

# Too little room for two copies of 10 MB, on one machine or on both: said once, and no more than that.
[ "$MUSTER_TEST_ALONE" = 1 ] || exit 0
for machines in 1 2; do
    mount -o remount,size=$((machines * 16))M /dev/shm
    MUSTER_HOSTS=$machines run 2 gpt.cfg run.name=room-$machines "${wide[@]}" run.steps=2 device.snapshot_every=1
    ended_with 0 "too little room, $machines"
    said_once '/dev/shm has no room for the 0.02 GiB of two copies' "too little room, $machines"
    nothing_left "too little room, $machines"
done
