#!/usr/bin/env bash
# muster drill, mistyped: what is said, and the exit code; nothing is made. That it works: tests/mpi/test_drill.sh.
. "$(dirname "$0")/common.sh"
see="; see 'muster drill --help'"

printf 'run = { steps = 2; };\nmodel = { kind = "synthetic"; };\n' >ok.cfg
printf 'run = { steps = 2; nmae = "x"; };\nmodel = { kind = "synthetic"; };\n' >wrong.cfg
refuses 64 "CONFIG is missing$see" "$MUSTER" drill
refuses 64 "CONFIG is missing$see" "$MUSTER" drill run.steps=3
refuses 64 "--ranks: '1' is not an integer from 2 to 128$see" "$MUSTER" drill -n 1 ok.cfg
refuses 64 "--steps: '3' is not an integer from 12 to 10000$see" "$MUSTER" drill --steps 3 ok.cfg
refuses 64 "--only: no fault has 'flop' in its name; --list shows them$see" "$MUSTER" drill --only flop ok.cfg
refuses 64 "drill starts mpirun by itself: call it without mpirun$see" env PMIX_RANK=0 "$MUSTER" drill ok.cfg
refuses 78 "wrong.cfg:1: run.nmae: unknown key; did you mean 'run.name'?" "$MUSTER" drill wrong.cfg
refuses 78 "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000" \
    "$MUSTER" drill ok.cfg run.steps=0

expect 1 "$MUSTER" drill --json no/such/folder ok.cfg
grep -q 'no/such/folder' err || fail "--json: the folder is not named"
grep -q undisturbed out && fail "--json: found out after a run"
rmdir runs
listed=$("$MUSTER" drill --list --only 'worker-f*,torn' | awk '{print $1}' | xargs)
[ "$listed" = "kill-worker-forward kill-worker-flip torn-checkpoint" ] || fail "--list: $listed"
"$MUSTER" drill --list >out
awk 'length > 80 {exit 1}' out || fail "--list is wider than 80 columns"
tr -s '\n ' ' ' <out | grep -qF 'a rank of GPUs looks through its state (do:fail: it is another one)' || fail "--list cuts a text"
left=$(find . -mindepth 1 ! -name '*.cfg' ! -name out ! -name err)
[ -z "$left" ] || fail "it made $left"
finish
