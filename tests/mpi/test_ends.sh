#!/usr/bin/env bash
# All ranks come to the same end, by a failure or because they were asked to, and one dies or is late in it: the others leave soon
# nonetheless, with the checkpoint of that end, and say how it ended.
. "$(dirname "$0")/common.sh"

# The gradient of the step after the second is not finite.
wild=(run.steps=12 checkpoint.every=0 optim.lr=1e3 optim.clip=0 optim.weight_decay=1e3)
run 2 tiny.cfg run.name=wild "${wild[@]}"
ended_with 1 "a gradient that is not finite"
last=$(field wild step)
wild_hash=$(hash_of wild)
[ "$last" -gt 0 ] || fail "it failed at once"
nothing_left "a gradient that is not finite"

# records RUN: how often the journal has the checkpoint of the last step.
records() { cat "runs/$1"/journal/*.mj | grep -ac "\"step\":$last,\"state_hash\"" || true; }
# ended WHEN: not by the limit, and, unless the master was killed when there was nothing left to do but leave, not well.
ended() {
    [ "$code" != 124 ] || fail "$1: a rank hangs"
    [[ $1 == *rank:0,at:leave*kill* ]] || [ "$code" != 0 ] || fail "$1: exit code 0"
}
# fails RUN RANKS FAULTS: nobody hangs, whoever dies; the failure is that of the undisturbed run.
fails() {
    local began=$SECONDS
    MUSTER_FAULT=$3 limit=40 run "$2" tiny.cfg run.name="$1" "${wild[@]}"
    ended "$3"
    [ $((SECONDS - began)) -le 15 ] || fail "$3: it took $((SECONDS - began)) s to end"
    said "the gradient of step $((last + 1)) is not finite: stopping with the state of step $last" "$3"
    failed_alike "$1" "$3"
}
# failed_alike RUN WHEN
failed_alike() {
    [ "$(field "$1" outcome)" = failed ] && [ "$(field "$1" step)" = "$last" ] ||
        fail "$2: outcome $(field "$1" outcome) at step $(field "$1" step)"
    [ "$(hash_of "$1")" = "$wild_hash" ] || fail "$2: state hash $(hash_of "$1")"
    [ "$(ls "runs/$1/checkpoints")" = "$(ls runs/wild/checkpoints)" ] || fail "$2: other checkpoints"
    "$MUSTER" inspect --deep "runs/$1/checkpoints/$(ls runs/wild/checkpoints)" >"$log" 2>&1 || fail "$2: a damaged checkpoint"
    [ "$(records "$1")" = 1 ] || fail "$2: the journal has $(records "$1") records of it"
    no_rank_left "$2"
}
for hosts in 1 2; do
    export MUSTER_HOSTS=$hosts
    for at in save publish published leave; do fails "$at-$hosts" 3 "rank:0,at:$at,step:$last,do:kill"; done
    fails "worker-$hosts" 4 "rank:2,at:save,step:$last,do:kill;rank:3,at:leave,do:kill"
    fails "late-$hosts" 3 "rank:1,at:save,step:$last,do:sleep-2500;rank:2,at:leave,do:sleep-2500"
done
unset MUSTER_HOSTS

# The master dies when it has told one rank that the checkpoint is saved, and the other one not.
export DIE_RANK=0
(
    export LD_PRELOAD=$MUSTER_BUILD/tests/die-sending.so DIE_SEND=2
    DIE_AFTER=$scratch/runs/told/checkpoints/$(ls runs/wild/checkpoints)/checkpoint.h5 fails told 3 ""
)
# The same of a start that all refuse: the verdict follows the welcome.
(
    export LD_PRELOAD=$MUSTER_BUILD/tests/die-sending.so DIE_SEND=4
    began=$SECONDS
    limit=40 run 3 tiny.cfg run.name=refused data.train=no-such-file.bin
    ended "a start that is refused"
    [ $((SECONDS - began)) -le 15 ] || fail "a start that is refused: it took $((SECONDS - began)) s to end"
    said 'rank 0 died .*before the ranks held a state' "a start that is refused"
    said 'muster.1.: error: data.train = ".*no-such-file.bin"' "a start that is refused"
    no_rank_left "a start that is refused"
)

# A stop that was asked for.
# stops RUN FAULTS
stops() {
    export MUSTER_FAULT="at:flip,do:sleep-30;$2"
    limit=40 start 3 tiny.cfg run.name="$1" run.steps=400 checkpoint.every=0 eval.every=0
    unset MUSTER_FAULT
    until_true beyond "$1" 4
    touch "runs/$1/control/stop"
    finish
    ended "a stop, $2"
    [ "$(field "$1" outcome)" = requeue ] || fail "a stop, $2: outcome $(field "$1" outcome)"
    [ "$(find "runs/$1/checkpoints" -name checkpoint.h5 | wc -l)" = 1 ] || fail "a stop, $2: no checkpoint, or two"
    no_rank_left "a stop, $2"
}
for at in save publish published leave; do stops "stop-$at" "rank:0,at:$at,do:kill"; done
stops stop-worker "rank:1,at:save,do:kill;rank:2,at:leave,do:sleep-2500"
stops stop-late "rank:1,at:leave,do:sleep-7000"
ended_with 75 "a rank that is late"
DIE_AFTER=$scratch/runs/stop-told/control/stop DIE_SEND=4 LD_PRELOAD=$MUSTER_BUILD/tests/die-sending.so stops stop-told ""
