#!/usr/bin/env bash
# Silent corruption (run.audit_every): a rank whose gradients have flipped bits at an audited step is named and ended before the
# step counts, and the run ends with the bits of the undisturbed one. Where nobody can tell who it is, the run stops.
. "$(dirname "$0")/common.sh"

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

# named RUN RANKS RANK STEP: that rank computes wrong in that step, of which one shard is audited.
named() {
    local fault="rank:$3,at:corrupt,do:fail,step:$4${more:+;$more}"
    survives "$1" "$2" "$fault" "${deaths:-1}" run.audit_every=1
    said_once 'audit of step' "$fault"
    said_once "warning: audit of step $(($4 + 1)): rank $3 computes other bits of shard [0-9]+ than the others: it is ended" "$fault"
    said "rank $3 died" "$fault"
}
# With three ranks the shards of steps 6, 2 and 9 (from 0) are in the sums of ranks 0, 1 and 2, and the next rank computes them
# too. The rank that is wrong has it in its sum, or is the one that compares.
named holder-0 3 0 6
named holder-1 3 1 2
named holder-2 3 2 9
named second-0 3 0 9
named second-1 3 1 6
named second-2 3 2 2
named of-five 5 0 6
MUSTER_HOSTS=2 named hosts 5 4 5

# Two ranks: the one that changes its mind. Also when the third dies while it decides.
named pair-0 2 0 6
named pair-1 2 1 6
more="rank:2,at:corrupt,do:kill,step:6,count:3" deaths=2 named third 3 0 6

# Every third step: not what went wrong between.
survives seldom 3 "rank:1,at:corrupt,do:fail,step:3;rank:1,at:corrupt,do:fail,step:8" 1 run.audit_every=3
said_once 'warning: audit of step 9: rank 1 computes other bits' "every third step"

# Everybody: nobody can tell.
for n in 2 3; do
    export MUSTER_FAULT="at:corrupt,do:fail,step:8"
    run "$n" tiny.cfg run.name="disputed-$n" run.audit_every=1
    unset MUSTER_FAULT
    said_once 'error: audit of step 9: ranks of one host compute other bits from the same numbers' "$n ranks that are all wrong"
    [ "$(field "disputed-$n" outcome)" = failed ] || fail "$n ranks that are all wrong: outcome $(field "disputed-$n" outcome)"
    [ "$(field "disputed-$n" step)" = 8 ] || fail "$n ranks that are all wrong: step $(field "disputed-$n" step)"
    nothing_left "$n ranks that are all wrong"
    run "$n" tiny.cfg run.name="disputed-$n" run.audit_every=1
    ended_with 0 "on a machine in order"
    said 'going on from the checkpoint of step 8' "on a machine in order"
    same_as "disputed-$n" whole "on a machine in order"
done

# What goes into a chunk's sum is what comes out of it, or its owner ends, also without audits.
for hosts in 1 2; do
    export MUSTER_HOSTS=$hosts
    survives "sum-$hosts" 4 "rank:0,at:reduce,do:fail,step:4" 1
    unset MUSTER_HOSTS
    said_once 'error: \[rank 0, epoch 1, step 5\] the sum of chunk 0 is not what went into it' "a wrong sum, $hosts hosts"
    said 'rank 0 died' "a wrong sum, $hosts hosts"
done
