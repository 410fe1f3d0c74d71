#!/usr/bin/env bash
# Deaths at the start, of spares, and those that are no SIGKILL of one rank: crashes, exits, mpirun
# itself, everybody at once; and an Open MPI without its fault tolerance.
. "$(dirname "$0")/common.sh"

long=(run.steps=48 checkpoint.every=3 eval.every=3)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# Before everybody holds the state the others begin again; in MPI_Init there is nobody to do so.
# (The nap: Open MPI 5.0.11 crashes in a rank that hears of a death in its MPI_Comm_dup.)
survives started 4 "rank:0,at:started,do:sleep-500;rank:0,at:started,do:kill;rank:2,at:forward,step:0,do:kill" 2 "${long[@]}"
ends init 3 0 kill start '*' "rank 0 died at the start" "${long[@]}"
run 3 tiny.cfg run.name=init run.steps=48 checkpoint.every=3 eval.every=3 # every file of the start is made by now
survives loaded 3 "rank:1,at:flip,step:20,do:kill;rank:2,at:backward,step:21,do:kill" 2 "${long[@]}"

# One that dies before it is on the board is missed there (mpirun does not end the others); one that is only late is not.
# with_another WORDS...: two ranks, and a third one as sh runs WORDS.
with_another() {
    code=0
    timeout -k 5 30 "$MPIRUN" -n 2 "$MUSTER" train tiny.cfg run.name=another "${long[@]}" : -n 1 sh -c "$1" >"$log" 2>&1 || code=$?
}
began=$SECONDS
# shellcheck disable=SC2016 # for the inner shell
with_another 'kill -KILL $$'
ended_with 1 "a rank dies before it begins"
[ $((SECONDS - began)) -le 15 ] || fail "a rank dies before it begins: it took $((SECONDS - began)) s to end"
said_once 'muster.*error: a rank of this host died as soon as mpirun had started it' "a rank dies before it begins"
nothing_left "a rank dies before it begins"
with_another "sleep 3; exec '$MUSTER' train tiny.cfg run.name=another ${long[*]}"
ended_with 0 "a rank begins late"
same_as another whole "a rank begins late"

# With 8 shards the ninth rank is a spare; with run.spares two are.
survives spare 9 "rank:8,at:flip,step:9,do:kill;rank:3,at:backward,step:12,do:kill" 2 "${long[@]}"
said '8 workers .*, 1 spare;' "a spare"
survives spares 5 "rank:0,at:forward,step:9,do:kill" 1 run.spares=2 "${long[@]}"
said '3 workers .*, 2 spares;' "two spares"

# A dedicated master computes no shard, so that it never comes to add one; who follows it gives its own up.
survives idle 3 "rank:0,at:adding,do:kill" 0 run.master=dedicated "${long[@]}"
survives dedicated 5 "rank:0,at:flip,step:9,do:kill;rank:1,at:reduced,step:14,do:kill;rank:3,at:backward,step:20,do:kill" 3 \
    run.master=dedicated run.spares=1 run.audit_every=4 "${long[@]}"
said '3 workers \(master: rank 0, dedicated\), 1 spare;' "a dedicated master"
MUSTER_HOSTS=2 survives dedicated-hosts 4 "rank:0,at:save,step:9,do:kill;rank:2,at:adding,step:20,do:kill" 2 run.master=dedicated "${long[@]}"

died() { echo "rank $1 died \(pid [0-9]+, last seen at: $2"; }
survives segv 4 "rank:0,at:backward,step:13,do:segv;rank:2,at:forward,step:16,do:segv" 2 "${long[@]}"
# A failure that is one rank's alone is a death like another one; one that all ranks have ends the run.
survives alone 3 "rank:0,at:backward,step:9,do:fail;rank:2,at:forward,step:14,do:fail" 2 "${long[@]}"
MUSTER_FAULT=at:backward,step:5,do:fail limit=30 run 3 tiny.cfg run.name=together "${long[@]}"
ended_with 1 "all ranks failed"
[ "$(field together outcome)" = failed ] || fail "all ranks failed: outcome $(field together outcome)"
nothing_left "all ranks failed"
# Of a rank that leaves by exit() MPI does not hear by itself: the ranks of its host tell it.
# (One: after a second code that is not 0 mpirun ends them all.)
survives exit 4 "rank:1,at:adding,step:4,do:exit;rank:2,at:backward,step:9,do:kill" 2 "${long[@]}"
survives exit-master 4 "rank:0,at:save,step:12,do:exit" 1 "${long[@]}"
MUSTER_HOSTS=3 survives exit-host 4 "rank:1,at:reduce,step:7,do:exit" 1 "${long[@]}"
# Where they cannot, a death takes longer, and a repair would wait for one that has left for ever.
mpirun_options=(-x LD_PRELOAD="$MUSTER_BUILD/tests/silent-pmix.so")
survives silent 4 "rank:2,at:adding,step:9,do:kill;rank:0,at:backward,step:13,do:kill" 2 "${long[@]}"
ends run 3 1 exit adding 4 "$(died 1 adding)" "${long[@]}"
MUSTER_HOSTS=2 ends run 3 1 exit reduce 7 "$(died 1 reduce)" "${long[@]}"
MUSTER_HOSTS=3 ends run 3 0 exit save 12 "$(died 0 save)" "${long[@]}"
mpirun_options=()

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
said 'which was still in memory' "after mpirun was killed"
# shellcheck disable=SC2046
kill -KILL $(ranks_alive)
finish
[ "$code" != 124 ] || fail "all ranks killed: mpirun did not end"

# Killed at different steps: the host that is behind gets the state of the other, and so does a host that is new.
export MUSTER_HOSTS=2
MUSTER_FAULT="rank:1,at:flip,step:20,do:kill;rank:0,at:shrink,do:kill" run 2 tiny.cfg run.name=apart "${long[@]}"
MUSTER_HOSTS=3 run 4 tiny.cfg run.name=apart "${long[@]}"
ended_with 0 "hosts at different steps"
said 'step 21 is handed over' "hosts at different steps"
said 'going on from step 21, which was still in memory' "hosts at different steps"
same_as apart whole "hosts at different steps"
unset MUSTER_HOSTS

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
