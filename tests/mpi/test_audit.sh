#!/usr/bin/env bash
# Silent corruption (run.audit_every): a rank whose gradients have flipped bits at an audited step is named and ended before the
# step counts, and the run ends with the bits of the undisturbed one. Where nobody can tell who it is, the run stops.
. "$(dirname "$0")/common.sh"

audit=(run.audit_every=3)
run 1 tiny.cfg run.name=whole
ended_with 0 "the undisturbed run"

# Without a fault nobody is accused, with deaths neither; whoever is alone has nobody to compare with.
for n in 1 2 3 5; do
    run "$n" tiny.cfg run.name="quiet-$n" run.audit_every=1
    ended_with 0 "$n ranks, audited"
    if grep -aq 'audit of step\|died' "$log"; then fail "$n ranks: an alarm without a reason"; fi
    same_as "quiet-$n" whole "$n ranks, audited"
done
MUSTER_HOSTS=2 run 4 tiny.cfg run.name=quiet-hosts run.audit_every=1
same_as quiet-hosts whole "two hosts, audited"
survives dying 5 "rank:1,at:adding,step:2,do:kill;rank:0,at:reduce,step:5,do:kill;rank:3,at:backward,step:8,do:kill" 3 run.audit_every=1

# named RUN RANKS RANK FAULTS: exactly that one.
named() {
    survives "$1" "$2" "$4" 1 "${audit[@]}"
    said_once "warning: audit of step [0-9]+: rank $3 computes other bits of shard [0-9]+ than the others: it is ended" "$4"
    said "rank $3 died" "$4"
}
# Of three ranks each is one of the two that compute the shard, or the third: not every fault of one is seen at every step.
# At step 3 it is shard 0's turn or another's; a rank that is wrong from then on is found at the latest when it takes part.
for rank in 0 1 2; do
    named "wrong-$rank" 3 "$rank" "rank:$rank,at:corrupt,do:fail"
done
# A worker and the master of more ranks, the second of which computes a shard of a host.
MUSTER_HOSTS=2 named hosts 5 "${wrong_of_five:-4}" "rank:${wrong_of_five:-4},at:corrupt,do:fail"

# Two ranks: the one that changes its mind.
named pair-0 2 0 "rank:0,at:corrupt,do:fail"
named pair-1 2 1 "rank:1,at:corrupt,do:fail"

# Everybody: nobody can tell.
for n in 2 3; do
    export MUSTER_FAULT="at:corrupt,do:fail,step:8"
    run "$n" tiny.cfg run.name="disputed-$n" "${audit[@]}"
    unset MUSTER_FAULT
    said_once 'error: audit of step 9: ranks of one host compute other bits from the same numbers' "$n ranks that are all wrong"
    [ "$(field "disputed-$n" outcome)" = failed ] || fail "$n ranks that are all wrong: outcome $(field "disputed-$n" outcome)"
    [ "$(field "disputed-$n" step)" = 8 ] || fail "$n ranks that are all wrong: step $(field "disputed-$n" step)"
    nothing_left "$n ranks that are all wrong"
    run "$n" tiny.cfg run.name="disputed-$n" "${audit[@]}"
    ended_with 0 "on a machine in order"
    said 'going on from the checkpoint of step 8' "on a machine in order"
    same_as "disputed-$n" whole "on a machine in order"
done
