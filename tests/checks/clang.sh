#!/usr/bin/env bash
# Builds everything with clang, warnings as errors: the second opinion. Usage: clang.sh SOURCE-FOLDER BUILD-FOLDER JOBS
set -euo pipefail
source=$1 build=$2 jobs=$3
if ! command -v clang >/dev/null; then
    echo "skipped: clang is not installed (scripts/setup --tests)"
    exit 77
fi
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DMUSTER_WERROR=ON -DMUSTER_CUDA=OFF
cmake --build "$build" --parallel "$jobs"
