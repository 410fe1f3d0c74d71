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
chmod +x bin/sbatch
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
[ ! -e "runs/it's" ] || fail "left behind: $(ls "runs/it's")"
rm -rf refuse runs said

expect 0 "${submit[@]}" -N 2 --comment 'two words'
grep -q "^job 42: .*runs/it's$" out || fail "the job and its folder are not told"
[ "$(head -n -1 said | xargs -d '\n' printf '%s|')" = '--parsable|-N|2|--comment|two words|' ] || fail "sbatch was given: $(cat said)"
[ "$(tail -n 1 said)" = "$(realpath "runs/it's/job.sbatch")" ] || fail "not the script: $(tail -n 1 said)"
bash -n "runs/it's/job.sbatch" || fail "the script is none"
grep -qx '#SBATCH --signal=B:USR1@120' "runs/it's/job.sbatch" || fail "no warning signal"

# launch, outside of Slurm, and where Slurm tells what is not understood.
expect 64 "$MUSTER" launch --requeue train c.cfg
complains '--requeue: this is no Slurm job'
expect 1 env SLURM_JOB_ID=1 SLURM_JOB_NODELIST='n[1-' "$MUSTER" launch train c.cfg run.dir=runs run.name=odd
complains "Slurm's list of nodes \"n[1-\" is not understood"
[ ! -e runs/odd ] || fail "a run was begun"
finish
