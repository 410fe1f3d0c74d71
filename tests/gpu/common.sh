# shellcheck shell=bash
# What the parts of scripts/gpu-check share; sourced first by each of them. A part is a script that stands in a folder of its own,
# has a deadline, and ends with one line that says what it found: exit code 0 with the finding, 77 with why it was left out,
# anything else with what went wrong. The driver sets:
#   GPU_PROGRAMS, GPU_BENCHES  folders with gpu-operations and bench-cuda    GPU_SOURCE  the checkout
#   GPU_EMULATED   yes where the module is the emulated one: tiny sizes     GPU_QUICK   yes with --quick
#   GPU_RANKS      how many ranks can be started: 1 where there is no mpirun
set -euo pipefail
export LC_ALL=C
unset "${!MUSTER_RUN@}" MUSTER_FAULT MUSTER_HOSTS MUSTER_PROGRESS

found() { printf '%s\n' "$*"; exit 0; }
left_out() { printf '%s\n' "$*"; exit 77; }
wrong() {
    if [ -s log ]; then tail -n 30 log >&2; fi
    printf '%s\n' "$*"
    exit 1
}

# Text by a formula: words over a small alphabet, and now and then a rare byte.
make_text() {
    awk 'BEGIN {
        s = 7
        for (i = 1; i <= 400000; i++) {
            s = (s * 1103 + 12345) % 65536
            c = i % 12 == 0 ? 32 : i % 97 == 0 ? 10 : i % 331 == 0 ? 33 + s % 90 : 97 + (s % 7) * (s % 3)
            printf "%c", c
        }
    }' >text
    muster tokenize text --out data >log 2>&1 || wrong "muster tokenize failed"
}

# make_config STEPS: like configs/quickstart.cfg, on that text; emulated, as small as it gets.
make_config() {
    local model='layers = 4; heads = 4; width = 128; context = 128;' batch='sequences = 32; shards = 8;' warmup=5 lr=2e-3
    if [ "$GPU_EMULATED" ]; then
        model='layers = 1; heads = 1; width = 8; context = 8;' batch='sequences = 4; shards = 4;' warmup=0 lr=5e-2
        if [ "$GPU_QUICK" ]; then batch='sequences = 2; shards = 2;'; fi
    fi
    make_text
    cat >tiny.cfg <<END
run = { dir = "runs"; steps = $1; hash_every = 1; };
model = { kind = "gpt2"; $model };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { $batch };
optim = { lr = $lr; betas = [0.9, 0.95]; weight_decay = 0.1; clip = 1.0; schedule = { warmup = $warmup; }; };
eval = { every = 0; };
checkpoint = { every = 0; };
device = { kind = "cuda"; };
END
}

# train RANKS WORDS...: `muster train tiny.cfg WORDS...`; its exit code is in $code, what it says in the file log. Ranks share the
# GPU where there is one; for NCCL, which wants a GPU for each, each rank pretends to be on a host of its own. In the foreground: what
# ends the part then ends mpirun too.
# shellcheck disable=SC2034 # read by the parts
code=0
train() {
    local ranks=$1
    shift
    code=0
    if [ "$ranks" = 1 ]; then
        timeout --foreground -k 5 "${limit:-120}" muster train tiny.cfg "$@" >log 2>&1 || code=$?
    else
        # shellcheck disable=SC2016 # for the inner shell
        MUSTER_CUDA_SHARE=1 NCCL_SOCKET_IFNAME=lo NCCL_NET=Socket NCCL_MULTI_RANK_GPU_ENABLE=1 \
            timeout --foreground -k 5 "${limit:-120}" mpirun --bind-to none -n "$ranks" sh -c \
            'NCCL_HOSTID=rank$OMPI_COMM_WORLD_RANK exec muster train tiny.cfg "$@"' muster "$@" >log 2>&1 || code=$?
    fi
}

# train_alone WORDS...: on one rank, by the device's own collective where it has one; $collective is the one that was used.
collective=auto
train_alone() {
    train 1 "$@" device.collective="$collective"
    if [ "$code" = 78 ] && [ "$collective" = auto ] && grep -q 'error: device.collective = "nccl"' log; then
        collective=mpi
        train 1 "$@" device.collective=mpi
    fi
}

# field RUN NAME: a value of its status.json; empty where there is none.
field() { sed -n 's/^  "'"$2"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "runs/$1/status.json" 2>/dev/null || true; }
complete() { [ "$(field "$1" outcome)" = complete ]; }
# column RUN NAME: of its metrics.csv, a line a step.
column() {
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at[name] }' "runs/$1/metrics.csv"
}
last_error() { sed -n 's/^muster.*error: //p' log | head -n 1; }
# median: of numbers on stdin.
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }
