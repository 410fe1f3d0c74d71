#!/usr/bin/env bash
# muster launch over two hosts made of network namespaces: one loses its daemon and does not answer, and is left out; it comes back,
# and when it has cooled off and that pays, the ranks make way for more, to the same bits. Needs root (or user namespaces) and ip.
own_network=1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/nodes.sh
. "$(dirname "$0")/nodes.sh"
make_hosts 2

# A relaunch pays as long as more than so many steps of 20 ms are left: the last one took some seconds.
long=(run.steps=1500 run.hash_every=100 checkpoint.every=50 checkpoint.keep=2 eval.every=0)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

export MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=2
limit=120 begin --hosts n1:2,n2:2 --cool-off 4 --mpirun-args "${over_hosts[*]}" train tiny.cfg run.name=nodes "${long[@]}"
unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
until_said "^step "
said '4 ranks on 2 hosts' "two hosts"
mapfile -t killed < <(on n2 prted)
[ "${#killed[@]}" -gt 0 ] || fail "no daemon on n2"
mv nodes/n2 nodes/n2.gone
kill -KILL "${killed[@]}"
until_said 'host n2 does not answer: left out for 4 s'
until_said 'starting again in [0-9.]* s with 2 ranks on 1 host'
until_said '2 ranks on 1 host: 2 workers'
sleep 6 # it is asked, and does not answer: nobody makes way for it
if grep -aq 'stopped for a change' "$log"; then fail "a dead host was taken back"; fi
mv nodes/n2.gone nodes/n2
until_said 'generation 2: stopped for a change of ranks at step [0-9]*; starting again with 4 ranks on 2 hosts'
finish
ended_with 0 "a host that came back"
[ "$(grep -ac '4 ranks on 2 hosts: 4 workers' "$log")" = 2 ] || fail "the host that came back has no ranks"
said 'launch: complete; 3 generations' "a host that came back"
same_as nodes whole "a host that came back"
untouched "a host that came back"
