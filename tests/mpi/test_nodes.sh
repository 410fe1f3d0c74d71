#!/usr/bin/env bash
# Three hosts with two ranks each, made of network namespaces: sums go over TCP, state is once a host. The same bits as on one
# host; a death is told and leaves nothing on any of them. Needs root (or user namespaces) and ip.
own_network=1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/nodes.sh
. "$(dirname "$0")/nodes.sh"
make_hosts 3

run 1 tiny.cfg run.name=whole
ended_with 0 "one host"

mpirun_options=("${over_hosts[@]}" --host "n1:2,n2:2,n3:2" --map-by ppr:2:node:oversubscribe)
nothing_on_nodes() {
    local n left
    nothing_left "$1"
    for n in n1 n2 n3; do
        left=$("$scratch/nodes/shell" $n ls /dev/shm)
        [ -z "$left" ] || fail "$1: left on $n: $left"
    done
}
run 6 tiny.cfg run.name=three
ended_with 0 "three hosts"
same_as three whole "three hosts"
[ "$(field three hosts)" = 3 ] || fail "$(field three hosts) hosts, not 3"
said '6 ranks on 3 hosts' "three hosts"
nothing_on_nodes "three hosts"

survives run 6 "rank:3,at:backward,step:2,do:kill;rank:0,at:reduce,step:5,do:kill;rank:5,at:backward,step:9,do:kill" 3
nothing_on_nodes "deaths on three hosts"
# One that exits, of which mpirun says nothing: the other rank of its host tells all.
survives exits 6 "rank:3,at:backward,step:2,do:exit" 1
nothing_on_nodes "an exit on three hosts"
# Both ranks of a host: what they had computed is gone with it.
survives host 6 "rank:2,at:added,step:4,do:kill;rank:3,at:reduced,step:4,do:kill" 2
# Nobody is left there to clear up; the next start there does.
run 6 tiny.cfg run.name=after
ended_with 0 "after a host's ranks died"
nothing_on_nodes "after a host's ranks died"
