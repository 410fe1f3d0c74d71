#!/usr/bin/env bash
# Training with the state in GPUs' memory, and totals by NCCL: the same bits on any number of ranks and with either collective,
# from checkpoints of each other too; and when ranks die at any point of a turn, among them in the middle of an all-reduce.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"
nothing_left "one GPU"
for collective in nccl mpi; do
    for ranks in 2 5; do
        run $ranks tiny.cfg run.name=$collective-$ranks device.collective=$collective
        same_as $collective-$ranks whole "$ranks GPUs, $collective"
    done
done
MUSTER_HOSTS=2 run 4 tiny.cfg run.name=hosts
said '4 ranks on 2 hosts' "hosts that are pretended"
same_as hosts whole "hosts that are pretended"
MUSTER_HOSTS=3 run 5 tiny.cfg run.name=hosts-mpi device.collective=mpi
same_as hosts-mpi whole "hosts that are pretended, mpi"
run 3 tiny.cfg run.name=apart device.overlap=off
same_as apart whole "nothing reduced before the gradient is whole"
for lazy in 1 2; do # 2: what is reduced comes first, wherever it may
    MUSTER_EMULATE_LAZY=$lazy run 3 tiny.cfg run.name=lazy-$lazy
    same_as lazy-$lazy whole "GPUs that run behind ($lazy)"
done
nothing_left "undisturbed runs"

# A GPT, whose products are emulated: a few steps of few sequences.
gpt=(device.kind=cuda run.steps=3 batch.sequences=4 batch.shards=4 eval.every=0 checkpoint.every=0)
run 1 gpt.cfg run.name=gpt "${gpt[@]}"
ended_with 0 "a GPT"
export MUSTER_FAULT="rank:1,at:reduce,step:1,do:kill;rank:0,at:update,step:2,do:kill"
limit=120 run 3 gpt.cfg run.name=gpt-3 "${gpt[@]}"
unset MUSTER_FAULT
said 'rank 2 is the master now; 1 rank goes on' "a GPT whose ranks die"
same_as gpt-3 gpt "a GPT whose ranks die"
run 1 gpt.cfg run.name=llama model.kind=llama "${gpt[@]}"
ended_with 0 "a llama"
limit=120 run 3 gpt.cfg run.name=llama-3 model.kind=llama "${gpt[@]}"
same_as llama-3 llama "a llama on 3 GPUs"
[ "$(hash_of llama)" != "$(hash_of gpt)" ] || fail "a llama computes what gpt2 does"
# Its layers are reduced while those before them are computed: 2 buckets, then maxima, numbers, the rest and the check. The first
# step is 4 + 6 collectives, each later one 6: a rank is killed in either bucket, most often in its backward pass.
for ranks in 2 4; do
    MUSTER_LOG=debug limit=120 run $ranks gpt.cfg run.name=gpt-early-$ranks "${gpt[@]}"
    same_as gpt-early-$ranks gpt "a GPT, reduced early ($ranks)"
    said '([2-9]) of \1 buckets were begun in the last shard' "a GPT, reduced early ($ranks)"
done
for collective in 11 18; do
    limit=120 failing 1 NCCL_TORN=$collective run 3 gpt.cfg run.name=gpt-torn-$collective "${gpt[@]}"
    said_once 'rank 1 died' "a GPT, killed in collective $collective"
    same_as gpt-torn-$collective gpt "a GPT, killed in collective $collective"
done

# A checkpoint of each loads in the other, and on another number of ranks.
mkdir -p runs/on/checkpoints
cp -r runs/nccl-5/checkpoints/step-00000004 runs/on/checkpoints/
run 2 tiny.cfg run.name=on device.collective=mpi
said 'going on from the checkpoint of step 4' "a checkpoint of nccl"
[ "$(hash_of on)" = "$(hash_of whole)" ] || fail "a checkpoint of nccl: another hash"
rm -rf runs/on/checkpoints/step-00000012
run 3 tiny.cfg run.name=on
said 'going on from the checkpoint of step 8' "a checkpoint of mpi"
[ "$(hash_of on)" = "$(hash_of whole)" ] || fail "a checkpoint of mpi: another hash"

# Workers and masters, down to one.
export MUSTER_HOSTS=2
survives points 6 "rank:0,at:forward,step:1,do:kill;rank:5,at:adding,step:3,do:kill;rank:1,at:reduce,step:5,do:kill;\
rank:4,at:reduced,step:7,do:kill;rank:2,at:update,step:9,do:kill" 5
said 'rank 3 is the master now; 1 rank goes on after [0-9.]+ s' "down to one"
unset MUSTER_HOSTS
survives two 5 "rank:1,at:reduce,step:4,do:kill;rank:4,at:reduce,step:4,do:kill;\
rank:0,at:reduced,step:7,do:kill;rank:2,at:reduced,step:7,do:kill" 4
survives between 5 "rank:0,at:evaluate,step:6,do:kill;rank:4,at:save,step:8,do:kill;rank:1,at:publish,step:12,do:kill" 3

# In a repair. Open MPI may crash another rank there, which the others then live without too.
export MUSTER_FAULT="rank:2,at:reduce,step:3,do:kill;rank:0,at:exchange,do:kill"
run 5 tiny.cfg run.name=repair
unset MUSTER_FAULT
ended_with 0 "a death in a repair"
said 'rank 0 died .*rank 2 died' "a death in a repair"
same_as repair whole "a death in a repair"
nothing_left "a death in a repair"

# Killed when ranks of even number have the total, the others not: these fetch it. The first step, which has no predictions yet,
# is 3 + 4 collectives, each later one 4: a bucket, maxima and numbers, the check of the sum.
export MUSTER_LOG=debug
for try in 1 2 3 4 5 6 7; do # on busy cores the news of the death may come before the total does
    failing 3 NCCL_TORN=$((3 + 4 * 4)) survives torn-$try 4 "" 1
    if grep -aqE 'muster\[1\]: fetched [0-9]+ chunks? of the total' "$log"; then break; fi
done
said 'muster\[1\]: fetched [0-9]+ chunks? of the total' "a torn all-reduce"
# In the first round nothing is decided yet; nor when the one who dies is the first rank, who makes the next id.
failing 0 NCCL_TORN=$((3 + 4 * 4 - 2)) survives torn-maxima 4 "" 1
if grep -aq 'of the total' "$log"; then fail "a torn first round: something was fetched"; fi
# In a bucket, while some still compute their shards: what was reduced early is forgotten.
failing 2 NCCL_TORN=$((3 + 4 * 4 - 3)) survives torn-bucket 4 "" 1
if grep -aq 'of the total' "$log"; then fail "a torn bucket: something was fetched"; fi
unset MUSTER_LOG
# A library that notices by itself.
export MUSTER_EMULATE_NCCL_REMOTE=1
survives remote 4 "rank:1,at:reduce,step:5,do:kill;rank:0,at:reduced,step:7,do:kill" 2
failing 1 NCCL_TORN=$((3 + 4 * 4 - 3)) survives remote-bucket 4 "" 1
unset MUSTER_EMULATE_NCCL_REMOTE
