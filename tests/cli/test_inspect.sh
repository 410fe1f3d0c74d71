#!/usr/bin/env bash
# muster inspect: what it says of whole and of damaged things, and what it ends with.
. "$(dirname "$0")/common.sh"

# inspect EXIT_CODE WORD...
inspect() {
    local code=$1
    shift
    expect "$code" "$MUSTER" inspect "$@"
}

fresh() { # a run directory with one good checkpoint
    rm -rf "$folder/run"
    mkdir -p "$folder/run/checkpoints"
    cp -r "$MUSTER_SOURCE/tests/oracle/checkpoint-1/step-00000007" "$folder/run/checkpoints/"
    checkpoint=$folder/run/checkpoints/step-00000007
}
fresh

# A whole one. Parameters: 5 x 300 + 6.
inspect 0 "$checkpoint"
says "step         7"
says "parameters   1,506 in 2 tensors"
says "5 x 300"
says "part-00001.h5"
says 'note         {"tokens":42}'
says 'checksums    not read'
says '/weights/NAME'
grep -Eq '^  part-00001.h5 .* present$' "$folder/out" || fail "contents that nobody read are called present"
grep -q 'model.heads' "$folder/out" && fail "a synthetic model has no heads"
says 'config       model.kind="synthetic"'
says 'run.steps=7'
inspect 0 "$checkpoint/checkpoint.h5"
says "step         7"
(cd "$checkpoint" && "$MUSTER" inspect checkpoint.h5 >"$folder/out" 2>"$folder/err") || fail "relative file"
inspect 0 --config "$checkpoint"
[ "$(cat "$folder/out")" = 'model: { kind = "synthetic"; }; run: { steps = 7; };' ] || fail "--config"

# Norms are sqrt(sum over k < 1500 of (k/4)^2) and sqrt(55/16).
inspect 0 --deep "$checkpoint"
says "checksums    all right"
says "the tensors have this state hash"
grep -Eq '^  wte.weight .* 8381\.06$' "$folder/out" || fail "norm of wte.weight"
grep -Eq '^  ln.bias .* 1\.85405$' "$folder/out" || fail "norm of ln.bias"

# JSON holds the same.
inspect 0 --json --deep "$checkpoint"
if command -v python3 >/dev/null; then
    python3 - "$folder/out" <<'PY' || fail "--json"
import json, sys
c = json.load(open(sys.argv[1]))
assert c["kind"] == "checkpoint" and c["step"] == 7 and c["parameters"] == 1506 and c["good"] is True
assert [t["shape"] for t in c["tensors"]] == [[5, 300], [6]]
assert [p["state"] for p in c["parts"]] == ["ok", "ok"]
assert c["note"] == {"tokens": 42} and "steps = 7" in c["config"]
assert c["recomputed_state_hash"] == c["state_hash"]
PY
fi

# A run directory: status and newest checkpoint; a damaged newer one is passed over.
cat >"$folder/run/status.json" <<'JSON'
{"state": "ended", "outcome": "complete", "step": 7, "steps": 9, "loss": 1.5, "updated": "2026-01-02T03:04:05Z", "message": "all is done",
 "goodput": {"rank_seconds": 1204.1,
   "seconds": {"compute": 1171.5, "communicate": 5, "checkpoint": 3.6, "recover": 1, "redo": 0, "idle": 0, "wait": 23},
   "percent": {}, "deaths": 2, "recoveries": 1, "shards_redone": 0, "steps_lost": 4}}
JSON
mkdir "$folder/run/checkpoints/step-00000008"
cp "$checkpoint/checkpoint.h5" "$folder/run/checkpoints/step-00000008/"
inspect 0 "$folder/run"
says "state        ended, outcome complete"
says "step 7 of 9"
says "all is done"
says "  time         goodput 97.3 % of 1,204 rank-seconds: compute 97.3, wait 1.9,"
says "               communicate 0.4, checkpoint 0.3, recover 0.1 %"
says "  counts       deaths 2, recoveries 1, steps lost 4"
says "step         7"
complains "step-00000008 is damaged: it is passed over"
inspect 0 "$folder/run/checkpoints"
says "step         7"
inspect 0 --json "$folder/run"
says '"outcome": "complete"'

# One of its checkpoints by its step.
inspect 0 "$folder/run@7"
says "checkpoint $folder/run/checkpoints/step-00000007"
inspect 1 "$folder/run@5"
complains "$folder/run has no checkpoint of step 5; it has those of steps 7 and 8"

# Damage is shown and ends with 1.
rm "$checkpoint/part-00001.h5"
inspect 1 "$checkpoint"
says "1 of them MISSING OR DAMAGED"
complains "part-00001.h5: the file is missing"
grep -Eq '^  part-00001.h5 .* MISSING$' "$folder/out" || fail "a missing part in the table"
inspect 1 "$folder/run"
complains "holds no checkpoint that is whole"

fresh
truncate -s 9000 "$checkpoint/part-00001.h5"
inspect 1 "$checkpoint"
grep -Eq '^  part-00001.h5 .* DAMAGED$' "$folder/out" || fail "a part cut short in the table"

# 0.25 x 700 = 175 = 0x432f0000: a number of wte.weight, row 2, which part 1 has.
fresh
at=$(LC_ALL=C grep -obUaP '\x00\x00\x2f\x43' "$checkpoint/part-00001.h5" | head -1 | cut -d: -f1)
printf '\x01' | dd of="$checkpoint/part-00001.h5" bs=1 seek="$at" conv=notrunc 2>/dev/null
inspect 0 "$checkpoint"
inspect 1 --deep "$checkpoint"
says "checksums    WRONG"
grep -Eq '^  part-00000.h5 .* ok$' "$folder/out" || fail "a part that is whole beside a damaged one"
grep -Eq '^  part-00001.h5 .* DAMAGED$' "$folder/out" || fail "a damaged part in the table"
says "Norms are not shown"
complains "part-00001.h5: /weights/wte.weight is damaged: rows 2 to 4"
inspect 1 --deep --json "$checkpoint"
says '"checksums_right": false'

fresh
printf 'no HDF5' >"$checkpoint/checkpoint.h5"
inspect 1 "$checkpoint"
complains "checkpoint.h5: cannot read it as an HDF5 file"
rm "$checkpoint/checkpoint.h5"
inspect 1 "$checkpoint"
complains "was never finished"

# A run that was trained: its losses and its journal. Seven steps, a checkpoint at each third and at the end.
mkdir "$folder/runs"
printf 'run: { name = "syn"; steps = 7; };\nmodel: { kind = "synthetic"; };\ncheckpoint: { every = 3; };\n' >"$folder/syn.cfg"
"$MUSTER" train "$folder/syn.cfg" run.dir="$folder/runs" >"$folder/out" 2>"$folder/err" || fail "train"
inspect 0 "$folder/runs/syn"
says "state        ended, outcome complete"
says "progress     step 7 of 7, 28672 tokens"
grep -Eq '^  training +loss [0-9.]+ first, [0-9.]+ last' "$folder/out" || fail "losses"
[ "$(sed -n 's/^    start 1 *//p' "$folder/out" | sed 's/^20[^ ]* //')" = "started with 1 rank at step 0
checkpoint of step 3
checkpoint of step 6
checkpoint of step 7
ended at step 7, outcome complete" ] || fail "journal"
inspect 0 --json "$folder/runs/syn"
if command -v python3 >/dev/null; then
    python3 - "$folder/out" <<'PY' || fail "--json of a run"
import json, sys
r = json.load(open(sys.argv[1]))
assert r["kind"] == "run" and r["status"]["state"] == "ended" and r["killed"] is False
assert [e["type"] for e in r["journal"]] == ["GENERATION"] + 3 * ["CHECKPOINT"] + ["END"]
assert r["checkpoint"]["step"] == 7 and r["losses"]["first_train"] > r["losses"]["last_train"]
PY
fi

# Killed, or trained by somebody: the lock tells.
sed -i 's/"ended"/"running"/; s/"complete"/"none"/' "$folder/runs/syn/status.json"
inspect 0 "$folder/runs/syn"
says "nobody trains it now: it was killed; the same command goes on from step 7"
inspect 0 "$folder/runs"
grep -Eq '^  syn +killed +7 of 7' "$folder/out" || fail "a list of runs"
exec 9<"$folder/runs/syn/.lock"
flock -x 9
inspect 0 "$folder/runs"
grep -Eq '^  syn +running +7 of 7' "$folder/out" || fail "a list of runs, one of them held"
exec 9<&-
rm -r "$folder/runs/syn/checkpoints"
inspect 0 "$folder/runs/syn"
says "goes on from the beginning"
says "checkpoint   none yet"
inspect 0 --json "$folder/runs"
says '"kind": "runs"'

# Token files.
fresh
for i in $(seq 400); do echo "line $i of a text that is long enough"; done >"$folder/text"
# Data that are not there: what makes them is told.
"$MUSTER" train "$MUSTER_SOURCE/configs/quickstart.cfg" data.train=none.bin run.dir="$folder/none" >"$folder/said" 2>&1
[ $? = 78 ] || fail "training without data: not exit code 78"
grep -q 'expected token files .*scripts/quickstart makes those of configs/quickstart.cfg' "$folder/said" || fail "data that are missing"
"$MUSTER" tokenize "$folder/text" --out "$folder/t" >/dev/null 2>&1 || fail "tokenize"
inspect 0 --deep "$folder/t-train.bin"
says "vocabulary   256"
says "every token was read: all right"
inspect 0 --json "$folder/t-train.bin"
says '"kind": "tokens"'
# Of many tensors the first ten: 2 layers of 12, and 4 around them.
"$MUSTER" train "$folder/syn.cfg" run.dir="$folder/runs" run.name=gpt model.kind=gpt2 model.layers=2 model.heads=2 model.width=16 \
    model.context=16 batch.sequences=2 run.steps=1 data.train="$folder/t-train.bin" >"$folder/out" 2>&1 || fail "train a GPT"
inspect 0 "$folder/runs/gpt"
says "in 28 tensors"
says "  and 18 more (--all)"
[ "$(grep -c ' float32' "$folder/out")" = 10 ] || fail "not ten of the tensors"
inspect 0 --all "$folder/runs/gpt"
[ "$(grep -c ' float32' "$folder/out")" = 28 ] || fail "not all of the tensors"
printf 'Q' | dd of="$folder/t-train.bin" bs=1 seek=3000 conv=notrunc 2>/dev/null
inspect 1 --deep "$folder/t-train.bin"
complains "t-train.bin"

# Mistakes.
inspect 64
inspect 64 --depe "$checkpoint"
complains "--deep"
inspect 64 "$checkpoint/part-00000.h5"
complains "inspect the folder: $checkpoint"
inspect 64 --json --config "$checkpoint"
inspect 64 --config "$folder/t-valid.bin"
inspect 1 "$folder/nothing-here"
complains "there is no $folder/nothing-here"
inspect 1 "$folder/runs/sny"
complains "there is no $folder/runs/sny; did you mean $folder/runs/syn?"
mkdir "$folder/empty"
inspect 1 "$folder/empty"
complains "holds nothing that Muster knows"
inspect 1 "$folder/text"
complains "$folder/text"
inspect 0 --help
says "--deep"

finish
