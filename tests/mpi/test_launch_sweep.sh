#!/usr/bin/env bash
# muster launch ... sweep: mpirun, all ranks and the launcher die, it is stopped, resized and goes on: results.csv is that of the
# undisturbed sweep, no step is taken twice, nothing is left. What starting again does not mend ends with a diagnosis.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

sweep 3 synth.cfg sweep.name=whole
ended_with 0 "the undisturbed sweep"

# paced RANKS NAME [ARGUMENTS...]: in the background, some milliseconds a step; until a trial more has ended.
paced() {
    local ranks=$1 name=$2 had
    had=$(ended "$2")
    shift 2
    begin -n "$ranks" sweep synth.cfg sweep.name="$name" synthetic.step_ms=20 "$@"
    until_true ended_beyond "$name" "$had"
}
# trains_on SWEEP GENERATION: it trains, and a trial more has ended than before.
trains_on() {
    local had
    had=$(ended "$1")
    until_said "generation $2 trains"
    until_true ended_beyond "$1" "$had"
}
# as_whole SWEEP WHEN: it has ended well; of what was killed nothing had to be computed again.
as_whole() {
    complete "$1" whole "$2"
    [ "$(lost_in "$1")" = 0 ] || fail "$2: $(lost_in "$1") steps were taken again"
    untouched "$2"
}

# mpirun and all ranks: the next ones find the states of the trials in memory.
paced 3 killed
"$MUSTER" status runs/killed >status
grep -q '^launched muster launch has this sweep' status || fail "status does not say that it is launched: $(cat status)"
kill -KILL "$(launched_mpirun)"
trains_on killed 2
# shellcheck disable=SC2046
kill -KILL $(all_ranks)
trains_on killed 3
kill -TERM "$(launched_mpirun)"
finish
as_whole killed "mpirun and all ranks killed"
said 'generation 1: mpirun was killed \(signal 9\) after [0-9]+ steps of its trials; starting again with 3 ranks on 1 host, from its journal, the states of [1-3] trials? in memory' "killed"
said 'generation 2: rank 0 .* died after [0-9]+ steps' "killed"
said 'launch: complete; 4 generations' "killed"
# Once more: there is nothing to do.
launch -n 2 sweep synth.cfg sweep.name=killed
as_whole killed "complete already"
said 'launch: complete; 1 generation$' "complete already"

# The launcher is killed, another one takes over; one at a time.
paced 3 taken
killed=$mpirun
"$MUSTER" launch -n 2 sweep synth.cfg sweep.name=taken >second 2>&1 && fail "a second launcher was let in"
grep -q "another launcher" second || fail "a second launcher: $(cat second)"
kill -KILL "$mpirun"
wait "$mpirun" || true
no_rank_left "the launcher killed"
[ -n "$(find /dev/shm -name 'muster-*-h*')" ] || fail "the launcher killed: no state in memory"
"$MUSTER" status runs/taken --exit-code >status && fail "killed, and complete?"
grep -q '^ended    nobody works on it now' status || fail "status of a sweep whose launcher was killed: $(cat status)"

# Asked to stop: checkpoints, 75, nothing in memory; the same command goes on.
paced 2 taken
said "taking over from a launcher that was killed \(pid $killed\)" "a launcher takes over"
kill -USR1 "$mpirun"
finish
ended_with 75 "USR1"
said 'launch: stopped on request: the same command goes on; 1 generation' "USR1"
untouched "USR1"
"$MUSTER" resize runs/taken 2 >second 2>&1 && fail "a resize that nobody obeys"
grep -q 'no launcher has the sweep runs/taken.*launch -n 2 sweep' second || fail "resize: $(cat second)"

# It goes on with other ranks, and with fewer again, without checkpoints: a stop then saves also what waits in memory.
paced 2 taken
"$MUSTER" resize runs/taken 4 >second || fail "resize: $(cat second)"
grep -qx '4 ranks go on' second || fail "resize: $(cat second)"
until_said 'generation 1: stopped for a change of ranks after [0-9]* steps of its trials; starting again with 4 ranks on 1 host, from its journal, the states of [1-2] trials* in memory'
said 'making way for other ranks: [0-9]+ of 12 trials have ended; the states of those that train stay in memory' "resized"
"$MUSTER" resize runs/taken 2 >second || fail "resize: $(cat second)"
said 'generation 2: stopped for a change of ranks after [0-9]+ steps of its trials; starting again with 2 ranks on 1 host, from its journal, the states of [1-9] trials? in memory' "resized again"
! grep -q 'to save and stop' "$log" || fail "a resize on one machine saves"
[ -z "$(ls runs/taken/control)" ] || fail "resized: left in control: $(ls runs/taken/control)"
"$MUSTER" stop runs/taken >second || fail "muster stop: $(cat second)"
grep -q 'has stopped, each trial with a checkpoint' second || fail "muster stop: $(cat second)"
finish
ended_with 75 "muster stop"
said '[0-9]+ trials?, whose state is in memory alone, (is|are) saved first' "muster stop"
untouched "muster stop"
launch -n 3 sweep synth.cfg sweep.name=taken
as_whole taken "launcher killed, stopped, resized"

# All ranks stand still.
MUSTER_FAULT=at:forward,step:7,do:stop launch -n 2 --stall-deadline 2 sweep synth.cfg sweep.name=stalls
said 'generation 1: nothing moved any more after [0-9]+ steps of its trials; starting again with 2 ranks on 1 host, from its journal, the states of 2 trials in memory' "ranks that stand still"
as_whole stalls "ranks that stand still"

# Trials that fail as often as they are tried are no reason to start again; the same command tries them again.
MUSTER_FAULT=at:backward,step:50,do:fail launch -n 3 sweep synth.cfg sweep.name=fails sweep.retries=0
ended_with 1 "trials that fail"
said 'launch: failed; 1 generation \(all ranks gave up together: 1\)' "trials that fail"
[ "$(with_status fails failed)" -gt 0 ] || fail "no trial has failed"
untouched "trials that fail"
launch -n 3 sweep synth.cfg sweep.name=fails
ended_with 0 "trials that had failed"
same_results fails whole "trials that had failed"
untouched "trials that had failed"

# All die in the same step of a trial, every time.
MUSTER_FAULT=at:backward,step:5,do:kill MUSTER_FAULT_GENERATIONS=99 launch -n 2 sweep synth.cfg sweep.name=wall
ended_with 1 "the same step every time"
said 'the sweep does not get beyond [0-9]+ steps of its trials: in 3 generations in a row no trial has committed anything new' "the same step every time"
! grep -q 'generation 6' "$log" || fail "the same step every time: a sixth generation"
untouched "the same step every time"

# A change of what was begun is no reason to start again, nor is what the file says wrong.
launch -n 2 sweep synth.cfg sweep.name=taken optim.lr=0.5
ended_with 78 "another meaning"
said 'launch: wrong configuration; 1 generation' "another meaning"
launch -n 2 sweep synth.cfg sweep.name=bad sweep.kind=none
ended_with 78 "a mistake"
[ ! -e runs/bad ] || fail "a mistake made a folder"
untouched "mistakes"
