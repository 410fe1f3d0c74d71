#!/usr/bin/env bash
# muster launch: mpirun and ranks die at every moment, and the run goes on by itself to the bits of the undisturbed one; what
# no repetition mends ends at once, with the right exit code. Nothing is left over.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

long=(run.steps=48 checkpoint.every=3 eval.every=12)
rare=(run.steps=48 checkpoint.every=0 eval.every=12)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# Nothing happens; without build/env, mpirun is found and set up.
(
    for name in "${!OMPI_@}" "${!PRTE_@}" OPAL_PREFIX; do unset "$name"; done
    PATH=/usr/bin:/bin launch -n 3 -- train tiny.cfg run.name=calm "${long[@]}"
    ended_with 0 "without build/env"
)
same_as calm whole "without build/env"
said_once 'launch: complete; 1 generation$' "without build/env"
untouched "without build/env"

# mpirun is killed in mid-run, again, and is told to end: the next ranks find the state in memory.
slowly 4 tiny.cfg run.name=mpirun "${rare[@]}"
for signal in KILL TERM KILL; do
    kill -$signal "$(launched_mpirun)"
    next_generation
done
finish
ended_with 0 "mpirun killed"
same_as mpirun whole "mpirun killed"
said 'generation 1: mpirun was killed \(signal 9\) at step [0-9]+; starting again with 4 ranks on 1 host, from the state in memory' "mpirun killed"
said 'launch: complete; 4 generations' "mpirun killed"
nothing_lost mpirun 3 "mpirun killed"
[ "$(ls runs/mpirun/checkpoints)" = step-00000048 ] || fail "mpirun killed: other checkpoints than that of the end"
untouched "mpirun killed"

# All ranks at once.
slowly 3 tiny.cfg run.name=ranks "${rare[@]}"
# shellcheck disable=SC2046
kill -KILL $(all_ranks)
finish
ended_with 0 "all ranks killed"
same_as ranks whole "all ranks killed"
said 'launch: complete; 2 generations' "all ranks killed"
nothing_lost ranks 1 "all ranks killed"
untouched "all ranks killed"

# Some of them: the others go on in the same generation.
slowly 4 tiny.cfg run.name=some "${long[@]}"
for rank in 0 2; do
    kill -KILL "$(rank_pid $rank)"
    until_said "rank $rank died"
done
finish
ended_with 0 "two ranks killed"
same_as some whole "two ranks killed"
said 'launch: complete; 1 generation$' "two ranks killed"
said 'rank 2 died .* 2 ranks go on after' "two ranks killed"
[ "$(lost some)" = 0 ] || fail "two ranks killed: steps lost: $(lost some)"
untouched "two ranks killed"

# One that MPI does not see leave, and cannot be told of: that cannot be repaired in the job, and all ranks end.
silent=(--mpirun-args "-x LD_PRELOAD=$MUSTER_BUILD/tests/silent-pmix.so")
for fault in rank:1,at:adding,step:20,do:exit rank:0,at:save,step:20,do:exit rank:2,at:backward,step:20,do:exit; do
    MUSTER_FAULT=$fault launch -n 3 "${silent[@]}" train tiny.cfg run.name="exit-${fault:5:1}" "${long[@]/every=3/every=20}"
    ended_with 0 "$fault"
    same_as "exit-${fault:5:1}" whole "$fault"
    said "generation 1: .*rank ${fault:5:1} .*died at step (19|20|21); starting again with 3 ranks" "$fault"
    said 'launch: complete; 2 generations' "$fault"
    nothing_lost "exit-${fault:5:1}" 1 "$fault"
    untouched "$fault"
done

# One at the start, before MPI can tell of it.
MUSTER_FAULT=rank:1,at:start,do:kill launch -n 3 train tiny.cfg run.name=start "${long[@]}"
ended_with 0 "killed in MPI_Init"
same_as start whole "killed in MPI_Init"
said 'generation 1: .*rank 1 \(pid [0-9]+, last seen at: start\).* died before the first step; .*, from the beginning' "killed in MPI_Init"
untouched "killed in MPI_Init"

# Where MPI ends the job with the first rank that dies, as one without fault tolerance does.
(
    export OMPI_MCA_mpi_ft_enable=0 PRTE_MCA_state_base_recoverable=0 PRTE_MCA_state_base_notify_errors=0
    MUSTER_FAULT=rank:1,at:backward,step:20,do:kill launch -n 3 train tiny.cfg run.name=plain "${long[@]}"
    ended_with 0 "without fault tolerance"
)
same_as plain whole "without fault tolerance"
said 'launch: complete; 2 generations' "without fault tolerance"
untouched "without fault tolerance"

# All die in the same step, every time.
MUSTER_FAULT=at:backward,step:20,do:kill MUSTER_FAULT_GENERATIONS=99 launch -n 2 train tiny.cfg run.name=wall "${long[@]}"
ended_with 1 "the same step every time"
said 'the run does not get beyond step [0-9]+: 3 generations in a row have committed nothing new' "the same step every time"
said 'generation 3: rank 0 \(pid [0-9]+, last seen at: backward, step 21\).* died' "the same step every time"
said 'generation 4: ' "the same step every time"
! grep -q 'generation 5' "$log" || fail "a fifth generation: $(cat "$log")"
untouched "the same step every time"
MUSTER_FAULT=at:backward,step:20,do:kill MUSTER_FAULT_GENERATIONS=99 launch -n 2 --max-restarts 1 train tiny.cfg run.name=once "${long[@]}"
ended_with 1 "--max-restarts 1"
said_once 'no relaunch is left of the 1 that were allowed \(--max-restarts\)' "--max-restarts 1"
said 'launch: failed; 2 generations' "--max-restarts 1"
untouched "--max-restarts 1"

# What will not be mended by starting again.
launch -n 2 train tiny.cfg run.name=bad model.width=7
ended_with 78 "a wrong configuration"
[ ! -e runs/bad ] || fail "a wrong configuration made a run directory"
! grep -q generation "$log" || fail "a wrong configuration was launched"
launch -n 2 train tiny.cfg run.name=bad data.train=no-such-file.bin
ended_with 78 "no data"
said 'launch: wrong configuration; 1 generation' "no data"
launch -n 2 train tiny.cfg run.name=inf "${long[@]}" optim.lr=1e3 optim.clip=0 optim.weight_decay=1e3
ended_with 1 "a gradient that is not finite"
said 'launch: failed; 1 generation \(all ranks gave up together: 1\)' "a gradient that is not finite"
[ "$(field inf outcome)" = failed ] || fail "not finite: outcome $(field inf outcome)"
untouched "what will not be mended"
