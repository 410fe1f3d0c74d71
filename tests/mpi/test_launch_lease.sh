#!/usr/bin/env bash
# Several launchers for one run where file locks do not reach, as on several machines: a holder that lives is known by its count,
# and one that is stopped or killed by the count standing still; its ranks have ended themselves before the next one begins.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

# second: another launcher for the same run, which writes into a file of its own.
second() {
    local log=second
    launch -n 2 train tiny.cfg run.name=run "${long[@]}"
}

long=(run.steps=700 run.hash_every=100 checkpoint.every=20 eval.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

export MUSTER_FAULT='at:flip,do:sleep-20;at:lock,do:fail' MUSTER_FAULT_GENERATIONS=99
begin -n 2 train tiny.cfg run.name=run "${long[@]}"
until_said "^step "
first=$mpirun
second
[ "$code" = 1 ] || fail "a second launch: exit code $code"
grep -q "another launcher has this run: pid $first on" second || fail "$(cat second)"

# Stopped, it cannot renew.
ranks=$(all_ranks)
kill -STOP "$first"
until_said 'nothing was heard of the launcher for 5 s'
sleep 1.5 # ranks look twice a second, and not at the same time
for rank in $ranks; do
    if is_muster "$rank"; then fail "rank $rank outlives its lease"; fi
done
log=second
export MUSTER_FAULT='at:lock,do:fail'
begin -n 3 train tiny.cfg run.name=run "${long[@]}"
until_said 'taking over when it has been silent for 10 s'
until_said "^step "

# It comes back, finds that it has lost the run, and leaves without touching it.
kill -CONT "$first"
back=0
wait "$first" || back=$?
[ "$back" = 1 ] || fail "the launcher that came back: exit code $back"
grep -q 'this launcher has lost the run to another one' log || fail "the launcher that came back: $(tail -n 3 log)"
finish
ended_with 0 "a takeover by lease"
same_as run whole "a takeover by lease"
untouched "a takeover by lease"
