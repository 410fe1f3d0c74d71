#!/usr/bin/env bash
# Looks at the muster-cuda.so that the build has made with nvcc and the real headers, for every architecture that it names:
# warnings were errors there if they are in that build. Usage: cuda.sh BUILD-FOLDER
set -euo pipefail
build=$1
if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    echo "skipped: nvcc is neither on PATH nor in /usr/local/cuda/bin"
    exit 77
fi
exported=$(nm -D --defined-only "$build/muster-cuda.so" | awk '{print $3}')
[ "$exported" = mu_cuda_module ] || {
    echo "muster-cuda.so exports more than one symbol: $exported"
    exit 1
}
