#!/usr/bin/env bash
# muster sweep: memory that is too small for so many trials at once, disks that are full, files that are damaged: what fits is trained,
# what cannot be written down ends the sweep at once, and the same command goes on to the same results.csv.
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 2 gpts.cfg sweep.name=whole
ended_with 0 "the undisturbed sweep"
# goes_on SWEEP WHEN
goes_on() {
    sweep 3 gpts.cfg sweep.name="$1"
    ended_with 0 "$2"
    same_results "$1" whole "$2"
    no_state_left "$2" # of an mpirun that was killed Open MPI's own files stay for a while
}

# Nothing can be written down any more: orders that are not in the journal are not given, and nobody waits for one.
for count in 0 2 3 20; do
    MUSTER_FAULT=at:note,count:$count,do:fail sweep 3 gpts.cfg sweep.name=note-$count
    ended_with 1 "the journal cannot be written ($count)"
    said 'failed: .*; the same command goes on' "the journal cannot be written ($count)"
    no_rank_left "the journal cannot be written ($count)"
    goes_on note-$count "the journal can be written again ($count)"
done
if [ "$MUSTER_TEST_ALONE" = 1 ]; then
    mkdir -p runs/full
    mount -t tmpfs -o size=20m tmpfs runs/full
    trap 'umount -l runs/full 2>/dev/null; leave_scratch' EXIT
    MUSTER_FAULT=at:flip,do:sleep-20 start_sweep 3 gpts.cfg sweep.name=full
    until_true ended_beyond full 1
    dd if=/dev/zero of=runs/full/fill bs=1M count=40 2>>"$log" || true
    finish
    ended_with 1 "a full disk"
    no_rank_left "a full disk"
    rm runs/full/fill
    goes_on full "a disk that is not full any more"
fi
mkdir -p runs/folder/results.csv
sweep 3 gpts.cfg sweep.name=folder
ended_with 1 "results.csv is a folder"
rmdir runs/folder/results.csv
goes_on folder "results.csv was a folder"

# Each checkpoint that a trial could go on from is damaged: branches' and its own. It begins again.
MUSTER_FAULT=at:flip,do:sleep-15 start_sweep 3 gpts.cfg sweep.name=damaged checkpoint.every=10
until_true ended_beyond damaged 3
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun killed"
reboot
for part in runs/damaged/trials/*/checkpoints/step-*/part-00000.h5; do
    printf '\xff\x01\xfe\x13' | dd of="$part" bs=1 seek=$(($(stat -c %s "$part") / 2)) conv=notrunc status=none
done
sweep 3 gpts.cfg sweep.name=damaged
ended_with 0 "damaged checkpoints"
cmp -s runs/damaged/results.csv runs/whole/results.csv || fail "damaged checkpoints: other results"
said 'can be used: the trial begins again' "damaged checkpoints"
no_state_left "damaged checkpoints"
# The same for the sweep's own files, which are written again.
MUSTER_FAULT=at:flip,do:sleep-15 start_sweep 3 gpts.cfg sweep.name=torn
until_true ended_beyond torn 3
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun killed"
echo '{' >runs/torn/sweep.json
echo width4 >runs/torn/results.csv
rm runs/torn/timing.csv
for journal in runs/torn/journal/*; do truncate -s -5 "$journal"; done
goes_on torn "a sweep's torn files"

# Room in /dev/shm for some trials at a time, or for one on one rank: that is no result.
[ "$MUSTER_TEST_ALONE" = 1 ] || exit 0
cat >big.cfg <<'CONFIG'
run = { dir = "runs"; steps = 6; hash_every = 0; };
model = { layers = 2; heads = 2; width = 192; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 8; shards = 8; };
eval = { every = 1000; tokens = 256; };
checkpoint = { every = 0; };
sweep = { name = "big"; kind = "grid"; grid = ( { key = "run.seed"; values = [1, 2, 3, 4]; } ); };
CONFIG
sweep 1 big.cfg sweep.name=roomy
ended_with 0 "enough memory"
rm -f /dev/shm/sm_segment*
for size in 45 80; do
    mount -o remount,size=${size}m /dev/shm
    sweep 8 big.cfg sweep.name="room-$size"
    complete "room-$size" roomy "$size MB of /dev/shm"
    said 'does not fit in memory on [2-8] ranks: it goes on with' "$size MB of /dev/shm"
done
