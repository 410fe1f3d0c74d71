#!/usr/bin/env bash
# muster checkpoint and stop when there is no room on the disk, nobody moves, or the run ends meanwhile.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/steer.sh
. "$(dirname "$0")/steer.sh"

# No room for the answer: the deadline; a stop is told of by how the run ended. No room for the checkpoint: said, and training goes on.
asked_of mute 2 "at:answer,do:fail"
asks 1 checkpoint runs/mute --timeout 1
tells 'no answer within 1 s. The request stays \(runs/mute/control/checkpoint-[0-9a-f]{16}.request\)'
said_once 'the answer to checkpoint-[0-9a-f]+.request could not be written to the journal: it is tried again' "no room for the answer"
[ "$(checkpoints mute)" = 1 ] || fail "no room for the answer: $(checkpoints mute) checkpoints"
asks 0 stop runs/mute
tells '^stopped after step [0-9]+; checkpoint'
finish
ended_with 75 "no room for the answer"
completes mute "no room for the answer"

asked_of full 2 "at:save-disk,rank:1,do:fail"
asks 1 checkpoint runs/full
tells 'the checkpoint of step [0-9]+ could not be saved .*: training goes on, older checkpoints are kept'
had=$(lines full)
until_true beyond full $((had + 3))
nothing_asked full "a full disk"
asks 1 stop runs/full
tells 'nobody trains runs/full any more, and the request was not answered \(it is taken back\): it has failed'
finish
nothing_asked full "a full disk"

# Nobody moves: the deadline, and it is obeyed when they go on. It is asked of the only rank, which nobody ends for that.
asked_of still 1
rank=$(rank_pid 0)
kill -STOP "$rank"
asks 1 checkpoint runs/still --timeout 1
tells 'no answer within 1 s'
"$MUSTER" status runs/still | grep -Eq '^  asked for    checkpoint, [0-9]+ s ago, by .*: not answered yet$' || fail "a request that waits is not shown"
kill -CONT "$rank"
obeyed() { saved still && is_free still; }
until_true obeyed

# What is asked for when the ranks are killed is not obeyed by a later start, unless a launcher is between them.
kill -STOP "$rank"
asks 0 stop runs/still --no-wait
tells '^asked for: control/stop-[0-9a-f]{16}.request$'
kill -KILL "$rank"
finish
sleep 2
completes still "a request of another start"
said_once 'stop was asked for by .* before this start of the run: not done' "a request of another start"
nothing_asked still "a request of another start"

# Asked for in the last step.
export MUSTER_FAULT=at:flip,step:11,do:sleep-1500
start 2 tiny.cfg run.name=late run.steps=12
unset MUSTER_FAULT
until_true beyond late 10
asks 0 stop runs/late
tells '^it was complete before the request was seen: step 12, with its last checkpoint$'
finish
ended_with 0 "asked for in the last step"
nothing_asked late "asked for in the last step"
