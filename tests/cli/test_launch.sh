#!/usr/bin/env bash
# muster launch and resize, mistyped: what is said, and the exit code; nothing is made. That they work: tests/mpi/test_launch*.sh.
. "$(dirname "$0")/common.sh"
export TMPDIR=$folder/t
mkdir t
see="; see 'muster launch --help'"

printf 'run = { steps = 2; };\nmodel = { kind = "synthetic"; };\n' >ok.cfg
printf 'run = { steps = 2; nmae = "x"; };\nmodel = { kind = "synthetic"; };\n' >wrong.cfg
refuses 64 "nothing was said to work on$see" "$MUSTER" launch
refuses 64 "words are missing; expected: muster launch [options] [--] train CONFIG [key=value...]$see" "$MUSTER" launch -n 2 train
refuses 64 "'tarin' cannot be launched; expected: train CONFIG or sweep SWEEP$see" "$MUSTER" launch -n 2 -- tarin ok.cfg
refuses 64 "CONFIG is missing: the first word after train is run.steps=3$see" "$MUSTER" launch train run.steps=3
refuses 64 "--ranks: '0' is not an integer from 1 to 4096$see" "$MUSTER" launch -n 0 train ok.cfg
refuses 64 "--ranks: 'two' is not an integer from 1 to 4096$see" "$MUSTER" launch -np two train ok.cfg
refuses 64 "unknown option --host; did you mean --hosts?$see" "$MUSTER" launch --host a train ok.cfg
refuses 64 "--hosts and --hostfile: give one of them$see" "$MUSTER" launch --hosts a --hostfile b train ok.cfg
refuses 64 "--mpirun srun: this is no Slurm job (SLURM_JOB_ID is not set); type the same in a script for sbatch, or after salloc$see" "$MUSTER" launch --mpirun srun train ok.cfg
refuses 64 "--hosts: host a: expected a number of slots from 1 to 4096" "$MUSTER" launch --hosts a:x train ok.cfg
refuses 64 "there is no host file no-such-file" "$MUSTER" launch --hostfile no-such-file train ok.cfg
refuses 64 "launch starts mpirun by itself: call it without mpirun$see" env PMIX_RANK=0 "$MUSTER" launch train ok.cfg
refuses 64 "MUSTER_FAULT: a fault needs at:POINT and do:WHAT; got 'at:flip'" env MUSTER_FAULT=at:flip "$MUSTER" launch train ok.cfg
refuses 78 "wrong.cfg:1: run.nmae: unknown key; did you mean 'run.name'?" "$MUSTER" launch train wrong.cfg
refuses 78 "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000" "$MUSTER" launch train ok.cfg run.steps=0

# A sweep.
{
    cat ok.cfg
    echo 'sweep = { name = "one"; budgets = [1e7]; sizes = { key = "synthetic.params"; values = [2e3, 4e3, 8e3, 1.6e4]; }; };'
} >sweep.cfg
refuses 64 "SWEEP is missing: the first word after sweep is sweep.name=x$see" "$MUSTER" launch sweep sweep.name=x
for option in "--from runs/x" --fresh; do
    # shellcheck disable=SC2086 # two words
    refuses 64 "${option% *} is for train: a sweep begins its trials by itself, and another sweep.name begins it anew$see" \
        "$MUSTER" launch $option sweep sweep.cfg
done
refuses 78 "ok.cfg: sweep: missing; expected sweep = { ... }; as in configs/sweep-toy.cfg" "$MUSTER" launch sweep ok.cfg
refuses 78 "command line: sweep.nmae: unknown key; did you mean 'sweep.name'?" "$MUSTER" launch -n 2 -- sweep sweep.cfg sweep.nmae=x
refuses 78 "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000" "$MUSTER" launch sweep sweep.cfg run.steps=0
[ ! -e runs ] || fail "a mistake made a run directory"

# An mpirun that is not there, or ends at once: told, and not tried for ever.
refuses 1 "cannot start ./no-mpirun: No such file or directory" "$MUSTER" launch --mpirun ./no-mpirun train ok.cfg
printf '#!/bin/sh\nexit 3\n' >mpirun
chmod +x mpirun
refuses 1 "  generation 3: mpirun ended with exit code 3 before the first step" \
    "$MUSTER" launch --mpirun ./mpirun train ok.cfg
refuses 1 "  generation 3: mpirun ended with exit code 3 before the first step" \
    "$MUSTER" launch --mpirun ./mpirun sweep sweep.cfg
[ -z "$(ls -A "$TMPDIR")" ] || fail "a folder is left"

see="; see 'muster resize --help'"
refuses 64 "how many ranks? 'muster resize runs/run N'$see" "$MUSTER" resize runs/run
refuses 64 "'many' is not a number of ranks from 1 to 4096$see" "$MUSTER" resize runs/run many
refuses 1 "runs is not a run directory; expected its path, such as runs/NAME" "$MUSTER" resize runs 2
refuses 1 "nobody would obey: no launcher has the run runs/run. Start it with \`muster launch -n 2 train ...\`" \
    "$MUSTER" resize runs/run 2
finish
