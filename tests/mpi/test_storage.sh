#!/usr/bin/env bash
# Full disks, damaged checkpoints, a /dev/shm that is too small.
. "$(dirname "$0")/common.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "the undisturbed run"
# going_on RUN STEP WHEN: the run goes on from that checkpoint and ends as the undisturbed one.
going_on() {
    run 2 tiny.cfg run.name="$1"
    ended_with 0 "$3"
    said "going on from the checkpoint of step $2 in" "$3"
    same_as "$1" whole "$3"
    nothing_left "$3"
}

# A disk that is full at the second checkpoint of three: training goes on, the first is kept.
MUSTER_FAULT=rank:1,at:save-disk,step:8,do:fail run 3 tiny.cfg run.name=full
ended_with 0 "a full disk"
said_once 'warning: the checkpoint of step 8 could not be saved: training goes on, the older ones are kept' "a full disk"
same_as full whole "a full disk"
[ -e runs/full/checkpoints/step-00000004/checkpoint.h5 ] || fail "a full disk: the older checkpoint is gone"
[ ! -e runs/full/checkpoints/step-00000008/checkpoint.h5 ] || fail "a full disk: half a checkpoint is shown"
MUSTER_FAULT='rank:1,at:save-disk,step:8,do:fail;at:flip,step:9,do:kill' run 3 tiny.cfg run.name=full2
reboot
going_on full2 4 "after a full disk and a death"

# Checkpoints of steps 4 and 8; the newer one is damaged.
MUSTER_FAULT=at:flip,step:9,do:kill run 3 tiny.cfg run.name=base
reboot
new=step-00000008
damaged() {
    going_on "$1" 4 "$1"
    said "$1/checkpoints/$new" "$1"
}
cp -r runs/base runs/truncated
truncate -s -100 runs/truncated/checkpoints/$new/checkpoint.h5
damaged truncated
cp -r runs/base runs/short-part
truncate -s -100 runs/short-part/checkpoints/$new/part-00001.h5
damaged short-part
cp -r runs/base runs/missing
rm runs/missing/checkpoints/$new/part-00002.h5
damaged missing
# One bit, in the middle of the numbers.
cp -r runs/base runs/flipped
part=runs/flipped/checkpoints/$new/part-00000.h5
at=$(($(stat -c %s $part) / 2))
byte=$(od -An -tu1 -j $at -N 1 $part)
printf '%b' "\\x$(printf %x $((byte ^ 16)))" | dd of=$part bs=1 seek=$at conv=notrunc status=none
cmp -s $part runs/base/checkpoints/$new/part-00000.h5 && fail "nothing was flipped"
damaged flipped
# None is left that can be used: refused, and nothing is removed, since somebody may still save what is in them.
cp -r runs/base runs/all
truncate -s 1000 runs/all/checkpoints/*/checkpoint.h5
before=$(find runs/all/checkpoints -type f -exec sha256sum {} + | sort)
run 2 tiny.cfg run.name=all
ended_with 1 "all damaged"
said "$new cannot be used" "all damaged"
said "step-00000004 cannot be used" "all damaged"
said_once 'none of the 2 checkpoints can be used' "all damaged"
[ "$(find runs/all/checkpoints -type f -exec sha256sum {} + | sort)" = "$before" ] || fail "all damaged: something was changed"
nothing_left "all damaged"

if [ "$MUSTER_TEST_ALONE" != 1 ]; then
    echo "SKIPPED: a small /dev/shm, which needs a mount namespace"
    exit 0
fi
# 1.2 million parameters: 40 MB of state. One rank does without sharing; two cannot.
big=(model.width=128 model.layers=6 run.steps=2 batch.sequences=8 checkpoint.every=0)
mount -o remount,size=24m /dev/shm
run 1 tiny.cfg run.name=alone "${big[@]}"
ended_with 0 "a small /dev/shm, one rank"
said 'taking private memory, as this is the only rank here' "a small /dev/shm, one rank"
nothing_left "a small /dev/shm, one rank"
limit=30 run 2 tiny.cfg run.name=pair "${big[@]}"
ended_with 1 "a small /dev/shm, two ranks"
said_once 'error: /dev/shm has no room for the 0\.0[0-9] GiB of this host' "a small /dev/shm, two ranks"
nothing_left "a small /dev/shm, two ranks"
mount -o remount,size=50% /dev/shm
run 2 tiny.cfg run.name=pair "${big[@]}"
ended_with 0 "enough of /dev/shm"
[ "$(hash_of pair)" = "$(hash_of alone)" ] || fail "private memory gave other bits"
nothing_left "enough of /dev/shm"
