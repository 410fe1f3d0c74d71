#!/usr/bin/env bash
# muster drill, mistyped: what is said, and the exit code; nothing is made. That it works: tests/mpi/test_drill.sh.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# expect EXIT_CODE TEXT COMMAND...: TEXT is a whole line of stderr.
expect() {
    local code=$1 text=$2 got
    shift 2
    "$@" >out 2>err
    got=$?
    if [ $got != "$code" ] || ! grep -qxF -- "$text" err; then
        echo "FAIL: $*: exit code $got, expected $code and: $text" >&2
        sed 's/^/    /' err >&2
        failures=$((failures + 1))
    fi
}
error() { echo "muster: error: $*"; }
see="; see 'muster drill --help'"

printf 'run = { steps = 2; };\nmodel = { kind = "synthetic"; };\n' >ok.cfg
printf 'run = { steps = 2; nmae = "x"; };\nmodel = { kind = "synthetic"; };\n' >wrong.cfg
expect 64 "$(error "CONFIG is missing$see")" "$MUSTER" drill
expect 64 "$(error "CONFIG is missing$see")" "$MUSTER" drill run.steps=3
expect 64 "$(error "--ranks: '1' is not an integer from 2 to 128$see")" "$MUSTER" drill -n 1 ok.cfg
expect 64 "$(error "--steps: '3' is not an integer from 12 to 10000$see")" "$MUSTER" drill --steps 3 ok.cfg
expect 64 "$(error "--only: no fault has 'flop' in its name; --list shows them$see")" "$MUSTER" drill --only flop ok.cfg
expect 64 "$(error "drill starts mpirun by itself: call it without mpirun$see")" env PMIX_RANK=0 "$MUSTER" drill ok.cfg
expect 78 "$(error "wrong.cfg:1: run.nmae: unknown key; did you mean 'run.name'?")" "$MUSTER" drill wrong.cfg
expect 78 "$(error "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000")" \
    "$MUSTER" drill ok.cfg run.steps=0

"$MUSTER" drill --json no/such/folder ok.cfg >out 2>err
code=$?
if [ $code != 1 ] || ! grep -q 'no/such/folder' err || grep -q undisturbed out; then
    echo "FAIL: --json no/such/folder: exit code $code: $(cat out err)" >&2
    failures=$((failures + 1))
fi
rmdir runs
listed=$("$MUSTER" drill --list --only 'worker-f*,torn' | awk '{print $1}' | xargs)
if [ "$listed" != "kill-worker-forward kill-worker-flip torn-checkpoint" ]; then
    echo "FAIL: --list: $listed" >&2
    failures=$((failures + 1))
fi
left=$(find . -mindepth 1 ! -name '*.cfg' ! -name out ! -name err)
if [ -n "$left" ]; then
    echo "FAIL: it made $left" >&2
    failures=$((failures + 1))
fi
exit $((failures > 0))
