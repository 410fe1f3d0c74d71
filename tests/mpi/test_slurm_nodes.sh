#!/usr/bin/env bash
# Nodes that are lost under muster launch in a Slurm job, on a virtual cluster: one dies, of another the link is cut. The run goes on
# without it, in the same allocation, to the bits of one host; or, where the launcher itself was on it, in another one, for which the
# job is queued again. Prints how long that took. Needs root, and Debian's slurm-wlm and munge.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
make_cluster 7 --cpus 2

run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# ranks_of NODE: pids of ranks there, as this test sees them.
ranks_of() {
    local p net
    # shellcheck disable=SC2016 # for the node
    net=$(cluster exec "$1" readlink /proc/self/ns/net)
    for p in /proc/[0-9]*; do
        if [ "$(cat "$p/comm")" = muster-rank ] && [ "$(readlink "$p/ns/net")" = "$net" ]; then echo "${p#/proc/}"; fi
    done 2>/dev/null
}

# lost HOW WORD: kill or cut of n2; until the others train.
lost() {
    job "$1" -w n1,n2,n3
    until_said '^step '
    old=$(ranks_of n2)
    [ "$(wc -w <<<"$old")" = 2 ] || fail "$1: not two ranks on n2: $old"
    death=$EPOCHREALTIME
    cluster "$1" n2
    until_said 'starting again .*with 4 ranks on 2 hosts'
    until_said 'generation 2 trains'
    awk -v what="$2" -v a="$death" -v b="$EPOCHREALTIME" 'BEGIN { printf "training again %.1f s after %s\n", b - a, what }'
    for pid in $old; do
        ! is_muster "$pid" || fail "$1: rank $pid lives on"
    done
    ended "$job"
    same_as "$1" whole "$2"
    said 'host n2 does not answer: left out for the rest of this job' "$2"
    said 'launch: complete; 2 generations' "$2"
    no_rank_left "$2"
}

# The node of the launcher itself: another node of the job notices. Meanwhile, on other nodes:
job launcher -x n1,n2,n3
launchers=$job launchers_log=$log
until_said '^step '
sleep 1 # the guard begins once ranks are at work
cluster kill n4

launch_words='-n 4' # one node is spare
lost kill 'the death of a node'
launch_words=
cluster heal n2
lost cut 'a link was cut'
said 'host n2: nothing was heard of its 2 ranks for 4 s' "a link cut"

job=$launchers log=$launchers_log
ended "$job"
same_as launcher whole "the launcher's node killed"
said 'nothing was heard of the launcher for 15 s, its node seems to be lost: scontrol requeue' "the launcher's node killed"
said 'restart 1$' "the launcher's node killed"
