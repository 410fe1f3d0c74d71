#!/usr/bin/env bash
# Copies of GPUs' state in the machines' memory, and what becomes of them when all ranks die: the newest whole one is gone on from,
# to the same bits; one that was being made is not; one that is damaged, or for which there was no room, leaves the checkpoint.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"
. "$(dirname "$0")/copies.sh"

killed all at:update,step:17,do:kill
goes_on all 2 "$(memory 15)"
# A rank dies while they take it up: the others begin again, and find it once more.
killed begun at:update,step:17,do:kill
MUSTER_FAULT=rank:2,at:load,do:kill goes_on begun 3 "$(memory 15)"
said 'rank 2 died .* before the ranks held a state; 2 ranks go on' "a death at the start"
killed none at:update,step:17,do:kill device.snapshot_every=0
goes_on none 2 'the checkpoint of step 10'
# A checkpoint that is newer than the copy.
killed older at:update,step:11,do:kill
goes_on older 3 'the checkpoint of step 10'

# mpirun alone is killed; its ranks end with it.
export MUSTER_FAULT=at:flip,do:sleep-20
start 3 tiny.cfg run.name=mpirun "${long[@]}" checkpoint.every=0 device.snapshot_every=1
unset MUSTER_FAULT
until_true beyond mpirun 5
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun is killed"
comm -13 <(echo "$shm_before") <(in_shm) | grep sm_segment | xargs -r rm -f # Open MPI's own
goes_on mpirun 4 'step [0-9]+, which was still in memory'

# In the making of one. A death that the others mend, then the end of all.
killed mended "rank:0,at:snapshot,step:15,do:kill;at:update,step:17,do:kill"
goes_on mended 2 "$(memory 15)"
killed unmade at:snapshot,step:15,do:kill
goes_on unmade 2 "$(memory 12)"
survives survived 3 rank:0,at:snapshot,step:12,do:kill 1 "${long[@]}"

# Two machines, of which one has the newest; then a third, which has none.
export MUSTER_HOSTS=2
lonely='rank:1,at:snapshot,step:15,do:sleep-300;rank:1,at:snapshot,step:15,do:kill'
killed apart "$lonely;rank:0,at:shrink,do:kill;rank:2,at:shrink,do:kill"
goes_on apart 4 "$(memory 15)"
said_once 'step 15 is handed over to hosts that do not have it in memory' "two machines"
killed third at:update,step:17,do:kill
MUSTER_HOSTS=3 goes_on third 3 "$(memory 15)"
said_once 'step 15 is handed over' "a third machine"
# What was handed over is as good as what was copied: nothing is copied after it.
killed again at:update,step:17,do:kill
MUSTER_HOSTS=3 killed again at:update,step:16,do:kill device.snapshot_every=20
MUSTER_HOSTS=3 goes_on again 3 "$(memory 15)"
unset MUSTER_HOSTS
