#!/usr/bin/env bash
# device.kind = "cuda" through real mpiruns, on emulated GPUs whose memory the host cannot touch: one state hash on any number of
# ranks; and a GPU that breaks, at one call of CUDA or another, is its rank's end and nobody else's: what it did not do whole
# counts for nothing, and the others end with the bits of the undisturbed run.
. "$(dirname "$0")/common.sh"
module=$MUSTER_BUILD/muster-cuda-emulated.so
if [ ! -f "$module" ]; then
    echo "skipped: no emulated GPUs without a C++ compiler"
    exit 77
fi
unset "${!MUSTER_EMULATE@}" CUDA_VISIBLE_DEVICES
export MUSTER_CUDA_MODULE=$module
gpus=(device.kind=cuda run.steps=4 batch.shards=4)

run 1 tiny.cfg run.name=whole "${gpus[@]}"
ended_with 0 "one rank"
said 'matrix products reach .* TFLOP/s here \(1 GPU, measured\)' "one rank"
for n in 2 3; do
    run "$n" tiny.cfg run.name="ranks-$n" "${gpus[@]}"
    ended_with 0 "$n ranks"
    same_as "ranks-$n" whole "$n ranks"
done
run 1 tiny.cfg run.name=bf16 "${gpus[@]}" device.precision=bf16
ended_with 0 "bf16"
[ "$(hash_of bf16)" != "$(hash_of whole)" ] || fail "bf16 computes what fp32 does"

# Rank 1 breaks at its k-th call: from the first steps on, beyond what opening and the probe take.
broke=0
for k in 700 801 953 1103; do
    MUSTER_EMULATE_RANK=1 MUSTER_EMULATE_FAIL=$k:719 run 3 tiny.cfg run.name="broken-$k" "${gpus[@]}"
    if grep -q 'muster\[1\]: error:' "$log"; then
        said 'emulation: as asked for' "call $k"
        said 'rank 1 died' "call $k"
        broke=$((broke + 1))
    fi
    ended_with 0 "call $k"
    same_as "broken-$k" whole "call $k"
    nothing_left "call $k"
done
[ "$broke" -ge 2 ] || fail "only $broke of the breaking GPUs broke: this test does not test them"

# More workers than GPUs: nothing is trained. (One more: tests/mpi/test_gpu_given.sh.)
MUSTER_EMULATE_DEVICES=2 run 4 tiny.cfg run.name=few "${gpus[@]}"
ended_with 78 "more workers than GPUs"
said_once 'takes a GPU for each worker, and 2 of 4 ranks have none: rank 2 on .* sees 2, .* Start 2 ranks in all' "more workers than GPUs"
nothing_left "more workers than GPUs"
