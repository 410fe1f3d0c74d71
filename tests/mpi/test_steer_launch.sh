#!/usr/bin/env bash
# muster stop, checkpoint and resize of a run that has a launcher: requests outlive mpirun, and a stop is a stop whatever else is asked for.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/steer.sh
. "$(dirname "$0")/steer.sh"

# mpirun is killed when the checkpoint is written and the answer is not: the next generation answers, from what it finds.
export MUSTER_FAULT="at:flip,do:sleep-20;rank:0,at:answer,do:sleep-3000"
begin -n 2 train tiny.cfg run.name=run "${long[@]}"
unset MUSTER_FAULT
until_said "^step "
"$MUSTER" checkpoint runs/run >said 2>&1 &
asked=$!
until_true saved run
kill -KILL "$(launched_mpirun)"
wait $asked || fail "a checkpoint, and mpirun dies: $(cat said)"
tells '^checkpoint step-[0-9]{8} is there: no step was taken since$'
said 'generation 1: .*starting again' "a checkpoint, and mpirun dies"
[ "$(checkpoints run)" = 1 ] || fail "a checkpoint, and mpirun dies: $(checkpoints run) checkpoints"
finish
ended_with 0 "a checkpoint, and mpirun dies"
same_as run whole "a checkpoint, and mpirun dies"
nothing_asked run "a checkpoint, and mpirun dies"
untouched "a checkpoint, and mpirun dies"

# Another number of ranks, the same again, a number that was forgotten; then a stop while the ranks are to make way.
slowly 2 tiny.cfg run.name=both "${long[@]}"
asks 0 resize runs/both 3
tells '^3 ranks go on, from step [0-9]+$'
[ "$(all_ranks | wc -w)" = 3 ] || fail "resize 2 -> 3: $(all_ranks | wc -w) ranks"
asks 0 resize runs/both 3
tells '^it has 3 ranks already, at step [0-9]+$'
asks 64 resize runs/both
tells "how many ranks\? 'muster resize runs/both N'; it has 3 now"
for rank in $(all_ranks); do kill -STOP "$rank"; done
"$MUSTER" stop runs/both >stopped 2>&1 &
asked=$!
"$MUSTER" resize runs/both 2 --no-wait 2>said
relaunched() { [ -e runs/both/control/relaunch ]; }
until_true relaunched
for rank in $(all_ranks); do kill -CONT "$rank"; done
wait $asked || fail "a stop and a resize: $(cat stopped)"
grep -q '^stopped after step' stopped || fail "a stop and a resize: $(cat stopped)"
launch -n 3 train tiny.cfg run.name=both "${long[@]}" # at once: nobody has the run any more
ended_with 0 "a stop and a resize"
finish
ended_with 75 "a stop and a resize"
same_as both whole "a stop and a resize"
nothing_asked both "a stop and a resize"
untouched "a stop and a resize"

# Without a launcher.
MUSTER_FAULT=at:flip,do:sleep-20 start 2 tiny.cfg run.name=bare "${long[@]}"
until_true beyond bare 5
asks 1 resize runs/bare 3
tells 'nobody would obey: no launcher has the run runs/bare. It was started without one'
asks 0 stop runs/bare
finish
ended_with 75 "without a launcher"

# On two hosts the ranks cannot make way, and save instead; who asks for a stop then still gets it. What was asked of nobody, as the ranks
# and their launcher were killed, is not obeyed by the next launch.
export MUSTER_HOSTS=2
slowly 2 tiny.cfg run.name=apart "${long[@]}"
for rank in $(all_ranks); do kill -STOP "$rank"; done
"$MUSTER" resize runs/apart 3 --no-wait 2>said
asked_to_relaunch() { [ -e runs/apart/control/relaunch ]; }
until_true asked_to_relaunch
for rank in $(all_ranks); do kill -CONT "$rank"; done
until_said 'stopped for other ranks at step [0-9]* of 150, with a checkpoint'
next_generation
asks 0 checkpoint runs/apart
for rank in $(all_ranks); do kill -STOP "$rank"; done
asks 0 stop runs/apart --no-wait
kill -KILL "$mpirun"
finish
no_rank_left "a launcher is killed"
sleep 2.5
launch -n 2 train tiny.cfg run.name=apart "${long[@]}"
unset MUSTER_HOSTS
ended_with 0 "what was asked of another launch"
said_once 'stop was asked for by .* before this launch: not done' "what was asked of another launch"
same_as apart whole "what was asked of another launch"
nothing_asked apart "what was asked of another launch"
