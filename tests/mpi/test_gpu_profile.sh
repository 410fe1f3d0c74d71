#!/usr/bin/env bash
# muster profile with the state in GPUs: the bits of the run, whole and in parts, and with a rank more than GPUs.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"
profile_hash() { sed -n 's/^state hash of step 12: //p' "$log"; }

run 1 tiny.cfg run.name=whole
ended_with 0 "the run"
reboot
verb=profile
profiled() { # profiled WHEN RANKS WORD...
    local what=$1 n=$2
    shift 2
    run "$n" tiny.cfg --steps 4 --warm-up 3 "$@"
    ended_with 0 "$what"
    [ "$(profile_hash)" = "$(hash_of whole)" ] || fail "$what: other bits"
    said 'since each operation of the device is waited for$' "$what"
    said '^update of all tensors ' "$what"
    said '^communication between ranks ' "$what"
    nothing_left "$what"
}
profiled "two GPUs" 2
profiled "in parts" 2 optim.shard=on
MUSTER_EMULATE_DEVICES=2 profiled "a rank more" 3
said_once 'rank 2 on .* has none of its own and leaves' "a rank more"
# Little memory: a smaller yardstick, and nobody complains.
MUSTER_EMULATE_MEMORY=150000000 run 2 tiny.cfg --steps 1 device.collective=mpi
ended_with 0 "little memory"
said 'memory [0-9.]+ GB/s$' "little memory"
if grep -q 'error' "$log"; then fail "little memory: a complaint"; fi
