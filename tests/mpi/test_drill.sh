#!/usr/bin/env bash
# muster drill: a handful of faults on real runs, told by name, rung and result; a result that differs, a run that does not end
# in time and a drill that is interrupted; in the end nothing is left of any of them.
. "$(dirname "$0")/common.sh"

# drill ARGUMENTS...: its exit code is in $code, its table in table, the rest in $log.
drill() {
    code=0
    timeout -k 5 "${limit:-60}" "$MUSTER" drill -n 3 "$@" >table 2>"$log" || code=$?
    cat table >>"$log"
}
# row NAME RUNG RESULT: of the table.
row() { grep -qE "^$1 +($2) .* $3\$" table || fail "no row: $1 $2 $3"; }
# gone WHEN: no process, nothing in /dev/shm or TMPDIR, no folder of the drill.
gone() {
    nothing_left "$1"
    [ -z "$(find "$TMPDIR" runs -mindepth 1 2>/dev/null)" ] || fail "$1: left: $(find "$TMPDIR" runs -mindepth 1 | head | xargs)"
}

again='R3 (from memory|by checkpoint|from the start)'
[ -n "${OMPI_MCA_mpi_ft_enable:-}" ] && died='R1 in the job' || died=$again

drill --json results.json --only 'worker-backward,master-flip,kill-all,worker-load,worker-publish,master-published,kill-launcher,torn' tiny.cfg
ended_with 0 "a drill"
row kill-worker-backward "$died" equal
row kill-master-flip "$died" equal
row kill-all-but-one "$died" equal
row kill-all "$again" equal
row kill-worker-load 'R4 by checkpoint' equal
row kill-worker-publish '-' 'equal, not reached'
row kill-worker-published '-' 'equal, not reached'
row kill-master-published "$died" equal
row kill-launcher "$again" equal
grep -qE '^torn-checkpoint +R4 by checkpoint +[0-9.]+ s +[1-9][0-9]* steps? .* equal$' table || fail "no row of a torn checkpoint"
said '^8 of 8 faults survived; the slowest repair took [0-9.]+ s \([a-z-]+\); 2 not reached' "a drill"
[ "$(grep -c '"result": "equal"' results.json)" = 8 ] || fail "results.json: $(cat results.json)"
gone "a drill"

# Where MPI ends the job with the first rank that dies, the launcher starts it again; nobody repairs anything.
(
    export OMPI_MCA_mpi_ft_enable=0 PRTE_MCA_state_base_recoverable=0 PRTE_MCA_state_base_notify_errors=0
    drill --only 'worker-backward,master-shrink' tiny.cfg
    ended_with 0 "without fault tolerance"
    row kill-worker-backward "$again" equal
    row kill-master-shrink "$again" 'equal, not reached'
    gone "without fault tolerance"
)

# The yardstick adds in another order on another roll; the relaunch of all is on the same one.
drill --only 'master-backward' tiny.cfg batch.reduce=fast
if [ "$died" != "$again" ]; then
    ended_with 1 "a drill that finds something"
    row kill-master-backward "$died" DIFFERS
    said '^0 of 1 faults survived' "a drill that finds something"
    said_once 'error: 1 of 1 faults led to another result, or to none' "a drill that finds something"
fi
gone "a drill that finds something"

# A stopped rank is given up after 2 s, and this case may take one.
drill --deadline 1 --only stop-worker tiny.cfg
ended_with 1 "a drill with a deadline"
row stop-worker '-|R1 in the job' 'DID NOT END'
gone "a drill with a deadline"

# A run that cannot be: nothing to compare with.
drill tiny.cfg data.train=missing.bin
[ "$code" != 0 ] && [ "$code" != 124 ] || fail "no data: exit code $code"
said 'the run that nobody disturbs fails' "no data"
said 'missing.bin' "no data"
gone "no data"

# Interrupted, it ends what it started.
"$MUSTER" drill -n 3 --only stop tiny.cfg >table 2>"$log" &
pid=$!
until_true grep -q undisturbed: table
until_true test -e "$(echo runs/drill-*)/stop-worker/metrics.jsonl"
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[ "$code" = 143 ] || fail "interrupted: exit code $code"
gone "interrupted"
# Killed, its runs end with it.
"$MUSTER" drill -n 3 --only stop tiny.cfg >table 2>"$log" &
pid=$!
until_true grep -q undisturbed: table
until_true test -e "$(echo runs/drill-*)/stop-worker/metrics.jsonl"
kill -KILL "$pid"
wait "$pid" || true
no_rank_left "killed"
