#!/usr/bin/env bash
# Kernels alone: those that memory bounds against a copy, attention, and the rate of products.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
words=()
if [ "$GPU_EMULATED" ]; then words=(--tiny); fi
for what in kernels attention peak; do
    "$GPU_BENCHES/bench-cuda" "$what" "${words[@]}" >"$what" 2>log || wrong "bench-cuda $what: $(tail -n 1 log)"
    cat "$what"
done
# The longest T of each head size: rows come in that order.
best=$(awk -F' *[|] *' '$2 ~ /^[0-9]+$/ { rate[$2] = $6 " TFLOP/s at head " $2 ", T " $3 } END { for (i in rate) printf "; attention %s", rate[i] }' attention)
found "memory-bound kernels: $(sed -n 's/^least: /least /p' kernels)$best; $(sed -n 's/^peak: //p' peak)"
