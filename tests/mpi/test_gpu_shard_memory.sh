#!/usr/bin/env bash
# Copies in the machines' memory of a state that GPUs have in parts (optim.shard = "on"): each machine has a whole one, whatever the
# numbers of ranks; all that die go on from it, in parts or whole, to the same bits; also when both holders of a part are gone.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"
. "$(dirname "$0")/gpu.sh"
. "$(dirname "$0")/copies.sh"
parts=optim.shard=on

killed all at:update,step:17,do:kill $parts
goes_on all 2 "$(memory 15)" $parts
killed to-whole at:gather,step:16,do:kill $parts
goes_on to-whole 4 "$(memory 15)"
killed to-parts at:update,step:17,do:kill
goes_on to-parts 4 "$(memory 15)" $parts
killed begun at:update,step:17,do:kill $parts
MUSTER_FAULT=rank:2,at:load,do:kill goes_on begun 3 "$(memory 15)" $parts
said 'rank 2 died .* before the ranks held a state; 2 ranks go on' "a death at the start"
killed none at:update,step:17,do:kill device.snapshot_every=0 $parts
goes_on none 2 'the checkpoint of step 10' $parts

# mpirun alone is killed; its ranks end with it.
export MUSTER_FAULT=at:flip,do:sleep-20
start 3 tiny.cfg run.name=mpirun "${long[@]}" checkpoint.every=0 device.snapshot_every=1 $parts
unset MUSTER_FAULT
until_true beyond mpirun 5
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun is killed"
comm -13 <(echo "$shm_before") <(in_shm) | grep sm_segment | xargs -r rm -f # Open MPI's own
goes_on mpirun 4 'step [0-9]+, which was still in memory' $parts

# In the making of one: as it is gathered, by a broadcast for each moment of the one part that is not empty, after as many for the
# hash; and as it is written.
killed gathered "rank:0,at:gather,step:15,count:3,do:kill;at:update,step:17,do:kill" $parts
said 'rank 0 died .*last seen at: gather' "a death as a copy is gathered"
goes_on gathered 2 "$(memory 15)" $parts
killed ungathered at:gather,step:15,count:2,do:kill $parts
goes_on ungathered 2 "$(memory 12)" $parts
killed mended "rank:0,at:snapshot,step:15,do:kill;at:update,step:17,do:kill" $parts
goes_on mended 2 "$(memory 15)" $parts
killed unmade at:snapshot,step:15,do:kill $parts
goes_on unmade 2 "$(memory 12)" $parts
survives survived 3 rank:0,at:snapshot,step:12,do:kill 1 "${long[@]}" $parts

# Machines of two ranks and of one; one of them has the newest, and then a third has none.
export MUSTER_HOSTS=2
lonely='rank:1,at:snapshot,step:15,do:sleep-300;rank:1,at:snapshot,step:15,do:kill'
killed apart "$lonely;rank:0,at:shrink,do:kill;rank:2,at:shrink,do:kill" $parts
goes_on apart 4 "$(memory 15)" $parts
said_once 'step 15 is handed over to hosts that do not have it in memory' "two machines"
killed third at:update,step:17,do:kill $parts
MUSTER_HOSTS=3 goes_on third 3 "$(memory 15)" $parts
said_once 'step 15 is handed over' "a third machine"
unset MUSTER_HOSTS

# Both holders at once: what nobody has any more is in the copy, which a launcher keeps.
export MUSTER_FAULT="rank:1,at:reduce,step:17,do:kill;rank:3,at:reduce,step:17,do:kill"
launch -n 4 -- train tiny.cfg run.name=lost "${long[@]}" $parts
unset MUSTER_FAULT
ended_with 0 "a part that is lost"
said 'moments of 1 of 1 chunks were held by two ranks, and both are gone' "a part that is lost"
said "going on from $(memory 15)" "a part that is lost"
said 'launch: complete; 2 generations' "a part that is lost"
same_as lost whole "a part that is lost"
nothing_left "a part that is lost"

# Four chunks, in bf16: all parts have some, and the ranks of a machine put together what none of them has alone.
gpt=(device.kind=cuda device.precision=bf16 model.layers=1 model.width=256 model.context=4 batch.sequences=2 batch.shards=2
    run.steps=4 eval.every=0 checkpoint.every=0 device.snapshot_every=1)
limit=120 run 2 gpt.cfg run.name=gpt "${gpt[@]}"
ended_with 0 "a GPT"
export MUSTER_HOSTS=2 MUSTER_FAULT=at:update,step:3,do:kill
limit=120 run 3 gpt.cfg run.name=gpt-parts "${gpt[@]}" $parts
unset MUSTER_FAULT
no_rank_left "a GPT is killed"
limit=120 run 4 gpt.cfg run.name=gpt-parts "${gpt[@]}" $parts
unset MUSTER_HOSTS
said "going on from $(memory 3)" "a GPT goes on"
same_as gpt-parts gpt "a GPT goes on"
nothing_left "the end"
