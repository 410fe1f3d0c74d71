#!/usr/bin/env bash
# Thirty random kills of workers, masters, all ranks and mpirun over one sweep. The same with more by hand: tests/bench/soak-sweep.
# Cores: 1
set -euo pipefail
command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
exec timeout -k 5 280 "$MUSTER_SOURCE/tests/bench/soak-sweep" --kills 30 --ranks 5 --seed 7
