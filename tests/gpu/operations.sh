#!/usr/bin/env bash
# Every operation against the CPU, in both precisions, twice, and beside another process.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
words=()
if [ "$GPU_EMULATED" ]; then words=(--tiny); fi
"$GPU_PROGRAMS/gpu-operations" "${words[@]}" 2>&1 | tee log
if grep -q 'not compared' log; then found "as the reference, and the same bits again; not all shapes compared: see the log"; fi
found "$(grep -c outputs, log) shapes and precisions like the CPU; the same bits again, and under load"
