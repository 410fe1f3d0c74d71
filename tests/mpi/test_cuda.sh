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

# Rank 1 breaks in a step.
for point in forward backward adding added; do
    survives "broken-$point" 3 "rank:1,at:$point,step:1,do:gpu-719" 1 "${gpus[@]}"
    said 'muster\[1\]: error:' "a GPU that breaks at $point"
    said 'emulation: as asked for' "a GPU that breaks at $point"
done

# More workers than GPUs: nothing is trained. (One more: tests/mpi/test_gpu_given.sh.)
MUSTER_EMULATE_DEVICES=2 run 4 tiny.cfg run.name=few "${gpus[@]}"
ended_with 78 "more workers than GPUs"
said_once 'takes a GPU for each worker, and 2 of 4 ranks have none: rank 2 on .* sees 2, .* Start 2 ranks in all' "more workers than GPUs"
nothing_left "more workers than GPUs"
