#!/usr/bin/env bash
# muster launch over three hosts made of network namespaces: a host's ranks die, which the others survive in the job, or give up when
# that hangs; its daemon dies, its link is cut, it is gone.
# The run goes on with those that are left, to the same bits. Needs root (or user namespaces) and ip.
own_network=1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/nodes.sh
. "$(dirname "$0")/nodes.sh"
make_hosts 3

long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# over WORDS...: launches over the three hosts, slowly, and waits until it trains. $fault: one more; $generations: how
# many have them.
over() {
    export MUSTER_FAULT="at:flip,do:sleep-20${fault:+;$fault}" MUSTER_FAULT_GENERATIONS=${generations:-99}
    begin --hosts n1:2,n2:2,n3:2 --mpirun-args "${over_hosts[*]}" "$@" "${long[@]}"
    unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
    until_said "^step "
}

over train tiny.cfg run.name=nodes
said '6 ranks on 3 hosts' "three hosts"
# At once: then those who tell each other of it find that the next to be told is dead too, whom they may never have sent anything.
# shellcheck disable=SC2046
kill -KILL $(on n2 muster-rank)
until_said '4 ranks go on after'
# shellcheck disable=SC2046
kill -KILL $(on n3 prted)
finish
ended_with 0 "a node's ranks and a node's daemon killed"
same_as nodes whole "a node's ranks and a node's daemon killed"
said 'generation 1: .*; starting again .*, from the (checkpoint of step [0-9]+|beginning) or later' "a node's ranks and a node's daemon killed"
said 'launch: complete; 2 generations' "a node's ranks and a node's daemon killed"
untouched "a node's ranks and a node's daemon killed"

# A repair that hangs, as one rank of another host never comes to its end: the host of the others gives it up. Nobody saves then:
# who may be saving is waited for much longer.
usual=("${long[@]}")
long=(run.steps=200 run.hash_every=50 checkpoint.every=200 eval.every=0)
generations=1 fault=rank:5,at:exchange,do:sleep-600000 over train tiny.cfg run.name=hung run.hang_timeout=1
# shellcheck disable=SC2046
kill -KILL $(on n2 muster-rank)
until_said 'a recovery did not end within [0-9.]* s, though all living ranks of this host had come to it'
finish
ended_with 0 "a repair that hangs"
same_as hung whole "a repair that hangs"
said 'generation 1: mpirun ended with exit code 1 .*; starting again ' "a repair that hangs"
said 'going on from step [0-9]+, which was still in memory' "a repair that hangs"
said 'launch: complete; 2 generations' "a repair that hangs"
untouched "a repair that hangs"
long=("${usual[@]}")

# A link that is cut: its ranks fall silent. They end themselves before the others go on.
over train tiny.cfg run.name=cut
old=$(on n3 muster-rank)
[ -n "$old" ] || fail "no ranks on n3"
ip link set card3 down
mv nodes/n3 nodes/n3.gone
until_said 'host n3 does not answer: left out for 10 minutes'
until_said 'starting again in [0-9.]* s with 4 ranks on 2 hosts'
until_said '4 ranks on 2 hosts: 4 workers'
for pid in $old; do
    ! is_muster "$pid" || fail "rank $pid beyond the cut lives on"
done
finish
ended_with 0 "a link cut"
same_as cut whole "a link cut"
said 'host n3: nothing was heard of its 2 ranks for 4 s' "a link cut"
said 'generation 1: a host fell silent at step [0-9]+' "a link cut"
