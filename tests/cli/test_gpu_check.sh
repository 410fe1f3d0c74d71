#!/usr/bin/env bash
# scripts/gpu-check on the emulated module: runs through to its table; and what it says where it cannot.
# Cores: 2
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"
check=$MUSTER_SOURCE/scripts/gpu-check
module=$MUSTER_BUILD/muster-cuda-emulated.so
if [ ! -e "$module" ]; then
    echo "skipped: no C++ compiler (scripts/setup --tests)"
    exit 77
fi
export GPU_CHECK_BUILT=$MUSTER_BUILD OUT=$folder/results MUSTER_EMULATE_MEMORY=268435456 MUSTER_EMULATE_DEVICES=1

expect 0 "$check" --help
has out '  scripts/gpu-check --quick       operations, a short loss curve, the promise on one and two ranks'
expect 1 "$check" --fast
has err "error: unknown option '--fast'; see scripts/gpu-check --help"
expect 1 "$check" --only step,nothing
has err "error: there is no part 'nothing'; the parts are: operations curve promise step kernels torch repair sanitizer large llmc"
MUSTER_CUDA_MODULE=$folder/none.so expect 1 "$check" --quick
has err 'error: no GPU can be used here; the line CUDA above says why'
MUSTER_CUDA_MODULE=$module MUSTER_EMULATE_DRIVER=0 expect 1 "$check" --quick
has err 'error: no GPU can be used here; the line CUDA above says why'

export MUSTER_CUDA_MODULE=$module
expect 0 "$check" --quick
grep -qE '^\| operations \| ok \| [0-9]+ shapes' out || fail "no line says that operations are right"
grep -qE '^\| curve \| ok \| [0-9]+ steps, gpt2-fp32 off by .*; llama-bf16 off by' out || fail "no line says that the loss curves are alike"
grep -qE '^\| promise \| ok \| the same bits: mpi on 1 2 ranks, nccl on 1 2 ranks' out || fail "no line says that the bits are the same"
grep -q 'no figure below says anything of a GPU' results/*-gpu-emulated.md || fail "the results do not say that they are emulated"

# Who is ended in the middle leaves what was found by then, and what the part under way said.
rm -rf results
"$check" --only curve,repair >out 2>err &
driver=$!
for ((i = 0; i < 1200 && $(cat results/*-gpu-emulated.md 2>/dev/null | grep -c '^| curve | ok |') == 0; i++)); do sleep 0.1; done
for ((i = 0; i < 100; i++)); do
    if [ -e results/under-way.log ]; then break; fi
    sleep 0.1
done
kill "$driver"
wait "$driver" && fail "who is ended should say so"
grep -q '^| curve | ok | ' results/*-gpu-emulated.md || fail "what was found before the end is gone"
[ -e results/under-way.log ] || fail "nothing is left of the part that was under way"

# A part without time is left out, in words; a GPU that breaks is a failure.
GPU_CHECK_LIMIT_S=1 expect 0 "$check" --only curve
grep -q '^| curve | left out | no time left of 1 s' out || fail "a part that has no time is not left out"
MUSTER_EMULATE_FAIL=40:700 expect 1 "$check" --only curve
grep -q '^| curve | FAILED | ' out || fail "a GPU that breaks is not a failure"
finish
