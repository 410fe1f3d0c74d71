#!/usr/bin/env bash
# compute-sanitizer on the operations in small shapes: reads and writes out of bounds, races in shared memory, barriers.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
if [ "$GPU_EMULATED" ]; then left_out "the module is the emulated one: the test sanitizers does this"; fi
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ ! -x "$sanitizer" ]; then left_out "compute-sanitizer is neither on PATH nor in /usr/local/cuda/bin"; fi
ours=() late=()
for tool in memcheck racecheck synccheck; do
    code=0
    timeout --foreground -k 5 38 "$sanitizer" --tool "$tool" --error-exitcode 9 --print-limit 50 \
        "$GPU_PROGRAMS/gpu-operations" --tiny --alone >log 2>&1 || code=$?
    cat log
    if grep -qi 'device not supported' log; then left_out "compute-sanitizer does not support this GPU or its runtime"; fi
    # cuBLAS's own kernels synchronise by means that racecheck does not know.
    words=$(grep -E 'Invalid |Race reported|Barrier error|Error: ' log | grep -v -i -E 'cutlass|cublas|nvjet|xmma|gemm' | head -n 1) || true
    case $code in
    0) ours+=("$tool") ;;
    124 | 137) late+=("$tool") ;;
    9) if [ "$words" ]; then wrong "$tool: $words"; else ours+=("$tool (reports on cuBLAS's kernels alone)"); fi ;;
    *) wrong "$tool: exit code $code: $(tail -n 1 log)" ;;
    esac
done
if [ "${#ours[@]}" = 0 ]; then left_out "no tool was done in 38 s"; fi
found "nothing found by ${ours[*]}${late:+; not done in 38 s: ${late[*]}}"
