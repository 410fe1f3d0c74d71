#!/usr/bin/env bash
# Ranks die by SIGKILL at every named point, masters and workers, on one host and on several that are pretended: the others go
# on by themselves and end with the bits, the losses and the checkpoints of the undisturbed run.
# Cores: all (ranks die within milliseconds of each other)
. "$(dirname "$0")/common.sh"

long=(run.steps=30 checkpoint.every=3 eval.every=3)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"
nothing_left "the undisturbed run"

# in_turn STEP RANK...: a fault for each rank, at the named points in order, from that step on, two steps apart.
points=(forward backward adding added reduce reduced update flip)
in_turn() {
    local step=$1 at faults=
    shift
    for at in "${points[@]}"; do
        [ $# -gt 0 ] || break
        faults+="rank:$1,at:$at,step:$step,do:kill;"
        step=$((step + 2))
        shift
    done
    echo "$faults"
}
for hosts in 1 2 3; do
    export MUSTER_HOSTS=$hosts
    # The lowest is the master each time; then the highest, who is none.
    survives "masters-$hosts" 9 "$(in_turn 2 0 1 2 3 4 5 6 7)" 8 "${long[@]}"
    said 'rank 8 is the master now' "masters"
    ! grep -q '"step_ms": null' "runs/masters-$hosts/metrics.jsonl" || fail "masters: a step was not measured"
    # What is done between two steps: evaluation, hash, the parts of a checkpoint, publishing.
    survives "between-$hosts" 9 "rank:0,at:evaluate,step:3,do:kill;rank:8,at:evaluate,step:6,do:kill;rank:7,at:save,step:9,do:kill;\
rank:1,at:save,step:12,do:kill;rank:2,at:publish,step:15,do:kill;rank:3,at:evaluate,step:18,do:kill;rank:4,at:save,step:30,do:kill;\
rank:5,at:publish,step:30,do:kill" 8 "${long[@]}"
    [ "$(ls runs/between-$hosts/checkpoints)" = "$(ls runs/whole/checkpoints)" ] || fail "other checkpoints than the undisturbed run's"
    "$MUSTER" inspect --deep "runs/between-$hosts/checkpoints/step-00000030" >"$log" 2>&1 || fail "the last checkpoint is not whole"
    # Inside the recovery of another one, in each of its phases; two at once; and again at once.
    survives "recovery-$hosts" 9 "rank:3,at:backward,step:4,do:kill;rank:0,at:shrink,do:kill;rank:1,at:exchange,do:kill;\
rank:5,at:agree,do:kill;rank:6,at:adding,step:9,do:kill;rank:7,at:adding,step:9,do:kill;rank:2,at:update,step:15,do:kill" 7 "${long[@]}"
done

# Ten chunks, so that every rank reduces and updates some; the highest rank dies each time.
run 2 tiny.cfg run.name=whole2 run.steps=18 model.layers=8 model.width=160
ended_with 0 "the undisturbed run of ten chunks"
mv runs/whole runs/whole1
mv runs/whole2 runs/whole
export MUSTER_HOSTS=2
survives workers 8 "$(in_turn 3 7 6 5 4 3 2 1)" 7 run.steps=18 model.layers=8 model.width=160
unset MUSTER_HOSTS
