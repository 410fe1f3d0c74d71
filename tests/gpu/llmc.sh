#!/usr/bin/env bash
# llm.c on the same GPU: train_gpt2cu of a checkout that LLMC names, built here if it is not, on the tokens that `step` trains on.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
if [ -z "${LLMC:-}" ]; then left_out "LLMC names no checkout of llm.c"; fi
if [ "$GPU_EMULATED" ]; then left_out "the module is the emulated one"; fi
cp -r "$LLMC" llmc
if [ ! -x llmc/train_gpt2cu ]; then
    nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
    if [ ! -x "$nvcc" ]; then left_out "nvcc, to build it, is neither on PATH nor in /usr/local/cuda/bin"; fi
    PATH=$(dirname "$nvcc"):$PATH
    make -C llmc train_gpt2cu NO_MULTI_GPU=1 NO_USE_MPI=1 USE_CUDNN=0 >log 2>&1 ||
        left_out "it does not build here: $(grep -m 1 -i error log || tail -n 1 log)"
fi
"$GPU_BENCHES/bench-cuda" tokens train.bin 4000000
"$GPU_BENCHES/bench-cuda" tokens valid.bin 1000000
# d12: GPT-2 124M from random weights; no evaluation, no samples, no checkpoints; 65,536 tokens a step, as in step.sh.
(LD_LIBRARY_PATH=$GPU_LIBRARY_PATH timeout --foreground -k 5 60 llmc/train_gpt2cu -i train.bin -j valid.bin -e d12 -b 32 -t 1024 -d 65536 -x 30 -r 0 -v 0 -s 0 -n 0 -h 0) \
    2>&1 | tee log
ms=$(sed -n 's/.*| \([0-9.]*\) ms |.*/\1/p' log | tail -n +11 | median)
if [ -z "$ms" ]; then wrong "train_gpt2cu prints no step times: $(tail -n 1 log)"; fi
found "train_gpt2cu, 124M: $(awk -v ms="$ms" 'BEGIN { printf "%.0f tokens/s, %.1f ms a step of 65536 tokens", 65536 / ms * 1000, ms }')"
