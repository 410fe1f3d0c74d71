#!/usr/bin/env bash
# NCCL's first communicator is formed before training, by all or by none: one that fails on some, or never ends, is told in one line
# with what to look at, and nothing is left. And the last one's end changes nothing any more. NCCL's numbers: 1 unhandled CUDA error,
# 2 unhandled system error, 5 invalid usage, 7 in progress.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"

# refused WHEN CODE RANKS LINE SECONDS [ARGUMENTS...]
refused() {
    local when=$1 expected=$2 ranks=$3 line=$4 most=$5 began=$SECONDS
    shift 5
    run "$ranks" tiny.cfg run.name=refused "$@"
    ended_with "$expected" "$when"
    [ $((SECONDS - began)) -le "$most" ] || fail "$when: it took $((SECONDS - began)) s to end"
    said_once 'muster.*error:' "$when"
    said "$line" "$when"
    if grep -aq '^step ' "$log"; then fail "$when: it trained"; fi
    nothing_left "$when"
}
network='rank [0-2]: NCCL on GPU [0-2] .*: no communicator: unhandled system error .*Nothing was trained: .*NCCL_SOCKET_IFNAME.*NCCL_DEBUG=INFO'
MUSTER_EMULATE_NCCL_FORM=1:2 refused "all fail" 1 3 "$network" 30
for rank in 0 2; do
    failing $rank NCCL_FORM=1:2 refused "rank $rank fails" 1 3 "${network/'[0-2]'/$rank}" 30
done
failing 1 NCCL_FORM=1:5 refused "asked for what cannot be" 78 3 'rank 1: .*invalid usage.*one GPU for each rank, or device.collective = "mpi"' 30
failing 1 NCCL_FORM=1:1 refused "a CUDA error" 1 3 'rank 1: .*unhandled cuda error.*nvidia-smi' 30
for rank in 0 1; do
    failing $rank NCCL_FORM=1:7 refused "rank $rank hangs" 1 3 \
        'error: rank [0-2]: NCCL has not formed a communicator of 3 GPUs within 8 s.*NCCL_SOCKET_IFNAME' 30 run.hang_timeout=2
done
if [ "$MUSTER_TEST_ALONE" = 1 ]; then
    mount -o remount,size=100m /dev/shm
    failing 1 NCCL_FORM=1:2 refused "a small /dev/shm" 1 3 'rank 1: .*/dev/shm has [0-9]+ MiB left.*give its container a larger /dev/shm' 30
    mount -o remount,size=50% /dev/shm
fi
# The abort of what was not formed hangs: nobody waits for it for long, and the exit code is the failure's.
export MUSTER_EMULATE_NCCL_FORM=1:2
failing 1 NCCL_ABORT_HANGS=1 refused "nothing can be given up" 1 3 "$network" 40
unset MUSTER_EMULATE_NCCL_FORM

# Who dies there, or breaks, leaves the others a start without it.
export MUSTER_LOG=debug
failing 2 NCCL_FORM=1:7 start 3 tiny.cfg run.name=dies run.hang_timeout=20
unset MUSTER_LOG
until_said 'muster\[2\].*NCCL forms a communicator of 3 GPUs'
kill -KILL "$(rank_pid 2)"
finish
ended_with 0 "a rank dies while NCCL forms its communicator"
said_once 'rank 2 died .* before the ranks held a state; 2 ranks go on' "a rank dies while NCCL forms its communicator"
same_as dies whole "a rank dies while NCCL forms its communicator"
nothing_left "a rank dies while NCCL forms its communicator"

# The first step finds it formed: none is formed again, and its reduction begins in the last shard.
MUSTER_LOG=debug run 3 tiny.cfg run.name=first run.steps=1
ended_with 0 "one step"
said_once 'muster\[0\].*NCCL forms a communicator of 3 GPUs' "one step"
said 'muster\[1\].*[1-9][0-9]* of [0-9]+ buckets were begun in the last shard' "one step"
run 3 tiny.cfg run.name=works
ended_with 0 "three GPUs"
same_as works whole "three GPUs"
nothing_left "three GPUs"

# ends_well WHEN FAULT=VALUE: after everything is done. At a good end nothing that the library does changes the exit code.
ends_well() {
    failing 1 "$2" run 3 tiny.cfg run.name="end-${2%%=*}"
    ended_with 0 "$1"
    if grep -aqE 'error:|warning:' "$log"; then fail "$1: it was told"; fi
    same_as "end-${2%%=*}" whole "$1"
    nothing_left "$1"
}
ends_well "an end that hangs" NCCL_END_HANGS=1
ends_well "a slow end" NCCL_ABORT_MS=1500
ends_well "an abort that hangs, and is not needed" NCCL_ABORT_HANGS=1
