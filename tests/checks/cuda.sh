#!/usr/bin/env bash
# Builds muster-cuda.so with nvcc and the real headers, for each architecture that we name and nvcc knows, warnings as errors,
# and looks at what it exports. Usage: cuda.sh SOURCE-FOLDER BUILD-FOLDER JOBS
set -euo pipefail
source=$1 build=$2 jobs=$3
if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    echo "skipped: nvcc is neither on PATH nor in /usr/local/cuda/bin"
    exit 77
fi
cmake -S "$source" -B "$build" -G Ninja -DMUSTER_CUDA=ON -DMUSTER_WERROR=ON -DBUILD_TESTING=OFF
cmake --build "$build" --target muster-cuda --parallel "$jobs"
exported=$(nm -D --defined-only "$build/muster-cuda.so" | awk '{print $3}')
[ "$exported" = mu_cuda_module ] || {
    echo "muster-cuda.so exports more than one symbol: $exported"
    exit 1
}
