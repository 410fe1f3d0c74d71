#!/usr/bin/env bash
# Trials side by side on (emulated) GPUs, which add up by NCCL: each rank keeps the GPU that it was dealt, whichever trial it is in.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"
. "$(dirname "$0")/trials.sh"

sed 's/steps = 12/steps = 20/' tiny.cfg >long.cfg
for name in tiny long; do
    run 1 "$name.cfg" run.name="$name"
    ended_with 0 "$name alone"
done

orders 4 0,1:tiny 2,3:long
ended_with 0 "two trials side by side"
ended 2 tiny complete 12 tiny
ended 3 long complete 20 long
nothing_left "two trials side by side"

orders 3 0,1:long:way@3 0,1,2:long:way@9 0,1:long
ended_with 0 "a trial that is moved"
said '^2 long made way [0-9]+ ' "the first move"
said '^3 long made way [0-9]+ ' "the second move"
ended 4 long complete 20 long
[ "$(steps long)" = 20 ] || fail "a trial that was moved has lost a step, or taken one twice"

MUSTER_FAULT=rank:3,at:backward,step:5,do:kill orders 4 0,1:tiny 2,3:long
ended_with 0 "a rank of another trial dies"
ended 2 tiny complete 12 tiny
ended 3 long complete 20 long
nothing_left "a rank of another trial dies"
