#!/usr/bin/env bash
# muster launch ... sweep over three hosts made of network namespaces: a host's ranks die, which the others survive in the job; the
# daemon of another dies, and it is left out: the sweep goes on from its journal on the others, to the same bytes. A resize saves.
# Needs root (or user namespaces) and ip.
# Cores: 1
own_network=1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/nodes.sh
. "$(dirname "$0")/nodes.sh"
make_hosts 3

sweep 2 synth.cfg sweep.name=whole
ended_with 0 "one host"

begin --hosts n1:2,n2:2,n3:2 --mpirun-args "${over_hosts[*]}" sweep synth.cfg sweep.name=nodes synthetic.step_ms=30 checkpoint.every=20
until_true ended_beyond nodes 0
# shellcheck disable=SC2046
kill -KILL $(on n2 muster-rank)
until_said 'rank [0-9]* died'
had=$(ended nodes)
until_true ended_beyond nodes "$had"
mapfile -t killed < <(on n3 prted)
[ "${#killed[@]}" -gt 0 ] || fail "no daemon on n3"
mv nodes/n3 nodes/n3.gone
kill -KILL "${killed[@]}"
until_said 'host n3 does not answer: left out for 10 minutes'
until_said 'starting again.* with [24] ranks on [12] hosts*, from its journal'
until_said 'generation 2 trains'
had=$(ended nodes)
until_true ended_beyond nodes "$had"
"$MUSTER" resize runs/nodes 3
until_said 'asking [24] ranks to save and stop'
until_said 'generation 3 trains'
finish
complete nodes whole "hosts lost"
untouched "hosts lost"
