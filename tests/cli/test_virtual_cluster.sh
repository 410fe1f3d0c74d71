#!/usr/bin/env bash
# scripts/virtual-cluster: what it says to a wrong command, and to who is not root. What it does: tests/mpi/test_cluster.sh.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"
cluster=$MUSTER_SOURCE/scripts/virtual-cluster
export VIRTUAL_CLUSTER=$folder/none

expect 0 "$cluster" --help
has out '  scripts/virtual-cluster down          nothing of it is left: no process, mount, network, user or file'

# wrong TEXT WORDS...: refused as a wrong command, and nothing is made.
wrong() {
    local text=$1
    shift
    expect 1 "$cluster" "$@"
    has err "error: $text; see scripts/virtual-cluster --help"
    [ ! -e "$folder/none" ] || fail "$*: made $folder/none"
}
wrong 'what shall it do?'
wrong "unknown word 'start'" start 3
wrong "unknown option '--nodes'" up --nodes 3
wrong 'up wants the number of nodes, from 1 to 99' up
wrong 'up wants the number of nodes, from 1 to 99' up 0
wrong 'up wants the number of nodes, from 1 to 99' up 100
wrong 'up wants the number of nodes, from 1 to 99' up three
wrong 'up wants the number of nodes, from 1 to 99' up 2 3
wrong "--cpus wants a number from 1 on, not '0'" up 2 --cpus 0
wrong "--requeue wants a number from 5 on, not '4'" up 2 --requeue 4
wrong "--grace wants a number from 1 on, not ''" up 2 --grace
wrong "--conf wants KEY=VALUE, not 'KillWait'" up 2 --conf KillWait
wrong '--dir wants a folder' up 2 --dir
wrong 'kill wants one host' kill
wrong 'cut wants one host' cut n1 n2
wrong 'heal wants one host' heal
wrong 'exec wants a host and a command' exec n1
wrong "down wants nothing more, not 'n1'" down n1

expect 1 "$cluster" --dir "$folder/two words" up 2
has err "error: --dir must be a path of at most 60 letters, digits and ._-/, not '$folder/two words'"

if [ "$(id -u)" = 0 ]; then
    for words in status env 'kill n1' 'cut n1' 'heal n1' 'exec n1 true' 'client squeue'; do
        # shellcheck disable=SC2086 # words
        expect 1 "$cluster" $words
        has err "error: there is no cluster in $folder/none; to make one: scripts/virtual-cluster up 3"
    done
    expect 0 "$cluster" down # of nothing
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
else
    as_user=()
fi
chmod 755 "$folder"
if "${as_user[@]}" test -r "$cluster"; then
    expect 1 "${as_user[@]}" "$cluster" up 2
    has err 'error: this needs root, for network and process namespaces: sudo scripts/virtual-cluster up 2'
fi
finish
