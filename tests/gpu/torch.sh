#!/usr/bin/env bash
# PyTorch on the same GPU: tests/bench/bench_gpu_torch.py.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
if [ "$GPU_EMULATED" ]; then left_out "the module is the emulated one"; fi
export LD_LIBRARY_PATH=$GPU_LIBRARY_PATH
python3 -c 'import torch' 2>/dev/null || left_out "python3 here has no PyTorch"
python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' || left_out "PyTorch sees no GPU"
PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$PWD/cache python3 "$GPU_SOURCE/tests/bench/bench_gpu_torch.py" --seconds 90 2>&1 | tee log
grep -q '^done: ' log || wrong "bench_gpu_torch.py did not end: $(tail -n 1 log)"
found "$(sed -n 's/^done: //p' log)"
