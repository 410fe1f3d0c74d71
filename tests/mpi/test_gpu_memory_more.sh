#!/usr/bin/env bash
# More of test_gpu_memory.sh: copies that are damaged, copies of a GPT, of which each rank makes several chunks, and no room for any.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"
. "$(dirname "$0")/copies.sh"

flip_bit=$MUSTER_BUILD/tests/flip-bit
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
lonely='rank:1,at:snapshot,step:4,do:sleep-300;rank:1,at:snapshot,step:4,do:kill'
export MUSTER_FAULT="$lonely;rank:0,at:shrink,do:kill;rank:2,at:shrink,do:kill"
limit=120 run 3 gpt.cfg run.name=torn "${copied[@]}"
unset MUSTER_FAULT
no_rank_left "a torn copy"
limit=120 run 2 gpt.cfg run.name=torn "${copied[@]}"
said "going on from $(memory 2)" "a torn copy"
same_as torn wide "a torn copy"
# Rank 0 dies between two of its chunks: what it and the others have copied stays, and the others copy the rest.
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
