#!/usr/bin/env bash
# What masters leave behind that die between two of their duties is done by the next one, in the job or at the next start: each
# step that is due has its record, once, and so has each checkpoint; those that are too old go.
. "$(dirname "$0")/common.sh"

# checkpoints RUN STEP... WHEN: these are kept.
checkpoints() {
    local name=$1 when=${!#} kept
    shift
    kept=$(find "runs/$name/checkpoints" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | sed 's/step-0*//' | xargs)
    [ "$kept" = "${*:1:$#-1}" ] || fail "$when: the checkpoints of $kept are kept, not of ${*:1:$#-1}"
}
# recorded RUN: steps whose checkpoints the journal has, in its order.
recorded() { cat "runs/$1"/journal/*.mj | grep -aoE '"step":[0-9]+,"state_hash"' | grep -oE '[0-9]+' | xargs; }

long=(run.steps=24 run.log_every=5 run.hash_every=0 checkpoint.every=6 checkpoint.keep=2 eval.every=8)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"
[ "$(sed 's/.*"step": \([0-9]*\),.*/\1/' runs/whole/metrics.jsonl | xargs)" = "5 6 8 10 12 15 16 18 20 24" ] || fail "other records"
checkpoints whole 18 24 "the undisturbed run"
[ "$(recorded whole)" = "6 12 18 24" ] || fail "the undisturbed run: the journal has $(recorded whole)"

# The master dies before it has recorded a step that is due, after that, as others take the next step, and when a checkpoint is
# there that nobody knows of yet; the last of them is the newest for ever.
for hosts in 1 2; do
    export MUSTER_HOSTS=$hosts
    survives "masters-$hosts" 7 "rank:0,at:flip,step:4,do:kill;rank:1,at:published,step:6,do:kill;rank:2,at:forward,step:10,do:kill;\
rank:3,at:backward,step:15,do:kill;rank:4,at:evaluate,step:16,do:kill;rank:5,at:published,step:24,do:kill" 6 "${long[@]}"
    checkpoints "masters-$hosts" 18 24 "masters"
    [ "$(recorded "masters-$hosts")" = "6 12 18 24" ] || fail "masters: the journal has $(recorded "masters-$hosts")"
done
unset MUSTER_HOSTS

# All ranks die then: the next start does it, from memory or from that checkpoint, also when there is nothing else to do.
for step in 18 24; do
    for from in memory disk; do
        MUSTER_FAULT=at:published,step:$step,do:kill run 1 tiny.cfg run.name="$from-$step" "${long[@]}"
        checkpoints "$from-$step" $((step - 12)) $((step - 6)) "$step" "killed"
        [ "$from" = memory ] || reboot
        MUSTER_FAULT=at:flip,step:$((step + 1)),do:kill run 2 tiny.cfg run.name="$from-$step" "${long[@]}"
        checkpoints "$from-$step" $((step - 6)) "$step" "the next start, from $from"
        run 3 tiny.cfg run.name="$from-$step" "${long[@]}"
        ended_with 0 "the start after it, from $from"
        same_as "$from-$step" whole "killed at $step, from $from"
        [ "$(recorded "$from-$step")" = "6 12 18 24" ] || fail "from $from: the journal has $(recorded "$from-$step")"
    done
done

# A state is in memory that the records do not reach any more, since others have gone on from a checkpoint meanwhile, somewhere else:
# the steps between would never have one.
MUSTER_FAULT=at:backward,step:17,do:kill run 1 tiny.cfg run.name=away "${long[@]}"
mkdir elsewhere
mv /dev/shm/muster-* elsewhere
MUSTER_FAULT=at:backward,step:15,do:kill run 1 tiny.cfg run.name=away "${long[@]}"
reboot
cp elsewhere/* /dev/shm
run 2 tiny.cfg run.name=away "${long[@]}"
ended_with 0 "records that were dropped"
said 'going on from the checkpoint of step 12' "records that were dropped"
same_as away whole "records that were dropped"
