#!/usr/bin/env bash
# optim.shard = "on", the state of GPUs in parts: the bits of the whole state on any number of ranks, from checkpoints of each other
# too; when ranks die in a sum, in an update, as weights are gathered and as parts are dealt anew; and when both holders of a part
# are gone, a clear line, and a launcher that goes on from the checkpoint.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/launch.sh"
. "$(dirname "$0")/gpu.sh"

# The synthetic state is one chunk: all parts but one are empty.
run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"
for ranks in 1 2 5; do
    run $ranks tiny.cfg run.name=parts-$ranks optim.shard=on
    same_as parts-$ranks whole "parts on $ranks GPUs"
done
nothing_left "undisturbed runs"
mkdir -p runs/on/checkpoints
cp -r runs/parts-5/checkpoints/step-00000004 runs/on/checkpoints/
run 2 tiny.cfg run.name=on
said 'going on from the checkpoint of step 4' "a checkpoint of parts"
[ "$(hash_of on)" = "$(hash_of whole)" ] || fail "a checkpoint of parts: another hash"
rm -rf runs/on/checkpoints/step-00000012
run 3 tiny.cfg run.name=on optim.shard=on
said 'going on from the checkpoint of step 8' "a checkpoint of the whole"
[ "$(hash_of on)" = "$(hash_of whole)" ] || fail "a checkpoint of the whole: another hash"

# One after the other, in every reduction of a turn (five, then the gathering), and down to two.
survives sums 6 "rank:0,at:reduce,step:1,count:1,do:kill;rank:5,at:reduce,step:4,count:2,do:kill;\
rank:1,at:reduce,step:7,count:3,do:kill;rank:4,at:reduce,step:10,count:4,do:kill" 4 optim.shard=on
survives points 5 "rank:0,at:adding,step:2,do:kill;rank:4,at:update,step:4,do:kill;rank:1,at:gather,step:6,do:kill;\
rank:3,at:reduced,step:9,do:kill" 4 optim.shard=on
survives between 5 "rank:0,at:evaluate,step:6,do:kill;rank:4,at:save,step:8,do:kill;rank:1,at:publish,step:12,do:kill" 3 optim.shard=on

# Killed when ranks of even number have the last part of the weights, the others not: these fetch all. A step is 13 operations of
# that rank: 6 up to the norm, 4 of the gathering, 3 for the hash; the first one 2 more, as it has no predictions yet.
export MUSTER_LOG=debug
failing 3 NCCL_TORN=$((2 + 13 * 2 + 10)) survives torn 4 "" 1 optim.shard=on
said 'muster\[1\]: fetched [0-9]+ chunks? of the total' "a torn gathering"
failing 3 NCCL_TORN=$((2 + 13 * 2 + 7)) survives torn-first 4 "" 1 optim.shard=on
if grep -aq 'of the total' "$log"; then fail "a gathering that nobody has whole: something was fetched"; fi
unset MUSTER_LOG

# Both holders at once.
export MUSTER_FAULT="rank:1,at:reduce,step:6,do:kill;rank:3,at:reduce,step:6,do:kill"
run 4 tiny.cfg run.name=lost optim.shard=on
ended_with 1 "a part that is lost"
said_once 'muster.*error:' "a part that is lost"
said "moments of 1 of 1 chunks were held by two ranks, and both are gone" "a part that is lost"
nothing_left "a part that is lost"
launch -n 4 -- train tiny.cfg run.name=launched optim.shard=on device.snapshot_every=0
unset MUSTER_FAULT
ended_with 0 "a part that is lost, launched"
said 'going on from the checkpoint of step 4' "a part that is lost, launched"
said 'launch: complete; 2 generations' "a part that is lost, launched"
[ "$(hash_of launched)" = "$(hash_of whole)" ] || fail "a part that is lost, launched: another hash"

# Parts grow when ranks die, and somebody has no room for them.
export MUSTER_FAULT="rank:1,at:reduce,step:6,do:kill;rank:2,at:deal,do:fail"
run 4 tiny.cfg run.name=room optim.shard=on
ended_with 1 "no room"
said_once 'muster.*error:' "no room"
said '1 of 3 ranks have no room for their parts of the state' "no room"
nothing_left "no room"
launch -n 4 -- train tiny.cfg run.name=launched-room optim.shard=on
unset MUSTER_FAULT
ended_with 0 "no room, launched"
said 'launch: complete; 2 generations' "no room, launched"
[ "$(hash_of launched-room)" = "$(hash_of whole)" ] || fail "no room, launched: another hash"

# Four chunks, in bf16: all parts but one have some. Rank 1 dies, and rank 2 as its parts are dealt to the others; then rank 3 as
# the weights are gathered.
gpt=(device.kind=cuda device.precision=bf16 model.layers=1 model.width=256 model.context=4 batch.sequences=2 batch.shards=2
    run.steps=4 eval.every=0 checkpoint.every=0)
limit=120 run 2 gpt.cfg run.name=gpt "${gpt[@]}"
ended_with 0 "a GPT"
export MUSTER_FAULT="rank:1,at:reduce,step:1,do:kill;rank:2,at:deal,count:1,do:kill;rank:3,at:gather,step:3,do:kill"
limit=120 run 5 gpt.cfg run.name=gpt-5 "${gpt[@]}" optim.shard=on
unset MUSTER_FAULT
said 'rank 2 died .*last seen at: deal' "a GPT whose ranks die"
said 'rank 3 died .*last seen at: gather' "a GPT whose ranks die"
same_as gpt-5 gpt "a GPT whose ranks die"
nothing_left "the end"
