#!/usr/bin/env bash
# Deaths that are no SIGKILL of one rank: crashes, exits that MPI does not notice, mpirun itself, everybody at once; and
# an Open MPI without its fault tolerance.
. "$(dirname "$0")/common.sh"

long=(run.steps=48 checkpoint.every=3 eval.every=3)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

died() { echo "rank $1 died \(pid [0-9]+, last seen at: $2"; }
die run 3 1 exit adding 4 "$(died 1 adding)" "${long[@]}"
MUSTER_HOSTS=2 die run 3 1 exit reduce 7 "$(died 1 reduce)" "${long[@]}"
MUSTER_HOSTS=3 die run 3 0 exit save 12 "$(died 0 save)" "${long[@]}"
die run 3 0 exit start '*' "rank 0 died at the start" "${long[@]}"
die run 3 0 segv backward 13 "$(died 0 backward)" "${long[@]}"
MUSTER_HOSTS=2 die run 3 1 segv update 16 "$(died 1 update)" "${long[@]}"

# slowly RANKS: starts, and waits until it has gone beyond the newest checkpoint.
slowly() {
    local had
    had=$(lines run)
    export MUSTER_FAULT="at:flip,do:sleep-50"
    start "$1" tiny.cfg run.name=run "${long[@]}"
    unset MUSTER_FAULT
    until_true beyond run $((had + 4))
}

slowly 4
kill -KILL "$(mpirun_pid)"
no_rank_left "mpirun killed"
finish

slowly 3
# shellcheck disable=SC2046
kill -KILL $(ranks_alive)
finish
[ "$code" != 124 ] || fail "all ranks killed: mpirun did not end"

# As with an mpirun that nobody has told to keep ranks alive.
without=(OMPI_MCA_mpi_ft_enable PRTE_MCA_state_base_recoverable PRTE_MCA_state_base_notify_errors)
for fault in rank:1,at:start,do:kill rank:0,at:started,do:kill rank:1,at:backward,step:30,do:kill \
    rank:0,at:update,step:34,do:kill rank:2,at:adding,step:37,do:exit rank:0,at:save,step:42,do:kill; do
    began=$SECONDS
    export MUSTER_FAULT=$fault MUSTER_HOSTS=$((1 + began % 2))
    (
        unset "${without[@]}"
        limit=30 run 3 tiny.cfg run.name=run "${long[@]}"
        [ "$code" != 0 ] && [ "$code" != 124 ] || fail "without fault tolerance, $fault: exit code $code"
    )
    [ $((SECONDS - began)) -le 15 ] || fail "without fault tolerance, $fault: $((SECONDS - began)) s"
    no_rank_left "without fault tolerance, $fault"
done
unset MUSTER_FAULT MUSTER_HOSTS

run 2 tiny.cfg run.name=run "${long[@]}"
ended_with 0 "after all that"
same_as run whole "after all that"
# Also what ranks of other hosts and of killed jobs left.
rm -f /dev/shm/sm_segment* # Open MPI's own, of ranks that it killed
nothing_left "after all that"
