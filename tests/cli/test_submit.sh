#!/usr/bin/env bash
# muster submit: the script it writes, what it hands to sbatch (a made-up one), and mistakes, after which nothing is written.
. "$(dirname "$0")/common.sh"
unset "${!SLURM_@}" "${!MUSTER_RUN@}"
cp "$MUSTER_SOURCE/configs/synthetic.cfg" c.cfg
mkdir bin
cat >bin/sbatch <<'SBATCH'
#!/bin/sh
printf '%s\n' "$@" >"$SAID"
[ ! -e refuse ] || { echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1; }
echo "42;cluster"
SBATCH
cat >bin/squeue <<'SQUEUE'
#!/bin/sh
[ ! -e lost ] || { echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1; }
[ -e state ] && cat state && exit
echo "slurm_load_jobs error: Invalid job id specified" >&2
exit 1
SQUEUE
chmod +x bin/*
# shellcheck disable=SC2154 # of common.sh
export SAID=$folder/said PATH=$folder/bin:$PATH
nothing_written() {
    if [ -e runs ] || [ -e said ]; then fail "something was written"; fi
    rm -rf runs said
}
submit=("$MUSTER" submit c.cfg "run.dir=runs" "run.name=it's")

expect 0 "${submit[@]}" --dry-run --nodes 2 -t 5
has out "exec $MUSTER launch --requeue -- train c.cfg run.dir=runs 'run.name=it'\\''s'"
has out '#SBATCH --signal=B:USR1@75'
has out '#SBATCH --no-kill'
says 'sbatch --nodes 2 -t 5 '
nothing_written
refuses 64 "--time soon is not understood; expected minutes, H:MM:SS or DAYS-H:MM:SS" "${submit[@]}" --time=soon
nothing_written
expect 64 "$MUSTER" submit -N 2 c.cfg
complains 'the configuration is missing: it comes before the options of sbatch'
expect 64 "$MUSTER" submit run.name=x
complains 'the configuration is missing'
expect 78 "${submit[@]}" run.stepz=3 -N 2
expect 78 "$MUSTER" submit nowhere.cfg
nothing_written
: >refuse
expect 1 "${submit[@]}" -p nowhere
complains 'sbatch: ended with 1: sbatch: error: invalid partition specified: nowhere'
[ ! -e runs ] || fail "left behind: $(find runs)"
rm -rf refuse runs said

# Options that make no sense, or stand in the wrong place.
refuses 64 "run.steps=5 stands behind options of sbatch; expected before them: muster submit CONFIG key=value... OPTIONS" "${submit[@]}" -N 2 run.steps=5
expect 64 "${submit[@]}" --array=0-3
complains '--array: all its tasks would train the same run: copy scripts/slurm/train.sbatch instead'
expect 64 "${submit[@]}" -W
complains '--wait: a job may be queued again for days'
expect 78 "$MUSTER" submit c.cfg "run.dir=a
b"
complains 'run.dir has the end of a line in it'
nothing_written
expect 0 "${submit[@]}" --test-only -N 2
says '42;cluster'
[ ! -e runs ] || fail "a test leaves something behind"
rm -rf runs said
expect 1 env PATH=/nowhere "${submit[@]}"
complains 'there is no sbatch on PATH'
nothing_written

expect 0 "${submit[@]}" -N 2 --comment 'two words'
grep -q "^job 42: .*runs/it's$" out || fail "the job and its folder are not told"
[ "$(head -n -1 said | xargs -d '\n' printf '%s|')" = '--parsable|-N|2|--comment|two words|' ] || fail "sbatch was given: $(cat said)"
[ "$(tail -n 1 said)" = "$(realpath "runs/it's/job.sbatch")" ] || fail "not the script: $(tail -n 1 said)"
bash -n "runs/it's/job.sbatch" || fail "the script is none"
grep -qx '#SBATCH --signal=B:USR1@120' "runs/it's/job.sbatch" || fail "no warning signal"

# Once more, while it is queued, or somebody has it: told now, and not by the job. One behind the other is meant so.
echo PENDING >state
rm said
refuses 1 "job 42 of this run is PENDING, and two jobs cannot have one run: cancel it (scancel 42), or queue this one behind it (--dependency=afterany:42)" "${submit[@]}" -N 2
[ ! -e said ] || fail "submitted all the same"
expect 0 "${submit[@]}" -N 2 --dependency=afterany:42
rm state
flock "runs/it's/.lock" sleep 2 &
until [ -e "runs/it's/.lock" ] && ! flock -n "runs/it's/.lock" true; do sleep 0.02; done
expect 1 "${submit[@]}" -N 2
complains "somebody trains $folder/runs/it's now: stop it (muster stop"
wait
: >lost
expect 0 "${submit[@]}" -N 2
complains 'whether job 42 of this run is still queued is not known: squeue: ended with 1: slurm_load_jobs error: Unable to contact'
rm lost

# How long it takes, where that was measured; never a reason to refuse. (From the step at which both lengths have the same rates.)
expect 0 "$MUSTER" train c.cfg run.dir=runs run.name=half run.steps=60 synthetic.step_ms=0
sed -i 's/"step_ms": [0-9.]*/"step_ms": 1200.0/' runs/half/metrics.jsonl
expect 0 "$MUSTER" submit c.cfg run.dir=runs run.name=half run.steps=30060 -t 4:00:00 -n 4 --dry-run
complains 'warning: it takes about 3 jobs of 4.0 h: 30012 steps are left, of 1.2 s each as measured in this run, with 1 rank, other than now'
expect 0 "$MUSTER" submit c.cfg run.dir=runs run.name=half run.steps=1060 -t 4:00:00 -n 1 --dry-run
complains 'muster: it takes about 20 min: 1012 steps are left, of 1.2 s each as measured in this run, with 1 rank'
expect 0 "$MUSTER" submit c.cfg run.dir=runs run.name=half run.steps=60 --dry-run
complains "half is complete already: the job would have nothing to do"
expect 0 "$MUSTER" submit c.cfg run.dir=runs run.name=new -t 60 -N 2 --ntasks-per-node=16 --dry-run
! grep -q 'it takes about' err || fail "a time out of nothing"
complains '32 ranks, but work for 16 only'
! grep -q 'take turns' err || fail "cores of the login node"
expect 0 "$MUSTER" submit --measure c.cfg run.dir=runs run.name=new -t 60 -N 2 --ntasks-per-node=1 --dry-run
grep -qE 'it takes about [0-9.]+ s: 500 steps are left, of 0\.0[0-9]* s each as measured on this machine, with 2 ranks' err || fail "--measure"
cat >sweep.cfg <<'SWEEP'
@include "c.cfg"
sweep = { name = "laws"; budgets = [3e8]; sizes = { key = "synthetic.params"; values = [2e3, 4e3, 8e3, 1.6e4]; };
          window = { points = 4; each_side = 1; extend = 0; }; };
SWEEP
mkdir -p runs/laws
echo '{"schema": "muster-sweep-1", "eta": 30000, "fleet": {"ranks": 8}}' >runs/laws/sweep.json
expect 0 "$MUSTER" submit sweep sweep.cfg run.dir=runs -t 60 -n 8 --dry-run
complains 'it takes about 9 jobs of 60 min: as its last start has estimated, with 8 ranks'
says "exec $MUSTER launch --requeue -- sweep sweep.cfg run.dir=runs"

# Names that a batch script has to quote.
name='a b"c\d$x#y'
expect 0 "$MUSTER" submit c.cfg run.dir=runs run.name="$name" -N 2
bash -n "runs/$name/job.sbatch" || fail "the script is none: $(cat "runs/$name/job.sbatch")"
grep -qxF '#SBATCH --job-name="a b\"c\\d$x#y"' "runs/$name/job.sbatch" || fail "the name: $(cat "runs/$name/job.sbatch")"
complains 'what the job says goes to slurm-JOB.out in this folder'

# launch, outside of Slurm, and where Slurm tells what is not understood.
expect 64 "$MUSTER" launch --requeue train c.cfg
complains '--requeue: this is no Slurm job'
expect 1 env SLURM_JOB_ID=1 SLURM_JOB_NODELIST='n[1-' "$MUSTER" launch train c.cfg run.dir=runs run.name=odd
complains "Slurm's list of nodes \"n[1-\" is not understood"
[ ! -e runs/odd ] || fail "a run was begun"
finish
