# shellcheck shell=bash
# What the tests on a virtual cluster share; sourced after common.sh. Each has a cluster of its own, which ends with it.

# cluster WORDS...: scripts/virtual-cluster. make_cluster N [OPTIONS...]: nodes n1, n2, ...; sbatch, squeue ... are that cluster's
# from then on. Skips the test where that cannot be.
PATH=$PATH:/usr/sbin:/sbin
# shellcheck disable=SC2154 # common.sh has it
export VIRTUAL_CLUSTER=$scratch/c
cluster() { "$MUSTER_SOURCE/scripts/virtual-cluster" "$@"; }
make_cluster() {
    local tool
    # In a user namespace Slurm could not become another user, which it tries for every job.
    if [ "$MUSTER_TEST_ALONE" != 1 ] || [ "$(awk '{ print $3 }' /proc/self/uid_map)" != 4294967295 ]; then
        echo "SKIPPED: a virtual cluster needs root"
        exit 77
    fi
    for tool in ip nsenter munged slurmctld slurmd sbatch; do
        if ! command -v $tool >/dev/null; then
            echo "SKIPPED: a virtual cluster needs $tool (scripts/setup --tests)"
            exit 77
        fi
    done
    cluster up "$@" >"$log" 2>&1 || fail "no cluster could be made"
    # shellcheck disable=SC1091 # made there
    . "$VIRTUAL_CLUSTER/env"
    trap 'cluster down; leave_scratch' EXIT
}

# submit WORDS...: sbatch; the job's number.
submit() { sbatch --parsable "$@"; }
# over JOB: Slurm knows of no task of it that could still run. ended JOB: waits for that, up to 60 s.
over() { [ -z "$(squeue -h -j "$1" 2>/dev/null)" ]; }
ended() {
    for _ in $(seq 300); do
        if over "$1"; then return; fi
        sleep 0.2
    done
    squeue >"$log"
    fail "job $1 does not end"
}

# nothing_of_it WHEN: no process but this test's own, no mount, network or file is left of the cluster. $before: what `seen` said.
seen() { cat /etc/hosts /proc/self/mountinfo && ip -o link | cut -d' ' -f2; }
nothing_of_it() {
    local p
    for p in /proc/[0-9]*; do
        # Its program's name first: a folder of the checkout may be called so, too.
        case "$(cat "$p/comm" 2>/dev/null) $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null)" in
        slurm* | munged* | prte* | *"virtual-cluster --inside"*) fail "$1: still there: $(tr '\0' ' ' <"$p/cmdline")" ;;
        esac
    done
    [ ! -e "$VIRTUAL_CLUSTER" ] || fail "$1: $VIRTUAL_CLUSTER is still there: $(ls "$VIRTUAL_CLUSTER")"
    diff <(echo "$before") <(seen) >"$log" || fail "$1: hosts, mounts or networks differ"
}
before=$(seen)
