#!/usr/bin/env bash
# The loss curve of a small gpt2 and a small llama on the GPU against the CPU's, from the same weights on the same data.
#
# How far apart they may be. At step 1 the weights are the same, and a loss is the mean over thousands of tokens: roundings of
# products, of either sign, average out. Later the weights differ too: AdamW's first updates have the size lr whatever a gradient's
# size, so that a gradient near 0 may step the other way. On one CPU, fp32 and bf16 were 1.7e-5 of the loss apart at step 1, and
# 1.4e-4 at most in 30 steps; bf16 is allowed some twenty times that, fp32, whose roundings are 2^-16 of bf16's, a tenth of that.
# A gradient that is wrong shows as a curve that falls otherwise: the loss must fall by ten times the bound, else the
# comparison would mean nothing.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
steps=30
if [ "$GPU_QUICK" ]; then steps=12; fi
if [ "$GPU_EMULATED" ]; then steps=3; fi
make_config "$steps"
threads=$(($(nproc) < 8 ? $(nproc) : 8))

# compare KIND PRECISION FIRST LATER: bounds at step 1 and after it, of the CPU's loss.
said=''
compare() {
    local kind=$1 precision=$2 first=$3 later=$4 cpu=$1-$2 name=$1-$2 words
    limit=60 train_alone run.name="gpu-$name" model.kind="$kind" device.precision="$precision"
    complete "gpu-$name" || wrong "$name on the GPU: exit code $code: $(last_error)"
    limit=60 train 1 run.name="cpu-$name" model.kind="$kind" device.kind=cpu device.threads="$threads" \
        device.precision="$precision" device.collective=mpi batch.micro="$(micro_of "gpu-$name")"
    if ! complete "cpu-$name" && [ "$precision" = bf16 ]; then
        cpu=$kind-fp32 # this CPU has no bf16: its fp32 curve, then
    fi
    complete "cpu-$cpu" || wrong "$cpu on the CPU: exit code $code: $(last_error)"
    words=$(paste <(column "gpu-$name" loss) <(column "cpu-$cpu" loss) | awk -v first="$first" -v later="$later" '
        { d = ($1 - $2) / $2; d = d < 0 ? -d : d; limit = NR == 1 ? first : later
          printf "%d %.6f %.6f %.2e\n", NR, $1, $2, d >"/dev/stderr"
          if (!(d <= limit)) bad = bad " step " NR " is off by " d
          if (!(d <= most)) most = d
          if (NR == 1) from = $2; to = $2 }
        END { if (!(from - to > 10 * later * to)) bad = bad " the loss does not fall enough to tell: " from " to " to
              printf "%s off by %.1e at most (%.3f to %.3f)\n", bad == "" ? "fine" : "WRONG" bad ";", most, from, to }')
    case $words in
    fine*) said+="${said:+; }$name ${words#fine }" ;;
    *) wrong "$name: $words" ;;
    esac
}
micro_of() { sed -n 's/^ *micro = \([0-9]*\).*/\1/p' "runs/$1/config.cfg" | head -n 1; }

for kind in gpt2 llama; do
    compare "$kind" fp32 3e-5 3e-4
    compare "$kind" bf16 3e-4 3e-3
done
found "$steps steps, $said"
