#!/usr/bin/env bash
# Compiles the CUDA kernels with nvcc, warnings as errors, for each architecture that we name and it knows.
# Usage: cuda.sh SOURCE-FOLDER BUILD-FOLDER
set -euo pipefail
cd "$1"
build=$2
nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
if [ ! -x "$nvcc" ]; then
    echo "skipped: nvcc is neither on PATH nor in /usr/local/cuda/bin"
    exit 77
fi
known=$("$nvcc" --list-gpu-arch)
targets=()
for number in 80 90 100; do
    if grep -qx "compute_$number" <<<"$known"; then
        targets+=(-gencode "arch=compute_$number,code=sm_$number")
    else
        echo "$nvcc does not know sm_$number: left out"
    fi
done
mkdir -p "$build"
for source in kernels/cuda/*.cu; do
    echo "$source"
    # No contraction, as on the CPU: then a vector loop and its remainder have the same bits.
    "$nvcc" --threads 0 -std=c++17 -O2 --fmad=false "${targets[@]}" -I. -Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror \
        -c "$source" -o "$build/$(basename "$source" .cu).o"
done
