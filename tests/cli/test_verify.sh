#!/usr/bin/env bash
# muster verify: what is whole, what a crash leaves, and each kind of damage.
. "$(dirname "$0")/common.sh"

# verify EXIT_CODE WORD...
verify() {
    local code=$1
    shift
    expect "$code" "$MUSTER" verify "$@"
}

cat >syn.cfg <<'CFG'
run: { name = "good"; dir = "runs"; steps = 9; hash_every = 3; };
model: { kind = "synthetic"; };
synthetic: { step_ms = 0.0; };
optim: { schedule: { cooldown = 0.0; }; };
checkpoint: { every = 3; keep = 9; };
CFG
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
expect 0 "$MPIRUN" -n 2 "$MUSTER" train syn.cfg
run=runs/run
fresh() { rm -rf $run && cp -r runs/good $run && checkpoint=$run/checkpoints/step-00000006; }
# finds WHAT: damage that says so, with advice; nothing else is damaged.
finds() {
    grep -F -- "  DAMAGED  " out | grep -qF -- "$1" || fail "no damage that says '$1'"
    [ "$(grep -c '^  DAMAGED  ' out)" = "${2:-1}" ] || fail "other damage than '$1'"
    [ "$(grep -c '^           what to do: ' out)" -ge "${2:-1}" ] || fail "what to do about '$1'"
}

fresh
verify 0 $run
grep -Eq "^  good     $run/config.cfg: [0-9]+ keys$" out || fail "config.cfg"
has out "  good     $run/status.json: ended"
has out "  good     $run/metrics.jsonl: 9 records, 3 with a state hash"
has out "  good     $run/journal: 5 records"
says "  good     $checkpoint: 2 tensors in 2 parts, "
says "checksums were not read (--deep)"
has out "$run: all good"
verify 0 --deep $run
[ "$(grep -c 'every checksum is right, and so is the state hash$' out)" = 3 ] || fail "three checkpoints"
verify 0 --deep $checkpoint
verify 0 $checkpoint/checkpoint.h5
verify 0 $run/checkpoints
verify 0 runs
says "  good     runs/good/status.json: ended"
says "  good     $run/status.json: ended"

# A flipped bit among the numbers of a tensor, in the middle of a part.
at=12345
byte=$(od -An -tu1 -j$at -N1 $checkpoint/part-00001.h5)
# shellcheck disable=SC2059 # the format is the byte
printf "\\x$(printf %02x $((byte ^ 4)))" | dd of=$checkpoint/part-00001.h5 bs=1 seek=$at conv=notrunc 2>/dev/null
verify 0 $run
verify 1 --deep $run
finds "$checkpoint/part-00001.h5: /"
says " of the tensor (block 0 of the part) do not have their checksum"
says "what to do: remove the folder; a run goes on from its newest whole checkpoint"
says "$run: the newest checkpoint that is whole is of step 9"
complains "$run: 1 finding of damage"
verify 1 --deep --json $run
if command -v python3 >/dev/null; then
    python3 - out <<'PY' || fail "--json"
import json, sys
v = json.load(open(sys.argv[1]))
assert v["kind"] == "verify" and v["deep"] is True and v["good"] is False and v["damaged"] == 1
bad = [f for f in v["findings"] if f["state"] == "damaged"]
assert len(bad) == 1 and "do not have their checksum" in bad[0]["text"] and "remove" in bad[0]["advice"]
PY
fi
# Both parts are looked at, though one of them is missing.
rm $checkpoint/part-00000.h5
verify 1 $run
finds "$checkpoint/part-00000.h5: the file is missing"
verify 1 --deep $run
finds "$checkpoint/part-00000.h5: the file is missing" 2

fresh
truncate -s 9000 $checkpoint/part-00001.h5
verify 1 $run
finds "$checkpoint/part-00001.h5: cannot read it as an HDF5 file"
fresh
printf 'no HDF5' >$checkpoint/checkpoint.h5
verify 1 $run
finds "$checkpoint/checkpoint.h5: cannot read it as an HDF5 file"
fresh
rm -r $checkpoint && cp -r $run/checkpoints/step-00000003 $checkpoint
verify 1 $run
finds "checkpoint.h5 says that it is of step 3" 2
says "and the run recorded"
fresh
rm $run/checkpoints/*/part-00001.h5
verify 1 $run
finds "the file is missing" 3
says "no checkpoint is whole; the run would begin anew"

# The other files.
fresh
echo '{"state": "ended", garbage' >$run/status.json
verify 1 $run
finds "$run/status.json:1: no JSON"
rm $run/status.json
verify 1 $run
finds "$run/status.json: it is missing"
fresh
sed -i '/"state_hash"/s/: "[^"]*/: "00000000000000000000000000000001/' $run/status.json
verify 1 $run
finds "$run/status.json: it has state hash 00000000000000000000000000000001 for step 9, and the run recorded"
fresh
sed -i 's/width/widht/' $run/config.cfg
verify 1 $run
finds "model.widht: unknown key; did you mean 'model.width'?"
rm $run/config.cfg
verify 1 $run
finds "$run/config.cfg: it is missing"
# The advice does what it says.
expect 0 "$MUSTER" inspect --config $checkpoint
cp out $run/config.cfg
verify 0 $run
# Of a run that has come to a step records are missing, whatever lies in their place; a pipe keeps nobody waiting.
fresh
: >$run/metrics.jsonl
verify 1 $run
finds "$run/metrics.jsonl: it has no record"
ln -sf nowhere $run/metrics.jsonl
verify 1 $run
finds "$run/metrics.jsonl: it has no record"
ln -sf metrics.jsonl $run/metrics.jsonl
verify 1 $run
finds "cannot read $run/metrics.jsonl: "
rm $run/metrics.jsonl && mkfifo $run/metrics.jsonl
for verb in "verify" "inspect" "status" "plot" "diff runs/good"; do
    # shellcheck disable=SC2086 # words
    timeout 20 "$MUSTER" $verb $run >out 2>err
    [ $? -le 2 ] || fail "$verb of a run with a pipe in it"
    grep -qF "cannot read $run/metrics.jsonl: it is not a regular file" out err || fail "$verb: a pipe is not named"
done
fresh
rm $run/journal/*
verify 1 $run
finds "$run/journal: it has no record, of a run that has come to a step"
fresh
rm $checkpoint/part-00001.h5 && mkfifo $checkpoint/part-00001.h5
expect 1 timeout 20 "$MUSTER" verify --deep $run
finds "$checkpoint/part-00001.h5: it is not a regular file"
# The newest checkpoint is what the run goes on from: it cannot be gone without a word.
for gone in step-00000009/checkpoint.h5 step-00000009; do
    fresh
    rm -r $run/checkpoints/$gone
    verify 1 $run
    finds "$run/checkpoints/step-00000009: it was saved, as the journal says, and is not there any more"
done
fresh
rm -r $checkpoint # an older one: as checkpoint.keep would
verify 0 $run
# What other programs would read of a tensor, which loading does not look at.
fresh
at=$(LC_ALL=C grep -obUaP 'part-00001\.h5\x00/weights' $checkpoint/checkpoint.h5 | head -1 | cut -d: -f1)
[ "$at" -gt 0 ] || fail "no view in checkpoint.h5"
printf 7 | dd of=$checkpoint/checkpoint.h5 bs=1 seek=$((at + 9)) conv=notrunc 2>/dev/null
verify 0 $run
verify 1 --deep $run
finds "$checkpoint/checkpoint.h5: "
expect 1 "$MUSTER" inspect --deep $checkpoint
complains "checkpoint $checkpoint is damaged"

fresh
sed -i '4s/.*/{"step": four}/' $run/metrics.jsonl
verify 1 $run
finds "$run/metrics.jsonl:4: no record; 1 line of the file is none"
fresh
sed -n 3p $run/metrics.jsonl >>$run/metrics.jsonl
verify 1 $run
finds "$run/metrics.jsonl: step 3 comes again or too late"
rm $run/metrics.jsonl
verify 1 $run
finds "$run/metrics.jsonl: it is missing"
fresh
rm -r $run/journal
verify 1 $run
finds "$run/journal: it is missing"
fresh
printf 'Q' | dd of=$run/journal/00000001.mj bs=1 seek=60 conv=notrunc 2>/dev/null
verify 1 $run
finds "$run/journal/00000001.mj: damaged from byte 8 of "

# What a crash leaves is named, and no damage.
fresh
sed -i 's/"ended"/"running"/; s/"complete"/"none"/' $run/status.json
printf '{"step": 10, "lo' >>$run/metrics.jsonl
truncate -s -7 $run/journal/00000001.mj
mkdir $run/checkpoints/step-00000012 $run/checkpoints/old.incomplete
touch $run/config.cfg.tmp $checkpoint/part-00002.h5.tmp
verify 0 $run
for words in "$run/status.json: the run did not end, and nobody trains it: it was killed" \
    "$run/metrics.jsonl: the last line has no end; the next start drops it" \
    "bytes are no whole record, as a crash leaves them" \
    "$run/checkpoints/step-00000012: no checkpoint.h5: its save did not finish" \
    "$run/checkpoints/old.incomplete: no checkpoint; a run does not look at it" \
    "$run/config.cfg.tmp: what a crash left" "$checkpoint/part-00002.h5.tmp: what a crash left"; do
    grep -F -- "  note     " out | grep -qF -- "$words" || fail "no note '$words'"
done
has out "$run: all good"

# Held by somebody: it is being trained.
exec 9<$run/.lock
flock -x 9
verify 0 $run
says "$run: it is being trained now"
exec 9<&-

# One of its checkpoints by its step.
verify 0 $run@6
has out "$run@6: all good"
verify 1 $run@5
grep -qF "$run has no checkpoint of step 5; it has those of" err || fail "which steps there are"

# A fork, and a run that took another end: the one that it had lies beside it.
expect 0 "$MUSTER" train syn.cfg run.name=fork --from runs/good@6
verify 0 --deep runs/fork
grep -Eq '^  good     runs/fork/parent.json: from .*/runs/good/checkpoints/step-00000006$' out || fail "parent.json"
echo '{' >runs/fork/parent.json
verify 1 runs/fork
finds "runs/fork/parent.json"
rm -r runs/fork
fresh
mv $run $run.kept && cp -r $run.kept $run
mkdir $run/ended-00000009 && cp -r $run.kept/* $run/ended-00000009
verify 0 --deep $run
says "  good     $run/ended-00000009/checkpoints/step-00000009: "
rm $run/ended-00000009/checkpoints/step-00000009/part-00000.h5
verify 1 $run
finds "$run/ended-00000009/checkpoints/step-00000009/part-00000.h5: the file is missing"
rm -r $run.kept

# A sweep: its own files, and each trial.
mkdir -p sweep/trials sweep/journal
cp "$MUSTER_SOURCE"/tests/cli/sweep_folder/* sweep/
cp -r runs/good sweep/trials/one
cp -r runs/good sweep/trials/two
mkdir sweep/trials/three
verify 0 --deep sweep
has out "  good     sweep/sweep.json: it can be read"
says "  good     sweep/results.csv: "
says "  good     sweep/trials/two/checkpoints/step-00000009: "
says "  note     sweep/trials/three: neither status.json nor checkpoints/"
truncate -s -5 sweep/results.csv
rm sweep/trials/two/checkpoints/step-00000009/part-00000.h5
verify 1 sweep
finds "sweep/trials/two/checkpoints/step-00000009/part-00000.h5: the file is missing" 2
says "; the line has no end"

# Mistakes.
verify 64
verify 64 --depe $run
complains "--deep"
verify 64 $run $run
verify 64 syn.cfg
complains "'muster inspect --deep' checks token files"
verify 64 $checkpoint/part-00000.h5
complains "verify the folder: $checkpoint"
verify 1 nothing
has err "muster: error: there is no nothing"
mkdir empty
verify 1 empty
complains "empty holds nothing that Muster knows"
verify 0 --help
says "--deep"
finish
