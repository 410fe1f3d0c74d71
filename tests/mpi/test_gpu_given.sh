#!/usr/bin/env bash
# Which rank gets which GPU, as batch systems and wrappers show them, and what becomes of ranks that get none, of GPUs that are
# broken from the start, and of all that break at once.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"
. "$(dirname "$0")/gpu.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"

# given SHELL RANKS ARGUMENTS...: each rank executes SHELL first, with its number on its host in $r.
given() {
    local shell=$1 n=$2
    shift 2
    code=0
    # shellcheck disable=SC2016 # for the inner shell
    timeout -k 5 60 "$MPIRUN" -n "$n" bash -c 'r=$OMPI_COMM_WORLD_LOCAL_RANK; eval "$0"; exec "$@"' "$shell" \
        "$MUSTER" train tiny.cfg "$@" >"$log" 2>&1 || code=$?
}
# works NAME WHEN: it ended, with the bits of one GPU.
works() {
    ended_with 0 "$2"
    same_as "$1" whole "$2"
    nothing_left "$2"
}
# refused LINE WHEN: before training, by one line.
refused() {
    ended_with 78 "$2"
    said_once 'muster.*error:' "$2"
    said "$1" "$2"
    nothing_left "$2"
}
never() { if grep -aqE -- "$1" "$log"; then fail "$2: said: $1"; fi; }

# shellcheck disable=SC2016 # for the ranks' shells
{
    one='export CUDA_VISIBLE_DEVICES=$r'
    back='export CUDA_VISIBLE_DEVICES=$((7 - r))'
    mixed='[ $r != 1 ] || export CUDA_VISIBLE_DEVICES=0'
    second_blind='[ $r != 1 ] || export CUDA_VISIBLE_DEVICES='
    others='[ $r = 0 ] || export CUDA_VISIBLE_DEVICES=$((r - 1))'
    third_old='[ $r != 2 ] || export MUSTER_EMULATE_DRIVER=12040'
}
same='export CUDA_VISIBLE_DEVICES=3'

# One each, as srun --gpus-per-task=1 shows them; each sees it as its GPU 0.
for collective in nccl mpi; do
    given "$one" 3 run.name=one-$collective device.collective=$collective
    works one-$collective "one each, $collective"
done
MUSTER_HOSTS=2 given "$back" 4 run.name=back
works back "one each, on two hosts"
given "$mixed" 3 run.name=mixed
said_once 'ranks were shown different numbers of GPUs \(rank 1 on .* 1, rank 0 on .* 8\): each takes one that no other has' "mixed"
works mixed "mixed"

# One for all.
given "$same" 3 run.name=same
refused 'ranks 0 and 1 on .* were both shown one GPU, the same \(Muster emulated GPU, PCI 0000:04:00.0\): start one rank for each GPU' "one for all"
MUSTER_CUDA_SHARE=1 given "$same" 3 run.name=shared device.collective=mpi
works shared "one for all, shared"
MUSTER_EMULATE_MIG=4 given "$one" 3 run.name=instances
refused 'ranks 0 and 1 on .* have instances \(MIG\) of one GPU, PCI 0000:01:00.0, between which NCCL does not add' "instances"
MUSTER_EMULATE_MIG=4 given "$one" 3 run.name=instances device.collective=mpi
works instances "instances, mpi"

# One rank more than GPUs: it leaves, having touched none.
for collective in nccl mpi; do
    MUSTER_EMULATE_DEVICES=2 failing 2 FAIL=1:700 run 3 tiny.cfg run.name=extra-$collective device.collective=$collective
    said_once '3 ranks, 2 GPUs: rank 2 on .* has none of its own and leaves' "one more, $collective"
    said_once 'rank 2, which has no GPU, left .*; 2 ranks go on' "one more, $collective"
    said '2 ranks on 1 host: 2 workers \(master: rank 0\)' "one more, $collective"
    never 'rank 2 died|emulation: as asked for' "one more, $collective"
    works extra-$collective "one more, $collective"
done
MUSTER_EMULATE_DEVICES=2 given "$others" 3 run.name=first
said_once 'rank 0 on .* has none of its own and leaves; the master.s duties need no rank of their own, and rank 1, ' "the first has none"
said_once 'rank 0, which has no GPU, left .*; rank 1 is the master now; 2 ranks go on' "the first has none"
works first "the first has none"
given "$second_blind" 3 run.name=blind
said_once 'rank 1, which has no GPU, left .*; 2 ranks go on' "one that sees none"
works blind "one that sees none"
given "$third_old" 3 run.name=old
refused 'rank 2 on .*: the NVIDIA driver of this host is for CUDA 12.4, and this Muster needs 13.0: update the driver' "an old driver"

# Where MPI reports no deaths, nobody could leave.
(
    unset "${!PRTE_MCA_state@}"
    OMPI_MCA_mpi_ft_enable=0 MUSTER_EMULATE_DEVICES=2 run 3 tiny.cfg run.name=frail
    refused 'takes a GPU for each worker, and 1 of 3 ranks have none: rank 2 on .* sees 2, .* Start 2 ranks in all' "no fault tolerance"
)

# For a launcher that is no death, and no reason to start again.
export MUSTER_EMULATE_DEVICES=2 MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99
begin -n 3 train tiny.cfg run.name=launched run.steps=400 checkpoint.every=0 run.hash_every=0
unset MUSTER_EMULATE_DEVICES MUSTER_FAULT MUSTER_FAULT_GENERATIONS
finish
ended_with 0 "one more, launched"
said_once 'rank 2, which has no GPU, left' "one more, launched"
never 'starting again|making room' "one more, launched"

# GPUs that are broken at the start: before, while and after they are opened, and in the probe. Nobody inherits them.
for fault in 0,1:46 1,1:46 1,5:214 0,20:700 2,60:719; do
    rank=${fault%,*} name=broken-${fault//[,:]/-}
    failing "$rank" FAIL="${fault#*,}" run 3 tiny.cfg run.name="$name"
    said "muster\\[$rank\\]: error: GPU $rank " "$fault"
    said_once "rank $rank died .* before the ranks held a state; .*2 ranks go on" "$fault"
    [ "$(grep -acE 'error: GPU' "$log")" = 1 ] || fail "$fault: not one GPU is named, once"
    works "$name" "$fault"
done
MUSTER_EMULATE_FAIL=5:214 run 3 tiny.cfg run.name=all-broken
ended_with 1 "all are broken"
said 'GPU 2 \(Muster emulated GPU, PCI 0000:03:00.0\) cannot be used: .*ECC.*its memory is faulty. Reset it' "all are broken"
nothing_left "all are broken"

# Later on: the same, and told as what it is.
survives faulty 3 rank:1,at:adding,step:3,do:gpu-214 1
said_once 'GPU 1 \(Muster emulated GPU, PCI 0000:02:00.0\) failed in .*: its memory is faulty. Reset it' "faulty memory"

# All at once, in the probe and some steps on: one has the last word, and it is not that the configuration is wrong. Nor is a GPU
# that has failed taken for one that adds up wrong.
for when in probe probe forward adding update; do
    case $when in
    probe) MUSTER_EMULATE_FAIL=120:700 run 3 tiny.cfg run.name=at-once ;;
    *) MUSTER_FAULT=at:$when,step:2,do:gpu-700 run 3 tiny.cfg run.name=at-once device.collective=mpi ;;
    esac
    case $code in 0 | 78 | 124) fail "all at once: exit code $code" ;; esac
    never 'is not what went into it' "all at once"
    said_once 'the same command (goes on from there|begins again)' "all at once"
    never 'another process is training this run' "all at once"
    no_rank_left "all at once"
    rm -rf runs/at-once
    reboot
done

# Little is left: said, and tried.
MUSTER_EMULATE_MEMORY=$((100 << 20)) run 2 tiny.cfg run.name=tight
said_once 'warning: GPU 0 will have about [0-9]+ MiB left for NCCL' "little memory"
said_once 'memory of each GPU: about [0-9.]+ MiB \([0-9.]+ of state, .*\) of 100.0 MiB' "little memory"
works tight "little memory"

# Too little memory, found out before any is taken: once, by the sum.
mv gpt.cfg small.cfg
MUSTER_EMULATE_MEMORY=$((34 << 20)) run 3 small.cfg run.name=small device.kind=cuda model.width=64 batch.shards=2
ended_with 1 "too little memory"
said_once 'muster.*error:' "too little memory"
said 'GPU 0 has too little memory: [0-9.]+ MiB are free, and needed are about [0-9.]+ MiB \([0-9.]+ of state, [0-9.]+ of activations and gradients, [0-9.]+ of logits\) of 34.0 MiB, with batch.micro = [0-9]+. Try, in this order: device.recompute = "block", batch.micro = [0-9]+, optim.shard = "on", device.collective = "mpi"' "too little memory"
[ ! -e runs/small/checkpoints ] || [ -z "$(ls runs/small/checkpoints)" ] || fail "too little memory: something was trained"
nothing_left "too little memory"
