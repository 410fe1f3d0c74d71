#!/usr/bin/env bash
# Builds everything with clang, warnings as errors: the second opinion. Nothing of it runs (the fuzz targets do), so that
# nothing is optimized: its warnings do not depend on that. Usage: clang.sh SOURCE-FOLDER BUILD-FOLDER JOBS
set -euo pipefail
source=$1 build=$2 jobs=$3
if ! command -v clang >/dev/null; then
    echo "skipped: clang is not installed (scripts/setup --tests)"
    exit 77
fi
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DMUSTER_WERROR=ON -DMUSTER_CUDA=OFF \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG= -DCMAKE_CXX_FLAGS_DEBUG=
cmake --build "$build" --parallel "$jobs"
