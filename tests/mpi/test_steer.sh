#!/usr/bin/env bash
# muster checkpoint, stop and status --pid on runs that train: what is answered, also when whoever was to answer dies.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/steer.sh
. "$(dirname "$0")/steer.sh"

# A checkpoint, and on it goes; who is who; garbage beside it; two who ask for a stop, one by name and one by hand.
asked_of run 3
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
    asked_of $point 3 "rank:0,at:$point,do:kill"
    asks 0 checkpoint runs/$point
    tells '^checkpoint step-[0-9]{8} (written in [0-9.]+ s|is there: no step was taken since)$'
    said_once 'rank 0 died' $point
    [ "$(checkpoints $point)" = 1 ] || fail "$point: $(checkpoints $point) checkpoints"
    until_true is_free $point
    asks 0 stop runs/$point
    finish
    [ "$(answers $point)" = 2 ] || fail "$point: $(answers $point) answers"
    completes $point $point
done
