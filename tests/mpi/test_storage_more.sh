#!/usr/bin/env bash
# Disks that are slow, full or read-only while a run goes on, and a /dev/shm that is full at the start: training goes on with one
# alarm a fault, and the last good checkpoint is kept and used.
# Cores: 1
. "$(dirname "$0")/common.sh"

long=(run.steps=60 checkpoint.every=20)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# Slow at saving: everybody waits, nobody is taken for dead.
MUSTER_FAULT=rank:1,at:save,step:20,do:sleep-3000 run 3 tiny.cfg run.name=slow "${long[@]}"
ended_with 0 "a slow disk"
same_as slow whole "a slow disk"
nothing_left "a slow disk"

if [ "$MUSTER_TEST_ALONE" != 1 ]; then
    echo "SKIPPED: disks that are full or read-only, which need a mount namespace"
    exit 0
fi
leave_mounts() {
    umount -l "$scratch"/runs/* "$scratch"/runs/*/checkpoints 2>/dev/null || true
    leave_scratch
}
trap leave_mounts EXIT

# What this test does to a disk, it does while rank 0 waits before it commits a step.
pause() { echo "rank:0,at:flip,step:$1,do:sleep-${2:-1500}"; }
published() { find "runs/$1/checkpoints" -name checkpoint.h5 | grep -o 'step-[0-9]*' | sort | xargs; }
unsaved='warning: the checkpoint of step 40 could not be saved: training goes on, the older ones are kept'
# disturbed RUN WHEN: it ended well, with one alarm, one reason, and all but the checkpoint of step 40.
disturbed() {
    ended_with 0 "$2"
    said_once "$unsaved" "$2"
    said_once 'error:' "$2"
    [ "$(published "$1")" = "step-00000020 step-00000060" ] || fail "$2: checkpoints: $(published "$1")"
    [ "$(hash_of "$1")" = "$(hash_of whole)" ] || fail "$2: other bits"
    nothing_left "$2"
}

# The run directory's disk fills up after the checkpoint of step 20 and has room again before the last one: metrics, status and the
# checkpoint of step 40 cannot be written.
mkdir runs/full
mount -t tmpfs -o size=4m tmpfs runs/full
MUSTER_FAULT="$(pause 25);$(pause 42)" start 3 tiny.cfg run.name=full "${long[@]}"
until_true beyond full 23
dd if=/dev/zero of=runs/full/ballast bs=1k 2>/dev/null || true
until_said "$unsaved"
rm runs/full/ballast
finish
disturbed full "a full disk"
said_once 'warning: cannot write metrics of step [0-9]*: No space left on device; training goes on' "a full disk"
said_once 'warning: cannot write .*status.json: No space left on device' "a full disk"
said_once 'a checkpoint needs 0\.[0-9] MB and the disk has 0\.0 MB left' "a full disk"

# Full, and then killed: it goes on from the checkpoint of step 20.
rm -r runs/full/* runs/full/.lock
MUSTER_FAULT="$(pause 25);at:flip,step:45,do:kill" start 3 tiny.cfg run.name=full "${long[@]}"
until_true beyond full 23
dd if=/dev/zero of=runs/full/ballast bs=1k 2>/dev/null || true
finish
said "$unsaved" "a full disk, and a death"
no_rank_left "a full disk, and a death"
reboot
rm runs/full/ballast
run 2 tiny.cfg run.name=full "${long[@]}"
ended_with 0 "after a full disk"
said 'going on from the checkpoint of step 20 in' "after a full disk"
same_as full whole "after a full disk"
umount runs/full

# Half of the ranks find room, the other half do not: no half checkpoint is left on the disk. 1.2 million parameters: 14 MB.
big=(model.width=128 model.layers=6 run.steps=4 batch.sequences=8 checkpoint.every=2)
mkdir runs/tight
mount -t tmpfs -o size=40m tmpfs runs/tight
MUSTER_FAULT="rank:1,at:save,step:4,do:sleep-2000" start 2 tiny.cfg run.name=tight "${big[@]}"
until_true test -e runs/tight/checkpoints/step-00000004/part-00000.h5
dd if=/dev/zero of=runs/tight/ballast bs=1k 2>/dev/null || true
finish
ended_with 1 "a disk that fills up in a save"
said_once 'error: .*part-00001.h5.tmp: cannot write .*: No space left on device' "a disk that fills up in a save"
[ "$(published tight)" = step-00000002 ] || fail "a disk that fills up in a save: checkpoints: $(published tight)"
[ ! -e runs/tight/checkpoints/step-00000004 ] || fail "a disk that fills up in a save: parts are left"
rm runs/tight/ballast
run 2 tiny.cfg run.name=tight "${big[@]}"
ended_with 0 "after a disk that filled up in a save"
said 'going on from the checkpoint of step 2 in' "after a disk that filled up in a save"
umount runs/tight

# The checkpoints' folder becomes read-only, and writable again.
MUSTER_FAULT="$(pause 25);$(pause 42)" start 3 tiny.cfg run.name=readonly "${long[@]}"
until_true beyond readonly 23
mount --bind runs/readonly/checkpoints runs/readonly/checkpoints
mount -o remount,bind,ro runs/readonly/checkpoints
until_said "$unsaved"
umount runs/readonly/checkpoints
finish
disturbed readonly "a read-only disk"
said_once 'cannot make folder .*step-00000040: Read-only file system' "a read-only disk"

# Read-only from the beginning: refused, and the reason given.
mkdir runs/never
mount -t tmpfs -o size=1m,ro tmpfs runs/never
run 2 tiny.cfg run.name=never
ended_with 1 "read-only from the beginning"
said_once 'error: .*runs/never.*: Read-only file system' "read-only from the beginning"
nothing_left "read-only from the beginning"
umount runs/never

# /dev/shm is full at the start.
mount -o remount,size=1m /dev/shm
dd if=/dev/zero of=/dev/shm/ballast bs=1k 2>/dev/null || true
limit=30 run 2 tiny.cfg run.name=noshm
[ "$code" != 0 ] && [ "$code" != 124 ] || fail "a full /dev/shm: exit code $code"
said 'error: cannot make /dev/shm/muster-.*: No space left on device. Is /dev/shm full' "a full /dev/shm"
[ "$(find /dev/shm -mindepth 1)" = /dev/shm/ballast ] || fail "a full /dev/shm: something was left in it"
rm /dev/shm/ballast
no_rank_left "a full /dev/shm"
