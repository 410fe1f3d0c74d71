#!/usr/bin/env bash
# Whole training steps: GPT-2 of 124M parameters, exact sums against fast ones at 16,384 tokens a shard; 1.5B (1600 x 48).
# Random tokens in the distribution of words; T = 1024, bf16. The figures are medians without the first steps.
#   step.sh 124M | 1.5B
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
steps=30 sequences=64 shards=4
case $1 in
124M) model='layers = 12; heads = 12; width = 768;' micro=auto reductions='exact fast exact fast' ;;
1.5B) model='layers = 48; heads = 25; width = 1600;' micro=4 reductions=exact steps=8 ;;
esac
context=1024 vocab=50257 tokens=4000000
if [ "$GPU_EMULATED" ]; then
    model='layers = 1; heads = 1; width = 8;' micro=auto steps=3 sequences=2 shards=2 context=8 vocab=300 tokens=1000
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
device = { kind = "cuda"; precision = "bf16"; };
END
if [ "$micro" != auto ]; then sed -i "s/micro = \"$micro\"/micro = $micro/" tiny.cfg; fi
i=0
for reduce in $reductions; do # in turn: what the machine does besides falls on both alike
    i=$((i + 1))
    limit=70 train_alone run.name="$reduce-$i" batch.reduce="$reduce"
    cat log
    if ! complete "$reduce-$i"; then
        if grep -qiE 'error:.*(memory|space)' log; then left_out "does not fit: $(last_error)"; fi
        wrong "$reduce: exit code $code: $(last_error)"
    fi
    column "$reduce-$i" step_ms | tail -n "+$((steps / 3 + 1))" >>"$reduce.ms"
    column "$reduce-$i" peak_share | tail -n "+$((steps / 3 + 1))" >>"$reduce.share"
    peak=$(sed -n 's|.*products reach \([0-9]*\) GFLOP/s.*|\1|p' log)
done
ms=$(median <exact.ms)
line="$(awk -v ms="$ms" -v n=$((sequences * context)) 'BEGIN { printf "%.0f tokens/s, %.1f ms a step of %d tokens", n / ms * 1000, ms, n }')"
line+=", $(awk -v s="$(median <exact.share)" -v p="$peak" 'BEGIN { printf "%.1f %% of the %.0f TFLOP/s of products", 100 * s, p / 1000 }'), collective $collective"
if [ -s fast.ms ]; then
    line+="; exact / fast step time $(awk -v a="$ms" -v b="$(median <fast.ms)" 'BEGIN { printf "%.4f", a / b }') (asked: at most 1.03)"
fi
found "$1: $line"
