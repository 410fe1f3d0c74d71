#!/usr/bin/env bash
# GPUs in Slurm's allocations, on nodes that Slurm believes to have two each, and an emulated module: launch starts one rank for each
# GPU, whatever way the job asked for them, also where nodes have different numbers, and each rank has one of its own. Spares.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/gpu.sh
. "$(dirname "$0")/gpu.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
sed -i 's/device = { kind = "cuda"; }/device = { kind = "cuda"; collective = "mpi"; }/' tiny.cfg # NCCL's stand-in knows one machine
make_cluster 3 --cpus 8 --gpus 2

run 2 tiny.cfg run.name=whole
ended_with 0 "one host"

# gpus NAME HOW WORDS...: a job that launches a run of it, by mpirun or srun, in an allocation as WORDS ask for.
gpus() {
    local name=$1 how=()
    [ "$2" = mpirun ] || how=(--mpirun "$2")
    shift 2
    printf '#!/bin/bash\nexec %s\n' "$MUSTER launch ${how[*]} train tiny.cfg run.name=$name $more" >"$name.sbatch"
    jobs[$name]=$(submit -t 10 --no-kill -o "$name.out" "$@" "$name.sbatch")
}
declare -A jobs
more=
# trained NAME LINE...: it ended with the same bits, and all lines were said.
trained() {
    local name=$1
    shift
    ended "${jobs[$name]}"
    log=$scratch/$name.out
    same_as "$name" whole "$name"
    for line; do said "$line" "$name"; done
}
gpus each mpirun -N 3 --gpus-per-node=2
trained each 'Slurm job .*: 3 nodes, 6 GPUs, ' '^muster\[0\]: 6 ranks on 3 hosts: 6 workers'
# Of five GPUs some node has but one, and a step without a word would ask for five of it.
gpus mixed mpirun -N 3 --gpus=5
gpus stepped srun -N 3 --gpus=5
trained mixed 'Slurm job .*: 3 nodes, 5 GPUs, ' '^muster\[0\]: 5 ranks on 3 hosts: 5 workers' 'ranks were shown different numbers of GPUs'
trained stepped 'Slurm job .*: 3 nodes, 5 GPUs, ' '^muster\[0\]: 5 ranks on 3 hosts: 5 workers' 'recovery: by starting again'
gpus tasks mpirun -N 2 -n 4 --gpus-per-task=1
trained tasks 'Slurm job .*: 2 nodes, 4 task slots, ' '^muster\[0\]: 4 ranks on 2 hosts: 4 workers'
gpus gres srun -N 2 --ntasks-per-node=2 --gres=gpu:2
trained gres 'Slurm job .*: 2 nodes, 4 task slots, ' '^muster\[0\]: 4 ranks on 2 hosts: 4 workers'

# Plain srun: each task is shown one.
printf '#!/bin/bash\nsrun --mpi=pmix %s\n' "$MUSTER train tiny.cfg run.name=alone" >alone.sbatch
jobs[alone]=$(submit -t 10 -N 2 -n 3 --gpus-per-task=1 -o alone.out alone.sbatch)
# shellcheck disable=SC2016 # for the job
trained alone '3 ranks on 2 hosts: 3 workers' 'recovery: in-job off'

# Of all the slots one is a spare, which takes the place of a rank that dies.
more=run.spares=1
export MUSTER_FAULT=rank:2,at:flip,step:6,do:kill
gpus spare mpirun -N 2 --gpus-per-node=2
unset MUSTER_FAULT
trained spare '4 ranks on 2 hosts: 3 workers \(master: rank 0\), 1 spare; ' 'rank 2 died.*; 3 ranks go on after'
