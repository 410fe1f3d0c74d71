#!/usr/bin/env bash
# Several hosts, as far as one machine can pretend them (tests/support/nodes): the same bits on 3 hosts as on one, on hosts
# with unequal numbers of ranks, and for a run that moves from 3 hosts to one. A rank that is killed on another host ends the
# run within seconds, leaves nothing in any host's /dev/shm, and the same command goes on.
if [ -z "${MUSTER_NODES:-}" ]; then # namespaces that do what those of common.sh are for, and hosts
    exec "$(dirname "$0")/../support/nodes" with 3 env MUSTER_TEST_ALONE=1 bash "$0"
fi
. "$(dirname "$0")/common.sh"
three=(--host n1:2,n2:2,n3:2)

# Where each rank of a run ran, from the lines of the process table that nobody can pretend: "n1 n1 n2 ...".
names() { "$MPIRUN" "$@" hostname 2>/dev/null | sort | xargs; }
[ "$(names "${three[@]}")" = "n1 n1 n2 n2 n3 n3" ] || fail "ranks on: $(names "${three[@]}")"
[ "$(names --host n1:3,n2:1)" = "n1 n1 n1 n2" ] || fail "3 ranks and 1 run on: $(names --host n1:3,n2:1)"

shm_of_hosts() {
    local i
    for i in 1 2 3; do nodes on n$i 'find /dev/shm -mindepth 1 -printf "$(hostname):%p\n"'; done
}
no_trace() {
    nothing_left "$1"
    [ -z "$(shm_of_hosts)" ] || fail "$1: left in /dev/shm: $(shm_of_hosts | xargs)"
}

run 2 tiny.cfg run.name=one
ended_with 0 "one host"

mpirun_options=("${three[@]}")
run 6 tiny.cfg run.name=three
ended_with 0 "3 hosts"
same_as three one "3 hosts"
no_trace "3 hosts"
cat $log

mpirun_options=(--host n1:3,n2:1)
run 4 tiny.cfg run.name=unequal
ended_with 0 "3 ranks and 1"
same_as unequal one "3 ranks and 1"
no_trace "3 ranks and 1"

# Stopped by request, slow enough for it; goes on on one host.
mpirun_options=("${three[@]}" -x "MUSTER_FAULT=rank:4,at:flip,do:sleep-300")
start 6 tiny.cfg run.name=moves
until_true [ -e runs/moves/metrics.jsonl ]
until_true grep -q '"step": 3,' runs/moves/metrics.jsonl
touch runs/moves/control/stop
finish
ended_with 75 "the run that moves"
no_trace "the run that moves"
mpirun_options=()
run 3 tiny.cfg run.name=moves
cat $log
ended_with 0 "the run that has moved"
same_as moves one "the run that has moved"

# kill RANK
for r in 5 0 1 ; do
mpirun_options=("${three[@]}" -x "MUSTER_FAULT=rank:$r,at:reduce,step:6,do:kill")
began=$SECONDS
limit=30 run 6 tiny.cfg run.name=killed$r
cat $log; echo $code $((SECONDS-began))
shm_of_hosts
done
