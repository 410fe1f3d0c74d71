#!/usr/bin/env bash
# Trials in one session, without a sweep's master: each has the bits of `muster train` alone, whoever it is given to, moved in the
# middle, begun from another one's state, or died in. A death in one group costs the other groups nothing.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/trials.sh"

sed 's/steps = 12/steps = 20/; s/"cosine"/"wsd"/' tiny.cfg >long.cfg
sed 's/steps = 12/steps = 25/; s/"cosine"/"wsd"/' tiny.cfg >trunk.cfg # its last fifth is the cooldown, as it is of long's
for name in tiny long trunk; do
    run 1 "$name.cfg" run.name="$name"
    ended_with 0 "$name alone"
done

orders 3 0:tiny 1,2:long
ended_with 0 "two trials side by side"
ended 2 tiny complete 12 tiny
ended 3 long complete 20 long
[ "$(steps long)" = 20 ] || fail "a trial has not recorded each step once"
nothing_left "two trials"

orders 3 0:long:way@3 0,1,2:long:way@9 0,1,2:long
ended_with 0 "a trial that is moved"
said '^2 long made way [0-9]+ ' "the first move"
said '^3 long made way [0-9]+ ' "the second move"
ended 4 long complete 20 long
[ "$(steps long)" = 20 ] || fail "a trial that was moved has lost a step, or taken one twice"
nothing_left "a trial that was moved"

orders 3 0,1:trunk:leave@16=long 0,1,2:long
ended_with 0 "a branch"
ended 2 trunk complete 25 trunk
ended 3 long complete 20 long
[ "$(steps long)" = 4 ] || fail "a branch took $(steps long) steps of its own, not 4"

# In one group, the other one's member, leader, or all of it; and the lowest rank of all.
for fault in rank:3,at:backward,step:5 rank:2,at:update,step:5 rank:2,at:flip,step:3 rank:3,at:save,step:8; do
    MUSTER_FAULT=$fault,do:kill orders 4 0,1:tiny 2,3:long
    ended_with 0 "$fault"
    ended 2 tiny complete 12 tiny
    ended 3 long complete 20 long
    [ "$(steps tiny)" = 12 ] && [ "$(steps long)" = 20 ] || fail "$fault: a step was lost, or taken twice"
    nothing_left "$fault"
done
MUSTER_FAULT=rank:0,at:adding,step:5,do:kill orders 4 0,1:tiny 2,3:long 1,2,3:tiny
ended_with 0 "the lowest rank of all"
ended 3 long complete 20 long
ended 4 tiny complete 12 tiny

# Results, and no deaths: the ranks go on to the next trial.
sed 's/^run = {/run = { on_nonfinite = "stop";/; s/^batch/optim = { lr = 1e3; clip = 0.0; eps = 1e-30; };\nbatch/' tiny.cfg >wild.cfg
orders 2 0,1:wild 0,1:tiny
ended_with 0 "a trial that diverges"
ended 2 wild diverged
ended 3 tiny complete 12 tiny

# Its folder holds a run of another meaning: refused, and that run is as it was.
sed 's/width = 16/width = 32/' tiny.cfg >other.cfg
mv sweep/trials/tiny sweep/trials/other
keep_sweep=1 orders 2 0,1:other 1:long
ended_with 0 "a trial whose folder holds another run"
ended 2 other refused
ended 3 long complete 20 long
said 'model.width' "a trial whose folder holds another run"
[ "$(steps other)" = 12 ] || fail "a refused trial has changed what was there"

# All of a group dies: who takes the trial up next finds its state in memory.
MUSTER_FAULT=rank:2,at:backward,step:5,do:kill orders 3 0,1:long 2:tiny 0,1:tiny
ended_with 0 "a group of which nobody is left"
ended 4 tiny complete 12 tiny
[ "$(steps tiny)" = 12 ] || fail "a group of which nobody is left: a step was lost, or taken twice"
! grep -q 'dropped the metrics' "$log" || fail "what was in memory was not taken up"
nothing_left "a group of which nobody is left"
