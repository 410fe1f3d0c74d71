#!/usr/bin/env bash
# Too little time in Slurm's allocations, side by side: a run and a sweep that take several starts, a slow checkpoint, one task of an
# array, and jobs in a chain where none may be queued again. Every step once, with the bits of one host.
# Needs root, and Debian's slurm-wlm and munge.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
# shellcheck source=tests/mpi/cluster.sh
. "$(dirname "$0")/cluster.sh"
# shellcheck source=tests/mpi/slurm.sh
. "$(dirname "$0")/slurm.sh"
make_cluster 5 --cpus 2
one=(-N 1 -n 2 --ntasks-per-node=2 -t 10)

# about LOW VALUE HIGH WHEN
about() { awk -v l="$1" -v v="$2" -v h="$3" 'BEGIN { exit !(l <= v && v <= h) }' || fail "$4: $2, expected from $1 to $3"; }
# hears JOB: what it says is in $log.
hears() { log=$scratch/$1.out; }

# Some 4 s of 11 are for training: 400 steps of 23 ms take three more starts.
believing 11
long=(run.steps=400 run.hash_every=100 checkpoint.every=0 eval.every=0)
job short "${one[@]}"
short=$job

# A save takes 2 s; from the first one on it is begun so much earlier, also by the next start.
believing 12
fault="at:flip,do:sleep-20;at:save,do:sleep-2000"
long=(run.steps=2000 checkpoint.every=0 eval.every=0)
job slow "${one[@]}"
slow=$job
fault=at:flip,do:sleep-20

# A sweep stops a tenth of the time before the end, 7 s here.
believing 14 56
script=sweep config=synth.cfg long=(synthetic.step_ms=10)
job laws "${one[@]}"
laws=$job
script=train config=tiny.cfg before_exec=

# The second task of two gets the warning.
long=(run.steps=200 run.hash_every=50 checkpoint.every=10 eval.every=0)
: >task0.out
: >task1.out
# shellcheck disable=SC2016 # for the job
job 'task$SLURM_ARRAY_TASK_ID' -N 1 -n 1 --ntasks-per-node=1 --array=0-1 -o 'task%a.out'
array=$job
until_true grep -q '^step ' task0.out
until_true grep -q '^step ' task1.out
scancel --batch --signal=USR1 "${array}_1"

# Three jobs in a chain, the first of which may not be queued again.
believing 9
job chain "${one[@]}" --no-requeue
first=$job
sed 's/; export [^;]*;/;/' chain.sbatch >next.sbatch
second=$(submit "${one[@]}" -o chain2.out --dependency=afterany:"$first" next.sbatch)
third=$(submit "${one[@]}" -o chain3.out --dependency=afterany:"$second" next.sbatch)

# A sweep by muster submit, under a name that has to be quoted; a second job of it is refused.
submits=("$MUSTER" submit sweep synth.cfg sweep.name="the \"laws\"" "${one[@]}")
"${submits[@]}" >submitted 2>&1 || fail "muster submit sweep: $(cat submitted)"
sweep=$(sed -n 's|^job \([0-9]*\): .*/runs/the "laws"$|\1|p' submitted)
[ -n "$sweep" ] || fail "muster submit sweep does not tell the job and its folder: $(cat submitted)"
"${submits[@]}" >submitted 2>&1 && fail "submitted twice: $(cat submitted)"
grep -q "job $sweep of this sweep is [A-Z]*, and two jobs cannot have one sweep" submitted || fail "twice: $(cat submitted)"

# Meanwhile, what they are to end as.
log=$scratch/log
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "one host"
run 1 tiny.cfg run.name=whole-short run.steps=400 run.hash_every=100 checkpoint.every=0 eval.every=0
ended_with 0 "one host"
sweep 2 synth.cfg sweep.name=whole-laws
ended_with 0 "one host"

# A disk with too little room for one checkpoint, for all that are kept, for all trials of a sweep.
mkdir small
on_disk() { # on_disk SIZE EXIT_CODE SAID WORDS...
    local size=$1 wanted=$2 text=$3 got=0
    shift 3
    mount -t tmpfs -o size="$size" tmpfs small
    "$MUSTER" submit "$@" run.dir=small --dry-run >submitted 2>&1 || got=$?
    [ -z "$(ls small)" ] || fail "a disk of $size: something was written"
    umount small
    [ "$got" = "$wanted" ] && grep -q "$text" submitted || fail "a disk of $size: exit code $got, $(cat submitted)"
}
on_disk 64k 1 'error: a checkpoint takes .*, and the disk of .* has 64.* left' tiny.cfg
on_disk 512k 0 'warning: checkpoints take up to .*, and the disk of run.dir has' tiny.cfg
on_disk 128k 0 'warning: checkpoints of its trials take .* at least, and the disk of' sweep gpts.cfg

# end_of NAME SECONDS: how long before the end of that time the checkpoints at the end of each start were complete, a line a start.
end_of() {
    sed -n 's/.*stopped by run.time_limit at step \([0-9]*\) .*/\1/p' "$1.out" | while read -r step; do
        stat -c %.Y "runs/$1/checkpoints/step-$(printf %08d "$step")/checkpoint.h5"
    done | paste <(starts "$1") - | awk -v s="$2" 'NF == 2 { printf "%.1f\n", $1 + s - $2 }'
}
for task in 0 1; do
    ended "${array}_$task"
    hears task$task
    same_as task$task whole "task $task"
done
grep -q 'restart 1$' task1.out || fail "the task that was warned was not started again"
[ "$(starts task0 | wc -l)" = 1 ] || fail "the other task was"

ended "$third"
hears chain
same_as chain whole "a chain"
said 'Slurm did not queue job [0-9]+ again' "a chain"
hears chain2
said 'going on from' "a chain"
! grep -q 'is queued again' "$log" || fail "a chain: queued again"
hears chain3
said 'this run was complete already' "a chain"
[ "$(scontrol show job "$third" | sed -n 's/.*ExitCode=\([^ ]*\).*/\1/p')" = 0:0 ] || fail "the last of a chain: $(scontrol show job "$third")"

ended "$sweep"
log="$scratch/runs/the \"laws\"/slurm-$sweep.out"
said 'complete: 12 trials' "muster submit sweep"
same_results 'the "laws"' whole-laws "muster submit sweep"

ended "$laws"
hears laws
said 'the time of the allocation ends: stopping the sweep' "a sweep"
said 'restart 1$' "a sweep"
said 'will not finish in this allocation: [0-9]+ more at this speed' "a sweep"
same_results laws whole-laws "a sweep"

hears slow
twice() { [ "$(grep -c 'is queued again' "$log")" -ge 2 ]; }
until_true twice
scancel "$slow"
mapfile -t before < <(end_of slow 12)
echo "a checkpoint of 2 s is complete ${before[0]} s before the end, that of the next start ${before[1]} s"
about 3 "${before[0]}" 7 "a slow checkpoint"
about 7 "${before[1]}" 11 "a slow checkpoint that was known"

ended "$short"
hears short
same_as short whole-short "too little time"
again=$(grep -c 'is queued again' "$log")
[ "$again" -ge 3 ] || fail "too little time: queued again $again times"
more=$(sed -n 's/.*will not finish in this allocation: \([0-9]*\) more at this speed.*/\1/p' "$log" | head -n 1)
# By the speed of its first seconds; other programs may have the cores. Exact numbers: unit-launch_allotted.
about $((again / 2)) "${more:-0}" $((2 * again)) "the forecast, of $again starts more"
end_of short 11 >ends
echo "$again starts more, $more foretold; checkpoints are complete $(xargs <ends) s before the end"
[ "$(wc -l <ends)" = "$again" ] || fail "checkpoints at the end: $(wc -l <ends) of $again"
while read -r end; do about 5 "$end" 9 "a checkpoint before the end"; done <ends
