#!/usr/bin/env bash
# muster doctor: what it says of this machine, and of one that pretends to be another: with programs on PATH that hang, fail or
# talk nonsense, with a full folder and a small /dev/shm (where namespaces can be had). Nothing is left behind.
# With a /dev/shm of its own, where that can be had: any start of a run beside this one takes away what was left there.
if [ -z "${MUSTER_DOCTOR_ALONE:-}" ] && unshare -m mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
    MUSTER_DOCTOR_ALONE=1 exec unshare -m bash -c 'mount -t tmpfs tmpfs /dev/shm && exec bash "$0"' "$0"
fi
. "$(dirname "$0")/common.sh"
unset MUSTER_LOG SLURM_JOB_ID
plain=$PATH
TMPDIR=$folder/tmp
export TMPDIR
mkdir tmp fake
# row MARK WHAT [TEXT]: a row of what the last command said (as JSON) has this mark, and TEXT somewhere in it.
row() {
    python3 -c '
import json, sys
mark, what, text = (sys.argv[1:] + [""])[:3]
rows = [r for r in json.load(open("out"))["rows"] if r["what"] == what and r["mark"] == mark]
sys.exit(not any(text in r["found"] + " do: " + (r["do"] or "") for r in rows))' "$@" 2>/dev/null || fail "no row $*"
}
# fake NAME LINE...: a program of that name, first on PATH.
fake() {
    local name=$1
    shift
    { echo '#!/bin/sh' && printf '%s\n' "$@"; } >"fake/$name"
    chmod +x "fake/$name"
}
nothing_left() { # neither in the folder of runs, nor in TMPDIR, nor in shared memory; no process of ours
    [ -z "$(ls -A tmp)" ] || fail "$1: left in TMPDIR: $(ls -A tmp)"
    [ -z "$(find . -name '.muster-doctor*')" ] || fail "$1: left where runs lie"
    [ ! -e runs ] || fail "$1: made runs/"
    pgrep -f "$folder/fake" >pids && fail "$1: still runs: $(tr '\n' ' ' <pids)"
}

# This machine: the tests ran as far as here, so that training works.
expect 0 "$MUSTER" doctor
grep -Eq '^ok +start of ranks +3 ranks on 1 host started, met and exchanged' out || fail "three ranks did not meet"
tail -1 out | grep -q '^Training can work here' || fail "no sum"
awk 'length > 80 {exit 1}' out || fail "wider than 80 columns"
[ -s err ] && fail "stderr is not empty"
nothing_left "a whole machine"
expect 0 "$MUSTER" doctor --json
row ok mpirun "as muster was built with"
row ok HDF5 "a small file was written and read back"
row ok "file locks"
if grep -q '"OMPI_MCA_mpi_ft_enable=1"' "$MUSTER_BUILD/mpi_settings.c"; then
    row ok "death of a rank" "one of 3 was killed, and the others went on within"
    PRTE_MCA_state_base_recoverable=0 PRTE_MCA_state_base_notify_errors=0 expect 0 "$MUSTER" doctor --json
    row warn "death of a rank" "mpirun ended all of them"
else
    row warn "death of a rank" "ULFM"
fi

# Everything hangs: it takes as long as the longest deadline.
for name in mpirun srun sbatch scontrol squeue nvidia-smi gnuplot; do fake $name 'sleep 600'; done
start=$SECONDS
(TMPDIR=/tmp exec "$MUSTER" doctor --mpirun fake/mpirun) >hangs 2>&1 &
hangs=$!
PATH=$folder/fake:$plain SLURM_JOB_ID=7 expect 0 "$MUSTER" doctor --json
[ $((SECONDS - start)) -le 30 ] || fail "it took $((SECONDS - start)) s"
row ok "start of ranks"
row warn "mpirun on PATH" "no answer in time"
row warn GPUs "nvidia-smi: no answer in time"
row warn Slurm "srun --version: no answer in time"
row note gnuplot fails
row ok allocation "job 7, ? nodes, ? tasks, time left unknown"
wait $hangs
[ $? = 1 ] || fail "an mpirun that hangs: not exit code 1"
nothing_left "programs that hang"
cp hangs out
head -1 out | grep -q '^MISSING  start of ranks ' || fail "what is missing does not come first"
tail -1 out | grep -q '^Training cannot work here: 1 thing is missing' || fail "the sum does not say what is missing"

# Ended while it waits: it takes away what it has begun.
PATH=$folder/fake:$plain "$MUSTER" doctor --mpirun fake/mpirun >out 2>err &
doctor=$!
has_begun() { [ -n "$(ls -A tmp)" ] && pgrep -f "$folder/fake/nvidia-smi"; }
wait_for "doctor that has begun" has_begun
kill -TERM $doctor
wait $doctor 2>/dev/null
[ $? = 143 ] || fail "TERM: not ended by it"
nothing_left "a doctor that was sent away"

# Everything fails.
for name in mpirun srun sbatch scontrol nvidia-smi gnuplot; do fake $name 'echo "usage" ; echo "slurm error: no route to host" >&2; exit 3'; done
PATH=$folder/fake:$plain expect 0 "$MUSTER" doctor --json
row warn "mpirun on PATH" "ended with 3: slurm error: no route to host"
row warn GPUs "ended with 3"
row warn Slurm "ended with 3"
expect 1 "$MUSTER" doctor --mpirun fake/mpirun --json
row MISSING "start of ranks" "ended with 3"
expect 1 "$MUSTER" doctor --mpirun fake/none --json
row MISSING mpirun "there is no such program"
fake crash 'kill -SEGV $$'
expect 1 "$MUSTER" doctor --mpirun fake/crash --json
row MISSING "start of ranks" "ended by signal 11"

# Everything talks nonsense, more than anybody reads, and with control characters.
for name in mpirun srun sbatch scontrol nvidia-smi gnuplot; do fake $name 'printf "\033[2J,\001,1.2,\377\n"; head -c 1000000 /dev/urandom'; done
PATH=$folder/fake:$plain expect 0 "$MUSTER" doctor --json
row warn "mpirun on PATH" "ranks do not meet under it"
row warn GPUs "it lists no GPU"
row warn Slurm "no version of Slurm"
PATH=$folder/fake:$plain expect 0 "$MUSTER" doctor
grep -q $'\e' out && fail "control characters reach the terminal"

# A cluster in good order.
fake srun '[ "$1" = --version ] && echo "slurm 23.11.4" || printf "MPI plugin types are...\n\tnone\n\tpmix\nspecific pmix plugin versions available: pmix_v4\n"'
fake sbatch 'echo slurm 23.11.4'
fake scontrol 'echo "Slurmctld(primary) at head is UP"'
fake squeue 'echo 1-02:03:04'
fake nvidia-smi 'echo "0, NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15, Disabled"; echo "1, NVIDIA H100 80GB HBM3, 81559 MiB, 550.54.15, Disabled"'
rm fake/mpirun fake/gnuplot
PATH=$folder/fake:$plain SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=2 SLURM_NTASKS=8 expect 0 "$MUSTER" doctor --json
row ok Slurm "23.11.4: srun, sbatch, scontrol"
row ok "srun --mpi" "has pmix"
row ok allocation "job 7, 2 nodes, 8 tasks, 1-02:03:04 left"
row ok GPUs "2 (index, name, memory, driver, MIG): 0, NVIDIA H100 80GB HBM3, 81559 MiB"
fake srun '[ "$1" = --version ] && echo "slurm 23.11.4" || printf "MPI plugin types are...\n\tnone\n\tpmi2\n"'
fake scontrol 'sleep 600'
rm fake/sbatch
PATH=$folder/fake:$plain expect 0 "$MUSTER" doctor --json
row warn "srun --mpi" "pmix is not among"
row warn "Slurm's controller" "scontrol ping: no answer in time"
command -v sbatch >/dev/null || row warn Slurm "23.11.4, without sbatch"

# mpirun on PATH: none, and the right one without its settings.
mkdir bin
for name in sh sleep python3; do ln -s "$(command -v $name)" bin/; done
PATH=$folder/bin expect 0 "$MUSTER" doctor --json
row note "mpirun on PATH" ". build/env"
ln -s "$(command -v "$MPIRUN")" bin/mpirun
PATH=$folder/bin OMPI_MCA_coll='' expect 0 "$MUSTER" doctor --json
row ok "mpirun on PATH" "the same, with all settings"
(unset OMPI_MCA_coll && PATH=$folder/bin exec "$MUSTER" doctor --json) >out 2>err
row warn "mpirun on PATH" "1 of its settings"

# A configuration's folder of runs, and its device.
cat >syn.cfg <<'CFG'
run: { name = "syn"; steps = 7; dir = "deep/er/runs"; };
model: { kind = "synthetic"; };
CFG
expect 0 "$MUSTER" doctor --json syn.cfg
row ok "folder of runs" "deep/er/runs (to be made)"
: >file
expect 1 "$MUSTER" doctor --json syn.cfg run.dir=file/runs
row MISSING "folder of runs" "Not a directory"
MUSTER_CUDA_MODULE=$folder/none expect 1 "$MUSTER" doctor --json syn.cfg device.kind=cuda
row MISSING CUDA "$folder/none, which cannot be read"
[ ! -e deep ] || fail "made the folder of runs"
nothing_left "configurations"

# Small rooms, where namespaces can be had.
apart() { unshare -m sh -c "$1 && exec \"\$0\" doctor --json" "$MUSTER" >out 2>err; }
if unshare -m sh -c 'mount -t tmpfs -o size=1m tmpfs /dev/shm' 2>/dev/null; then
    apart 'mount -t tmpfs -o size=1m tmpfs /dev/shm'
    row MISSING /dev/shm "mount -o remount,size=50% /dev/shm"
    apart 'mount -t tmpfs -o size=64m tmpfs /dev/shm'
    row warn /dev/shm "of 64 MiB free"
    mkdir -p small
    apart 'mount -t tmpfs -o size=64k tmpfs small && cd small'
    row MISSING "folder of runs" "No space left on device"
    apart 'mount -t tmpfs -o ro tmpfs small && cd small'
    row MISSING "folder of runs" "Read-only file system"
else
    echo "not tried, as it takes root: a small /dev/shm, a full folder of runs"
fi

# What ranks that were killed have left is counted, and stays.
# (Any start of a run takes it away: when there was one beside this test, once more.)
left=/dev/shm/muster-$(id -u)-doctor-test-$$
for _ in 1 2 3 4 5; do
    head -c 100000 /dev/zero >"$left"
    expect 0 "$MUSTER" doctor --json
    [ -e "$left" ] && break
done
[ -e "$left" ] || fail "it took what it counts away"
row note "left in /dev/shm" "that no process holds"
rm -f "$left"

# Mistakes.
refuses 64 "unknown option --jason; did you mean --json?; see 'muster doctor --help'" "$MUSTER" doctor --jason
expect 78 "$MUSTER" doctor none.cfg
[ -s out ] && fail "rows for a file that is not there"
echo 'run: { stepz = 1; };' >bad.cfg
expect 78 "$MUSTER" doctor bad.cfg
grep -qF "did you mean 'run.steps'" err || fail "a mistake in the configuration"
PMIX_RANK=0 refuses 64 "doctor starts mpirun by itself: call it without mpirun; see 'muster doctor --help'" "$MUSTER" doctor
nothing_left "mistakes"
finish
