# shellcheck shell=bash
# What the tests over hosts made of network namespaces share; sourced after common.sh, with own_network=1 set before that.

# make_hosts NUMBER: n1, n2, ...; skips the test where that cannot be done. $over_hosts: the words that let mpirun reach them.
make_hosts() {
    if [ "$MUSTER_TEST_ALONE" != 1 ] || ! command -v ip >/dev/null || ! command -v nsenter >/dev/null; then
        echo "SKIPPED: hosts made of network namespaces need root, ip and nsenter"
        exit 77
    fi
    "$MUSTER_SOURCE/tests/support/nodes" "$1" "$scratch/nodes" >"$log" 2>&1 || fail "no hosts could be made"
    # shellcheck disable=SC2034 # read by the tests
    over_hosts=(--prtemca plm_ssh_agent "$scratch/nodes/shell" --prtemca prte_if_include 10.83.0.0/24
        --mca btl_tcp_if_include 10.83.0.0/24)
}

# on NODE NAME: pids of the processes of that name there.
on() {
    local p net
    net=$(readlink "/proc/$(cat "nodes/$1")/ns/net")
    for p in /proc/[0-9]*; do
        if [ "$(readlink "$p/ns/net")" = "$net" ] && [ "$(cat "$p/comm")" = "$2" ]; then echo "${p#/proc/}"; fi
    done 2>/dev/null
}
