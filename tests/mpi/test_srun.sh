#!/usr/bin/env bash
# Ranks that srun starts, without an mpirun: plain `srun --mpi=pmix`, and muster launch where there is no mpirun. A rank that dies, a
# signal from Slurm, a node that dies. And several command lines in one mpirun, also inside a job. Always the bits of one host, every
# step once.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
if ! [ -e /usr/lib/x86_64-linux-gnu/pmix2/lib/libpmix.so ]; then
    echo "SKIPPED: srun --mpi=pmix needs Debian's libpmix-dev (scripts/setup --tests)"
    exit 77
fi
make_cluster 3 --cpus 8

run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"

# batch NAME [WORDS OF SBATCH...], commands on stdin: a job of them; $TRAIN is `muster train` of NAME, $LAUNCH `muster launch` of
# it by srun. What it says is in NAME.out, its number in $job.
batch() {
    local name=$1 words="train tiny.cfg run.name=$1 ${long[*]}"
    shift
    {
        echo "#!/bin/bash"
        echo "TRAIN='$MUSTER $words' LAUNCH='$MUSTER launch --mpirun srun $words' MPIRUN='$MPIRUN'"
        cat
    } >"$name.sbatch"
    : >"$name.out"
    job=$(submit -N 2 -n 4 --ntasks-per-node=2 -t 10 --no-kill -o "$name.out" "$@" "$name.sbatch")
}
codes() { [ "$(grep -ao '^code [0-9]*' "$log" | xargs)" = "$1" ] || fail "$2: $(grep -a '^code' "$log" | xargs), not $1"; }
look() {
    ended "$1"
    log=$scratch/$2.out
    same_as "$2" whole "$2"
}
slowly='MUSTER_FAULT=at:flip,do:sleep-20'
by_hand='recovery: in-job off$'

# All at the same time: each waits for its files mostly.
batch killed <<'JOB'
MUSTER_FAULT=rank:3,at:flip,step:60,do:kill srun --mpi=pmix $TRAIN; echo "code $?"
# Without PRRTE a rank that sends early now and then crashes one that is still in MPI_Init (ob1), on a loaded machine.
for _ in 1 2 3; do srun --mpi=pmix $TRAIN && break; done; echo "code $?"
JOB
killed=$job
batch relaunched <<'JOB'
MUSTER_FAULT=rank:3,at:flip,step:60,do:kill exec $LAUNCH
JOB
relaunched=$job
batch parts <<'JOB'
$MPIRUN -n 1 -x CUDA_VISIBLE_DEVICES=0 $TRAIN : -n 3 -x CUDA_VISIBLE_DEVICES=1 $TRAIN; echo "code $?"
JOB
parts=$job
# An mpirun that nobody may start, in this job alone.
batch none -N 1 -n 2 <<JOB
unshare --mount bash -c 'mount --bind /dev/null "$MPIRUN" && exec $MUSTER launch train tiny.cfg run.name=none ${long[*]}'; echo "code \$?"
JOB
none=$job
batch signalled <<JOB
export MUSTER_FAULT=${slowly#*=}
for what in "srun --mpi=pmix \$TRAIN" "srun --mpi=pmix \$TRAIN" "\$LAUNCH"; do \$what; echo "code \$?"; done &
trap 'kill -USR1 \$(cat /proc/\$!/task/\$!/children)' USR1
until wait; do :; done
unset MUSTER_FAULT
\$LAUNCH; echo "code \$?"
JOB
signalled=$job
# Slurm's signals to a step, and the one to the batch shell, which hands it on to the launcher.
log=$scratch/signalled.out
said_times() { [ "$(grep -ac -- "$1" "$log")" = "$2" ]; }
until_said '^step '
scancel -s USR1 "$job"
until_true said_times 'a new run in\|going on from' 2
sleep 0.3
scancel -s TERM "$job.1"
until_true said_times 'a new run in\|going on from' 3
sleep 0.3
scancel --batch --signal=USR1 "$job"

look "$killed" killed
codes "code 137 code 0" "a rank killed"
said "4 ranks on 2 hosts: .*; $by_hand" "srun"
said '`muster launch` in the job.s script goes on by itself$' "srun"
said 'going on from' "a rank killed"
look "$relaunched" relaunched
said '; recovery: by starting again$' "launch by srun"
said 'launch: complete; [2-4] generations \(' "a rank killed, launch by srun"
look "$parts" parts
codes "code 0" "parts"
said '; recovery: in-job on$' "mpirun in a job"
look "$none" none
codes "code 0" "no mpirun"
said 'there is no .*/mpirun: ranks are started by srun --mpi=pmix, and all of them again when one dies$' "no mpirun"
look "$signalled" signalled
codes "code 75 code 75 code 75 code 0" "signals"
[ "$(grep -ac 'stopped on request at step .*, with a checkpoint' "$log")" = 3 ] || fail "signals: not stopped three times"

# A node dies, and comes back: it is left out all the same, to the end of the job.
batch node -N 3 -n 6 <<JOB
$slowly MUSTER_FAULT_GENERATIONS=99 exec \$LAUNCH
JOB
log=$scratch/node.out
until_said '^step '
cluster kill n2
until_said 'host n2 does not answer: left out for the rest of this job'
cluster heal n2
until_said 'generation 2 trains'
look "$job" node
said '4 ranks on 2 hosts' "a node killed"
said 'launch: complete; [2-4] generations \(' "a node killed"

# Words that differ, or cannot be understood, in some part: refused by one line, and nobody waits for the others.
log=$scratch/log
part=("$MUSTER" train tiny.cfg run.name=refused)
for words in "tiny.cfg run.name=refused run.steps=9" "" "tiny.cfg --no-such"; do
    for order in 1 2; do
        code=0
        # shellcheck disable=SC2206 # several words
        other=("$MUSTER" train $words)
        [ $order = 1 ] && all=(-n 1 "${part[@]}" : -n 2 "${other[@]}") || all=(-n 2 "${other[@]}" : -n 1 "${part[@]}")
        timeout -k 5 30 "$MPIRUN" "${all[@]}" >"$log" 2>&1 || code=$?
        ended_with 64 "parts, '$words'"
        said_once 'muster.*error:' "parts, '$words'"
        [ ! -e runs/refused ] || fail "parts, '$words': something was written"
    done
done
nothing_left "parts"
