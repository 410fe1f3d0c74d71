#!/usr/bin/env bash
# muster launch and resize, mistyped: what is said, and the exit code; nothing is made. That they work: tests/mpi/test_launch*.sh.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export TMPDIR=$folder/t
mkdir t
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
see="; see 'muster launch --help'"

printf 'run = { steps = 2; };\nmodel = { kind = "synthetic"; };\n' >ok.cfg
printf 'run = { steps = 2; nmae = "x"; };\nmodel = { kind = "synthetic"; };\n' >wrong.cfg
expect 64 "$(error "nothing was said to work on$see")" "$MUSTER" launch
expect 64 "$(error "words are missing$see")" "$MUSTER" launch -n 2 train
expect 64 "$(error "'tarin' cannot be launched; expected: train CONFIG$see")" "$MUSTER" launch -n 2 -- tarin ok.cfg
expect 64 "$(error "CONFIG is missing: the first word after train is run.steps=3$see")" "$MUSTER" launch train run.steps=3
expect 64 "$(error "--ranks: '0' is not an integer from 1 to 4096$see")" "$MUSTER" launch -n 0 train ok.cfg
expect 64 "$(error "--ranks: 'two' is not an integer from 1 to 4096$see")" "$MUSTER" launch -np two train ok.cfg
expect 64 "$(error "unknown option --host; did you mean --hosts?$see")" "$MUSTER" launch --host a train ok.cfg
expect 64 "$(error "--hosts and --hostfile: give one of them$see")" "$MUSTER" launch --hosts a --hostfile b train ok.cfg
expect 64 "$(error "--hosts: host a: expected a number of slots from 1 to 4096")" "$MUSTER" launch --hosts a:x train ok.cfg
expect 64 "$(error "there is no host file no-such-file")" "$MUSTER" launch --hostfile no-such-file train ok.cfg
expect 64 "$(error "launch starts mpirun by itself: call it without mpirun$see")" env PMIX_RANK=0 "$MUSTER" launch train ok.cfg
expect 64 "$(error "MUSTER_FAULT: a fault needs at:POINT and do:WHAT; got 'at:flip'")" env MUSTER_FAULT=at:flip "$MUSTER" launch train ok.cfg
expect 78 "$(error "wrong.cfg:1: run.nmae: unknown key; did you mean 'run.name'?")" "$MUSTER" launch train wrong.cfg
expect 78 "$(error "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000")" "$MUSTER" launch train ok.cfg run.steps=0
[ ! -e runs ] || { echo "FAIL: a mistake made a run directory" >&2; failures=1; }

# An mpirun that is not there, or ends at once: told, and not tried for ever.
expect 1 "$(error "cannot start ./no-mpirun: No such file or directory")" "$MUSTER" launch --mpirun ./no-mpirun train ok.cfg
printf '#!/bin/sh\nexit 3\n' >mpirun
chmod +x mpirun
expect 1 "$(error "  generation 3: mpirun ended with exit code 3 before the first step")" \
    "$MUSTER" launch --mpirun ./mpirun train ok.cfg
[ -z "$(ls -A "$TMPDIR")" ] || { echo "FAIL: a folder is left" >&2; failures=1; }

see="; see 'muster resize --help'"
expect 64 "$(error "words are missing$see")" "$MUSTER" resize runs/run
expect 64 "$(error "'many' is not a number of ranks from 1 to 4096$see")" "$MUSTER" resize runs/run many
expect 1 "$(error "runs is not a run directory")" "$MUSTER" resize runs 2
expect 1 "$(error "nobody would obey: no launcher has the run runs/run. Start it with \`muster launch -n 2 train ...\`")" \
    "$MUSTER" resize runs/run 2
[ $failures = 0 ] || exit 1
