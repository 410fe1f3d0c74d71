#!/usr/bin/env bash
# compute-sanitizer on the operations in small shapes: reads and writes out of bounds, races in shared memory, barriers.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
if [ "$GPU_EMULATED" ]; then left_out "the module is the emulated one: the test sanitizers does this"; fi
sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
if [ ! -x "$sanitizer" ]; then left_out "compute-sanitizer is neither on PATH nor in /usr/local/cuda/bin"; fi
for tool in memcheck racecheck synccheck; do
    code=0
    "$sanitizer" --tool "$tool" --error-exitcode 9 --print-limit 20 "$GPU_PROGRAMS/gpu-operations" --tiny --alone >log 2>&1 || code=$?
    cat log
    if grep -qi 'device not supported' log; then left_out "compute-sanitizer does not support this GPU or its runtime"; fi
    if [ "$code" != 0 ]; then wrong "$tool: $(grep -m 1 -E 'Invalid|Race|Barrier|ERROR SUMMARY|WRONG' log || echo "exit code $code")"; fi
done
found "memcheck, racecheck and synccheck have nothing to say"
