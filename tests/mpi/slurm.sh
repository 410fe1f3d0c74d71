# shellcheck shell=bash
# What the tests of launch in Slurm's allocations share; sourced after cluster.sh.

long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)

# job NAME [WORDS OF SBATCH...]: scripts/slurm/train.sbatch, its two lines set; a run of NAME, slowly. Its number is in $job, what it
# says in $log.
before_exec=  # commands
launch_words= # for launch
job() {
    local name=$1
    shift
    sed "s|^muster=.*|muster='$MUSTER'|; s|^config=.*|config=tiny.cfg|; s|^exec|${before_exec:-:}; exec|; s|launch|& $launch_words|; s|\"\$config\"|& run.name=$name ${long[*]}|" \
        "$MUSTER_SOURCE/scripts/slurm/train.sbatch" >"$name.sbatch"
    : >"$name.out"
    log=$scratch/$name.out
    job=$(MUSTER_FAULT=at:flip,do:sleep-20 MUSTER_FAULT_GENERATIONS=99 submit -n 6 -N 3 --ntasks-per-node=2 -t 10 -o "$name.out" "$@" "$name.sbatch")
}
