#!/usr/bin/env bash
# scripts/virtual-cluster: three nodes with a real Slurm. A job over two of them ends with the bits of one host; under another one a
# node dies and the controller is restarted; a link is cut, a job requeued and one preempted; `down` leaves nothing, also after an
# `up` that was killed. Needs root, and Debian's slurm-wlm and munge.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
make_cluster 3 --cpus 2

run 1 tiny.cfg run.name=whole
ended_with 0 "one host"
job=$(submit -N 2 -n 4 --wrap "'$MPIRUN' -n 4 --map-by ppr:2:node:oversubscribe '$MUSTER' train tiny.cfg run.name=job")
ended "$job"
cp "slurm-$job.out" "$log"
same_as job whole "a job"
[ "$(field job hosts)" = 2 ] || fail "$(field job hosts) hosts, not 2"
for n in n1 n2 n3; do
    # shellcheck disable=SC2016 # for the node
    left=$(cluster exec $n sh -c 'ls /dev/shm "$TMPDIR"')
    [ "$(tr -d '\n' <<<"$left")" = "/dev/shm:$VIRTUAL_CLUSTER/tmp:" ] || fail "left on $n: $left"
done

# A job that lives on without a node, and while there is no controller. What it starts must overlap with what the dead node still
# seems to run.
cat >keeps.sh <<'JOB'
#!/bin/bash
trap 'echo asked' USR1
hosts() { srun --overlap -w "$1" hostname | sort | xargs; }
echo "first on $(hosts n1,n2,n3)"
srun -N 3 -n 3 sleep infinity 2>/dev/null &
until [ -e killed ]; do sleep 0.1; done
echo "then on $(hosts n1,n3)"
for ((i = 0; i < 600; i++)); do sleep 0.1; done
JOB
job=$(submit -N 3 -n 3 --no-kill --exclusive keeps.sh)
until_true grep -qs 'first on n1 n2 n3' "slurm-$job.out"
cluster kill n2
[[ $(cluster status) == *'n2 is dead'* ]] || fail "status does not say that n2 is dead"
: >killed
until_true grep -q 'then on n1 n3' "slurm-$job.out"
sleep 5 # for the controller to have saved that the job runs
cluster kill ctl
cluster heal ctl
scancel --batch --signal=USR1 "$job"
until_true grep -q '^asked' "slurm-$job.out"
cluster heal n2
scancel "$job"
ended "$job"

# A link is cut and mended; a job requeues itself while urgent ones take all nodes.
# shellcheck disable=SC2016 # for the inner shell
answers() { cluster exec login timeout 1 bash -c ': <>"/dev/tcp/$0/6818"' "$1" 2>/dev/null; }
answers n3 || fail "slurmd on n3 does not answer"
cluster cut n3
[[ $(cluster status) == *'n3 is cut off'* ]] || fail "status does not say that n3 is cut off"
if answers n3; then fail "n3 answers though its link is cut"; fi
cluster heal n3
answers n3 || fail "slurmd on n3 does not answer after heal"
# shellcheck disable=SC2016 # for the job
again='echo restart "${SLURM_RESTART_COUNT:-0}"; [ -n "$SLURM_RESTART_COUNT" ] || scontrol requeue $SLURM_JOB_ID'
job=$(submit --open-mode=append --wrap "$again; sleep 0.1")
urgent=$(submit --partition=urgent --array=0-2 --exclusive --wrap 'hostname; sleep 1')
ended "$urgent"
[ "$(cat "slurm-${urgent}_"[012].out | sort | xargs)" = "n1 n2 n3" ] || fail "not a task of the array on each node"
ended "$job"
[ "$(grep -a '^restart' "slurm-$job.out" | xargs)" = "restart 0 restart 1" ] || fail "requeued: $(cat "slurm-$job.out")"

cluster up 3 --cpus 2 >"$log" 2>&1 || fail "up, when it is up"
cluster down
nothing_of_it "down"

# An `up` that is killed.
for pause in 0.1 0.3 0.6; do
    "$MUSTER_SOURCE/scripts/virtual-cluster" up 2 >/dev/null 2>&1 &
    disown
    sleep $pause
    kill -KILL $! 2>/dev/null || true
    cluster down
    nothing_of_it "an up that was killed after $pause s"
done
