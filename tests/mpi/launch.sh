# shellcheck shell=bash
# What the tests of `muster launch` share; sourced after common.sh.

# launch ARGUMENTS...: muster launch; its exit code is in $code, what it says in $log.
launch() {
    code=0
    timeout -k 5 "${limit:-60}" "$MUSTER" launch "$@" >"$log" 2>&1 || code=$?
}
# begin ARGUMENTS...: the same in the background, without timeout between; its pid is in $mpirun, so that finish waits for it.
begin() {
    : >"$log"
    "$MUSTER" launch "$@" >"$log" 2>&1 &
    mpirun=$!
}
# slowly RANKS WORDS...: train WORDS... at 20 ms a step, in every generation; waits until some steps are done.
slowly() {
    local ranks=$1
    shift
    export MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99
    begin -n "$ranks" train "$@"
    unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
    until_said "^step "
    sleep 0.1
}
generations() { grep -ac 'a new run in\|going on from' "$log" || true; }
more_generations() { [ "$(generations)" -gt "$1" ]; }
# next_generation: waits until another one than those that have trained so far trains.
next_generation() {
    local had
    had=$(generations)
    until_true more_generations "$had"
    sleep 0.2
}

# lost RUN: steps that had to be taken again, by the ledger.
lost() { sed -n 's/.*"steps_lost": *\([0-9]*\).*/\1/p' "runs/$1/status.json"; }
# nothing_lost RUN RELAUNCHES WHEN: all of them went on with the state in memory.
nothing_lost() {
    [ "$(lost "$1")" = 0 ] || fail "$3: steps lost: $(lost "$1")"
    [ "$(grep -ac 'going on from step [0-9]*, which was still in memory' "$log")" = "$2" ] || fail "$3: not from memory $2 times"
    [ "$(grep -ac 'starting again with .* host, from the state in memory ([0-9.]* s)' "$log")" = "$2" ] ||
        fail "$3: not told $2 times that the state is in memory"
}

# Children of the launcher; ranks are theirs.
launched_mpirun() { cat "/proc/$mpirun/task/$mpirun/children"; }
all_ranks() { cat "/proc/$(launched_mpirun | xargs)/task/$(launched_mpirun | xargs)/children"; }

# untouched WHEN: no process, nothing in /dev/shm, nothing in TMPDIR, nobody holds the run.
untouched() {
    nothing_left "$1"
    [ -z "$(find "$TMPDIR" -mindepth 1)" ] || fail "$1: left in TMPDIR: $(find "$TMPDIR" -mindepth 1 | xargs)"
}
