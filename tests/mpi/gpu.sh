# shellcheck shell=bash
# What the tests of runs on GPUs share; sourced after common.sh. The module is the emulated one (kernels/emulate/): each rank has
# a GPU of its own, and NCCL's stand-in works among real processes. tiny.cfg becomes a synthetic workload on them, of some
# milliseconds a step; the GPT, whose emulated matrix products take a hundred times as long, is gpt.cfg.

export MUSTER_CUDA_MODULE=$MUSTER_BUILD/muster-cuda-emulated.so
if [ ! -e "$MUSTER_CUDA_MODULE" ]; then
    echo "skipped: there is no emulated CUDA module: no C++ compiler (scripts/setup --tests)"
    exit 77
fi
cp tiny.cfg gpt.cfg
cat >tiny.cfg <<'CONFIG'
run = { dir = "runs"; steps = 12; hash_every = 1; };
model = { kind = "synthetic"; };
synthetic = { params = 300000; noise = 0.01; step_ms = 0.1; };
device = { kind = "cuda"; };
batch = { sequences = 16; shards = 8; };
optim = { schedule = { kind = "cosine"; }; };
eval = { every = 6; };
checkpoint = { every = 4; keep = 9; };
CONFIG

# failing RANK FAULT=VALUE COMMAND...: the emulation of that rank alone fails so (kernels/emulate/control.h).
failing() {
    local rank=$1 fault=$2
    shift 2
    export MUSTER_EMULATE_RANK=$rank "MUSTER_EMULATE_${fault?}"
    "$@"
    unset MUSTER_EMULATE_RANK "MUSTER_EMULATE_${fault%%=*}"
}
