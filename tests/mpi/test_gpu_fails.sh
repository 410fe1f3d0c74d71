#!/usr/bin/env bash
# A GPU that fails at any call of a run: its rank leaves, whatever it was doing, and nobody takes what it has computed since.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"

# At points of a step, survived: before its shards, in them, and between the turn's end and the next one. In the other mode a turn's
# state is the host's, and the device has less to do.
for point in forward backward adding added reduce reduced update flip; do
    survives at-$point 3 "rank:1,at:$point,step:5,do:gpu-700" 1
    said 'muster\[1\]: error:' "GPU 1 fails at $point"
done
for point in forward backward adding; do
    survives mpi-$point 3 "rank:1,at:$point,step:5,do:gpu-700" 1 device.collective=mpi
    said 'muster\[1\]: error:' "GPU 1 fails at $point, mpi"
done

# fails RANKS CALL [ARGUMENTS...]: of one rank after another; 700 is an illegal access. Refused at the start, or survived.
rank=0 died=0
fails() {
    local ranks=$1 name=fails-$1-$2-$rank when="GPU $rank fails at call $2" told
    failing $rank FAIL="$2:700" run "$ranks" tiny.cfg run.name="$name" "${@:3}"
    told=$(grep -acE "rank $rank died" "$log" || true)
    if [ "$code" = 0 ]; then
        same_as "$name" whole "$when"
        [ "$told" -le 1 ] || fail "$when: its death was told more than once"
        died=$((died + told))
    else
        ended_with 1 "$when"
        if grep -aq '^step ' "$log"; then fail "$when: all failed"; fi
    fi
    [ "$told" = 0 ] || said "muster\\[$rank\\]: error:" "$when"
    nothing_left "$when"
    rank=$(((rank + 1) % ranks))
}
for call in 260 303 357 404 449 487 520 576; do
    fails 3 $call
done
for call in 60 90 131 180 223 280; do
    fails 3 $call device.collective=mpi
done
export MUSTER_HOSTS=2
for call in 60 99 140 187; do
    fails 4 $call device.collective=mpi
done
unset MUSTER_HOSTS
[ $died -ge 8 ] || fail "only $died GPUs failed while they trained: other numbers of calls are needed"

# All of them at once: the last one says how to go on.
export MUSTER_FAULT=at:backward,step:6,do:gpu-700
run 3 tiny.cfg run.name=all
[ "$code" != 0 ] && [ "$code" != 124 ] || fail "all GPUs fail: exit code $code"
said 'The newest checkpoint is of step 4: the same command goes on from there' "all GPUs fail"
no_rank_left "all GPUs fail"
run 3 tiny.cfg run.name=copied device.snapshot_every=1
unset MUSTER_FAULT
[ "$code" != 0 ] && [ "$code" != 124 ] || fail "all GPUs fail: exit code $code"
# Words of those that died by themselves may be left, of some kB; the copy is not.
left=$(comm -13 <(echo "$shm_before") <(in_shm) | { grep -e '-h' || true; } | xargs -r -I{} find {} -size +64k)
[ -z "$left" ] || fail "all GPUs fail: a copy of their state is left: $left"
run 3 tiny.cfg run.name=all
same_as all whole "after all GPUs have failed"
