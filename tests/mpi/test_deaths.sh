#!/usr/bin/env bash
# A rank dies by SIGKILL at every named point: the run ends within seconds and says in one line who died and where; the same
# command goes on. One run is killed again and again, and ends with the bits of the undisturbed one.
. "$(dirname "$0")/common.sh"

every=3 # steps between checkpoints and evaluations
long=(run.steps=48 "checkpoint.every=$every" "eval.every=$every")
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"
nothing_left "the undisturbed run"

# die_everywhere RUN RANK: in order of steps, each after a checkpoint that the one before did not reach.
die_everywhere() {
    local at step=0 seen="rank $2 died \(pid [0-9]+, last seen at:"
    die "$1" 3 "$2" kill start '*' "rank $2 died at the start" "${long[@]}"
    die "$1" 3 "$2" kill started '*' "$seen started.*There is no checkpoint yet: the same command begins again" "${long[@]}"
    # In the probe, which is step 0.
    die "$1" 3 "$2" kill forward 0 "$seen forward.*There is no checkpoint yet" "${long[@]}"
    for at in forward backward adding added reduce reduced update flip; do
        step=$((step + every))
        die "$1" 3 "$2" kill $at $((step + 1)) \
            "$seen $at, step $((step + 2))\).*The newest checkpoint is of step $step: the same command goes on" "${long[@]}"
        [ "$(field "$1" outcome)" = failed ] || fail "killed at $at: outcome $(field "$1" outcome)"
    done
    die "$1" 3 "$2" kill load '*' "$seen load" "${long[@]}"
    for at in evaluate save publish; do
        step=$((step + every))
        # Only the master publishes.
        if [ "$at" != publish ] || [ "$2" = 0 ]; then
            die "$1" 3 "$2" kill $at $((step + every)) "$seen $at.*The newest checkpoint is of step $step" "${long[@]}"
        fi
    done
    # After the last step everything is written: whoever dies then is not missed.
    MUSTER_FAULT="rank:$2,at:leave,do:kill" limit=30 run 3 tiny.cfg run.name="$1" "${long[@]}"
    [ "$code" != 124 ] || fail "rank $2 killed at leave: nobody ended"
    said 'complete: 48 steps' "rank $2 killed at leave"
    no_rank_left "rank $2 killed at leave"
    run 2 tiny.cfg run.name="$1" "${long[@]}"
    ended_with 0 "the run whose rank $2 was killed"
    said 'complete already: 48 steps' "the run whose rank $2 was killed"
    same_as "$1" whole "the run whose rank $2 was killed"
    nothing_left "the run whose rank $2 was killed"
}

# Rank 0 among others of its host; rank 1 alone on a host (of two that are pretended).
die_everywhere master 0
export MUSTER_HOSTS=2
die_everywhere worker 1
unset MUSTER_HOSTS
