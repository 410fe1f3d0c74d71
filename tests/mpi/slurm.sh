# shellcheck shell=bash
# What the tests of launch in Slurm's allocations share; sourced after cluster.sh.

long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)

# job NAME [WORDS OF SBATCH...]: scripts/slurm/train.sbatch (or $script), its two lines set; a run of NAME, slowly. Its number is in
# $job, what it says in $log.
script=train
config=tiny.cfg
fault=at:flip,do:sleep-20
before_exec=  # commands
launch_words= # for launch
job() {
    local name=$1
    shift
    sed "s|^muster=.*|muster='$MUSTER'|; s|^config=.*|config=$config|; s|^exec|echo \"began \$(date +%s.%N)\"; ${before_exec:-:}; exec|
        s|launch|& $launch_words|; s|\"\$config\"|& $([ $script = train ] && echo run || echo sweep).name=$name ${long[*]}|" \
        "$MUSTER_SOURCE/scripts/slurm/$script.sbatch" >"$name.sbatch"
    : >"$name.out"
    log=$scratch/$name.out
    job=$(MUSTER_FAULT=$fault MUSTER_FAULT_GENERATIONS=99 submit -n 6 -N 3 --ntasks-per-node=2 -t 10 -o "$name.out" "$@" "$name.sbatch")
}
# believing SECONDS [GONE]: the job believes that so many are left of its time (of which GONE have passed). Slurm gives whole minutes.
believing() { before_exec="export SLURM_JOB_START_TIME=\$((\$(date +%s) - ${2:-0})) SLURM_JOB_END_TIME=\$((\$(date +%s) + $1))"; }
# starts NAME: when its batch script began, a line a start, in seconds since 1970.
starts() { sed -n 's/^began //p' "$1.out"; }
# launcher NAME: the pid of that run's.
launcher() {
    local p
    for p in /proc/[0-9]*; do
        case "$(cat "$p/comm" 2>/dev/null) $(tr '\0' ' ' 2>/dev/null <"$p/cmdline")" in
        "muster "*" launch "*"run.name=$1 "*) echo "${p#/proc/}" ;;
        esac
    done
}
