#!/usr/bin/env bash
# muster checkpoint, stop and status --pid on runs that train: what is answered, and what is when whoever was to answer dies, has no room
# on the disk, or does not move.
. "$(dirname "$0")/common.sh"

long=(run.steps=150 eval.every=50 checkpoint.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# slowly RUN RANKS [FAULT]: starts it at 20 ms a step, and waits for some steps.
slowly() {
    local had
    had=$(lines "$1")
    export MUSTER_FAULT="at:flip,do:sleep-20${3:+;$3}"
    start "$2" tiny.cfg run.name="$1" "${long[@]}"
    unset MUSTER_FAULT
    until_true beyond "$1" $((had + 5))
}
# asks EXIT_CODE WORD...: the command; what it says is in the file said.
asks() {
    local expected=$1 got=0
    shift
    "$MUSTER" "$@" >said 2>&1 || got=$?
    [ "$got" = "$expected" ] || fail "muster $*: exit code $got, not $expected: $(cat said)"
}
tells() { grep -qE -- "$1" said || fail "not told: $1, but: $(cat said)"; }
checkpoints() { find "runs/$1/checkpoints" -name checkpoint.h5 | wc -l; }
answers() { "$MUSTER" inspect "runs/$1" --json | grep -c '"type": "ANSWER"' || true; }
nothing_asked() { [ -z "$(ls "runs/$1/control")" ] || fail "$2: left in control: $(ls "runs/$1/control")"; }
completes() { # completes RUN WHEN
    run 2 tiny.cfg run.name="$1" "${long[@]}"
    ended_with 0 "$2"
    same_as "$1" whole "$2"
}

# A checkpoint, and on it goes; who is who; garbage beside it; two who ask for a stop, one by name and one by hand.
slowly run 3
asks 0 checkpoint runs/run
tells '^checkpoint step-[0-9]{8} written in [0-9.]+ s$'
[ -e "runs/run/checkpoints/$(grep -o 'step-[0-9]*' said)/checkpoint.h5" ] || fail "the checkpoint that is told of is not there"
for rank in 0 1 2; do
    asks 0 status runs/run --pid $rank
    [ "$(cat said)" = "$(rank_pid $rank)" ] || fail "rank $rank is $(rank_pid $rank), not $(cat said)"
done
asks 1 status runs/run --pid 3
tells 'there is no rank 3 in runs/run: it died, or never was; there are 0 to 2$'
printf '{"version":1,"what":"dance"}' >runs/run/control/x.request
head -c 300 /dev/urandom >runs/run/control/y.request
mkfifo runs/run/control/z.request
touch runs/run/control/sotp
aside() { [ "$(find runs/run/control -name '*.refused' | wc -l)" = 4 ]; }
until_true aside
said_once "control/x.request is no request that can be obeyed: it asks for 'dance'; expected stop or checkpoint" "garbage"
said_once 'control/z.request is no request that can be obeyed: it is not a file' "garbage"
said_once 'control/sotp is no request that can be obeyed' "garbage"
rm runs/run/control/*.refused
kill -KILL "$(rank_pid 0)"
counted() { grep -q '"deaths": 1' runs/run/status.json; } # at once: no checkpoint, no evaluation
until_true counted
[ "$(checkpoints run)" = 1 ] || fail "a death: it was counted with a checkpoint only"
asks 1 status runs/run --pid 0
asks 0 status runs/run --pid 1
[ "$(cat said)" = "$(rank_pid 1)" ] || fail "after a death rank 1 is $(rank_pid 1), not $(cat said)"
"$MUSTER" stop runs/run >other 2>&1 &
other=$!
touch runs/run/control/stop
asks 0 stop runs/run/
tells '^stopped after step [0-9]+; checkpoint runs/run/checkpoints/step-[0-9]{8}; the same command goes on$'
wait $other || fail "the other stop: $(cat other)"
cmp -s other said || fail "two stops are told of differently: $(cat other)"
finish
ended_with 75 "muster stop"
nothing_asked run "muster stop"
asks 1 stop runs/run
tells 'nobody trains runs/run: it was stopped after step [0-9]+; the same command goes on'
asks 1 checkpoint runs/run
nothing_asked run "a run that nobody trains"
completes run "muster stop"
asks 1 stop runs/run
tells 'nobody trains runs/run: it is complete: step 150 of 150'

# The master dies between the checkpoint and the answer, and between the answer and the end of the request: done once, answered once.
for point in published answer answered; do
    slowly $point 3 "rank:0,at:$point,do:kill"
    asks 0 checkpoint runs/$point
    tells '^checkpoint step-[0-9]{8} (written in [0-9.]+ s|is there: no step was taken since)$'
    said_once 'rank 0 died' $point
    [ "$(checkpoints $point)" = 1 ] || fail "$point: $(checkpoints $point) checkpoints"
    until_true test -z "$(ls runs/$point/control)"
    asks 0 stop runs/$point
    finish
    [ "$(answers $point)" = 2 ] || fail "$point: $(answers $point) answers"
    completes $point $point
done

# No room for the answer: the deadline; a stop is told of by how the run ended. No room for the checkpoint: said, and training goes on.
slowly mute 2 "at:answer,do:fail"
asks 1 checkpoint runs/mute --timeout 1
tells 'no answer within 1 s. The request stays \(runs/mute/control/checkpoint-[0-9a-f]{16}.request\)'
said_once 'the answer to checkpoint-[0-9a-f]+.request could not be written to the journal: it is tried again' "no room for the answer"
[ "$(checkpoints mute)" = 1 ] || fail "no room for the answer: $(checkpoints mute) checkpoints"
asks 0 stop runs/mute
tells '^stopped after step [0-9]+; checkpoint'
finish
ended_with 75 "no room for the answer"
completes mute "no room for the answer"

slowly full 2 "at:save-disk,rank:1,do:fail"
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
slowly still 1
rank=$(rank_pid 0)
kill -STOP "$rank"
asks 1 checkpoint runs/still --timeout 1
tells 'no answer within 1 s'
"$MUSTER" status runs/still | grep -Eq '^  asked for    checkpoint, [0-9]+ s ago, by .*: not answered yet$' || fail "a request that waits is not shown"
kill -CONT "$rank"
obeyed() { [ "$(checkpoints still)" = 1 ] && [ -z "$(ls runs/still/control)" ]; }
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
