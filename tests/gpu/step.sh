#!/usr/bin/env bash
# Whole training steps: GPT-2 of 124M parameters, exact sums against fast ones at 16,384 tokens a shard; 1.5B (1600 x 48).
# Random tokens in the distribution of words; T = 1024, bf16. The figures are medians without the first steps. Fast sums are made in
# the host's memory alone (collective mpi): there both are compared.
#   step.sh 124M | 1.5B
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
steps=30 steps_mpi=12 sequences=64 shards=4
case $1 in
124M) model='layers = 12; heads = 12; width = 768;' micro=auto cases='own exact-mpi fast-mpi own exact-mpi fast-mpi' ;;
1.5B) model='layers = 48; heads = 25; width = 1600;' micro=4 cases=own steps=8 ;;
esac
context=1024 vocab=50257 tokens=4000000
if [ "$GPU_EMULATED" ]; then
    model='layers = 1; heads = 1; width = 8;' micro=auto steps=3 steps_mpi=3 sequences=2 shards=2 context=8 vocab=300 tokens=1000
fi
if [ "$GPU_EMULATED" ]; then
    make_text
    data="data-train.bin"
else
    data="tokens.bin"
    "$GPU_BENCHES/bench-cuda" tokens "$data" "$tokens"
fi
cat >tiny.cfg <<END
run = { dir = "runs"; steps = $steps; hash_every = 0; };
model = { kind = "gpt2"; $model context = $context; vocab = $vocab; };
data = { train = "$data"; };
batch = { sequences = $sequences; shards = $shards; micro = "$micro"; };
optim = { lr = 6e-4; };
eval = { every = 0; };
checkpoint = { every = 0; };
device = { kind = "cuda"; precision = "bf16"; tune = "on"; };
END
if [ "$micro" != auto ]; then sed -i "s/micro = \"$micro\"/micro = $micro/" tiny.cfg; fi
# own NAME: as much is kept of activations as fits.
recompute=none
own() {
    for recompute in none mlp block; do
        limit=70 train_alone run.name="$1" device.recompute="$recompute"
        if complete "$1" || ! out_of_memory; then return 0; fi
        rm -rf "runs/$1"
    done
}
out_of_memory() { grep -qiE 'error:.*(no memory|out of memory|memory allocation|no space)' log; }

# One line of what was measured by now.
figures() {
    local ms line
    ms=$(median <own.ms)
    line=$(awk -v ms="$ms" -v n=$((sequences * context)) 'BEGIN { printf "%.0f tokens/s, %.1f ms a step of %d tokens", n / ms * 1000, ms, n }')
    line+=$(awk -v s="$(median <own.share)" -v p="$peak" 'BEGIN { printf ", %.1f %% of the %.0f TFLOP/s of products", 100 * s, p }')
    line+=", collective ${collective/auto/nccl}, recompute $recompute"
    if [ -s fast-mpi.ms ]; then
        line+=$(awk -v a="$(median <exact-mpi.ms)" -v b="$(median <fast-mpi.ms)" 'BEGIN {
            printf "; collective mpi: %.1f ms, exact / fast step time %.4f (asked: at most 1.03)", a, a / b }')
    fi
    printf '%s\n' "$line"
}
# Who runs out of time says what he has.
trap 'if [ -s own.share ]; then figures; fi; exit 143' TERM

i=0
for name in $cases; do # in turn: what the machine does besides falls on all alike
    i=$((i + 1))
    case $name in
    own) own "$name-$i" ;;
    *-mpi) limit=70 train 1 run.name="$name-$i" run.steps="$steps_mpi" batch.reduce="${name%-mpi}" device.collective=mpi device.recompute="$recompute" ;;
    esac
    cat log
    if ! complete "$name-$i"; then
        if out_of_memory; then left_out "$1 does not fit: $(last_error)"; fi
        wrong "$name: exit code $code: $(last_error)$(if [ -s own.share ]; then printf '; ' && figures; fi)"
    fi
    peak=$(sed -n 's|.*products reach \([0-9]*\) TFLOP/s.*|\1|p' log)
    rows=$(column "$name-$i" step_ms | wc -l)
    column "$name-$i" step_ms | tail -n "+$((rows / 3 + 1))" >>"$name.ms"
    column "$name-$i" peak_share | tail -n "+$((rows / 3 + 1))" >>"$name.share"
done
found "$1: $(figures)"
