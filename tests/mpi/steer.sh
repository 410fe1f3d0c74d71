# shellcheck shell=bash
# What the tests of requests share (muster stop, checkpoint, resize); sourced after common.sh.

long=(run.steps=150 eval.every=0 checkpoint.every=0) # nothing else is due than what is asked for
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# asks EXIT_CODE WORD...: the command; what it says is in the file said.
asks() {
    local expected=$1 got=0
    shift
    "$MUSTER" "$@" >said 2>&1 || got=$?
    [ "$got" = "$expected" ] || fail "muster $*: exit code $got, not $expected: $(cat said)"
}
tells() { grep -qE -- "$1" said || fail "not told: $1, but: $(cat said)"; }
checkpoints() { find "runs/$1/checkpoints" -name checkpoint.h5 | wc -l; }
saved() { [ "$(checkpoints "$1")" = 1 ]; }
answers() { "$MUSTER" inspect "runs/$1" --json | grep -c '"type": "ANSWER"' || true; }
is_free() { [ -z "$(ls "runs/$1/control")" ]; } # of requests
nothing_asked() { is_free "$1" || fail "$2: left in control: $(ls "runs/$1/control")"; }
completes() { # completes RUN WHEN
    run 2 tiny.cfg run.name="$1" "${long[@]}"
    ended_with 0 "$2"
    same_as "$1" whole "$2"
}
# asked_of RUN RANKS [FAULT]: starts it at 20 ms a step, and waits for some steps.
asked_of() {
    local had
    had=$(lines "$1")
    export MUSTER_FAULT="at:flip,do:sleep-20${3:+;$3}"
    start "$2" tiny.cfg run.name="$1" "${long[@]}"
    unset MUSTER_FAULT
    until_true beyond "$1" $((had + 5))
}
