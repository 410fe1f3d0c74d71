#!/usr/bin/env bash
# A small soak: 20 random kills of ranks and of mpirun over one run under `muster launch`. The same with 200 and more by hand:
# tests/bench/soak-recovery.
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
exec timeout -k 5 240 "$MUSTER_SOURCE/tests/bench/soak-recovery" --kills 20 --ranks 5 --seed 7
