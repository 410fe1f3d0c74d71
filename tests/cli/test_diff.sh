#!/usr/bin/env bash
# muster diff: runs that are the same, that part, and that were restarted; checkpoints; what cannot be compared.
. "$(dirname "$0")/common.sh"
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe

# differ EXIT_CODE WORD...
differ() {
    local code=$1
    shift
    expect "$code" "$MUSTER" diff "$@"
}

# A tiny GPT on the README.
for _ in 1 2; do cat "$MUSTER_SOURCE/README.md"; done >text
expect 0 "$MUSTER" tokenize text --out t
cat >gpt.cfg <<'CFG'
run: { name = "one"; dir = "runs"; steps = 12; hash_every = 3; };
model: { kind = "gpt2"; layers = 1; heads = 2; width = 16; context = 16; };
data: { train = "t-train.bin"; valid = "t-valid.bin"; };
batch: { sequences = 8; shards = 4; };
optim: { schedule: { cooldown = 0.5; }; };
checkpoint: { every = 4; keep = 9; }; # and of step 6, before the cooldown
CFG
expect 0 "$MUSTER" train gpt.cfg
expect 0 "$MPIRUN" -n 2 "$MUSTER" train gpt.cfg run.name=two
expect 0 "$MUSTER" train gpt.cfg run.name=seed run.seed=9

# On one rank and on two: the same bits.
differ 0 runs/one runs/two
says "A  run runs/one: recorded from step 1 to 12, 4 checkpoints"
says "records      the same in all 12 steps that both have, the last is 12"
says "checkpoints  of step 12"
says "are the same, with their moments and predictions"
has out '  run.name (operational): A "one", B "two"'
says "data         the same training data"
has out "fingerprint  the same"
has out "the same bits"
differ 0 runs/one runs/one
says "every key is the same"
differ 0 runs/one/ runs/two/checkpoints/step-00000004
says "checkpoints  of step 4"
differ 0 runs/one/checkpoints/step-00000008/checkpoint.h5 runs/two/checkpoints/step-00000008

# Another seed: other weights from the beginning.
differ 1 runs/one runs/seed
says "they part at or before step 1, the first that both have"
says "loss of step 1: A "
says "checkpoints  of step 4, the first that both have and that differ"
says "; the first that parts is wte.weight"
[ "$(grep -c 'numbers differ, by' out)" = 10 ] || fail "not ten tensors"
has out "  and 6 more (--all)"
grep -Eq '^  wte.weight, weights: 4096 of 4096 numbers differ, by [0-9.e-]+ at most; \|B - A\| / \|A\| = 1\.[0-9]+$' out ||
    fail "how far wte.weight is"
has out "  run.seed (identity): A 1, B 9"
has out "fingerprint  the same but for the probe, whose bits data and keys change" # not: the machines differ
has out "they differ"
differ 1 --json runs/one runs/seed
if command -v python3 >/dev/null; then
    python3 - out <<'PY' || fail "--json"
import json, math, sys
d = json.load(open(sys.argv[1]))
assert d["kind"] == "diff" and d["same"] is False
assert d["records"]["parts_at"] == 1 and d["records"]["same_until"] is None
assert d["checkpoints"]["step_a"] == d["checkpoints"]["step_b"] == 4
first = d["checkpoints"]["differing"][0]
assert first["name"] == "wte.weight" and first["shape_a"] == [256, 16]
assert first["weights"]["elements"] == 4096 and 1 < first["weights"]["relative_norm"] < 2
assert {k["key"]: k["class"] for k in d["config"]} == {"run.name": "operational", "run.seed": "identity"}
PY
fi

# A learning rate that falls to another floor in the last 6 of 12 steps: the same state after step 6, and another one after step 8,
# the first checkpoint behind it.
expect 0 "$MUSTER" train gpt.cfg run.name=floor optim.schedule.floor=0.5
differ 1 runs/one runs/floor
grep -Eq '^records      the same until step [67], they part at or before step [78]$' out || fail "where the cooldown begins"
has out "  optim.schedule.floor (fork): A 0.0, B 0.5"
says "checkpoints  of step 8, the first that both have and that differ"
differ 0 runs/one runs/floor/checkpoints/step-00000004

# Stopped and continued, with the checkpoint of its end damaged: what the second start recorded counts.
printf 'x' >>runs/two/metrics.jsonl
rm runs/two/checkpoints/step-00000012/part-00000.h5
expect 0 "$MUSTER" train gpt.cfg run.name=two
differ 0 runs/one runs/two

# A fork: the state that it began with is its parent's.
expect 0 "$MUSTER" train gpt.cfg run.name=fork --from runs/one@4 optim.lr=0.5
differ 1 runs/one runs/fork
says "B  run runs/fork: recorded from step 4 to 12"
grep -Eq '^records      the same until step [45], they part at or before step [56]$' out || fail "where a fork parts"
says "checkpoints  of step 6, the first that both have and that differ"

# One ends before the other: the same as far as both go, and not the same.
expect 0 "$MUSTER" train gpt.cfg run.name=short run.steps=8 optim.schedule.cooldown=0.0
expect 0 "$MUSTER" train gpt.cfg run.name=long optim.schedule.cooldown=0.0
differ 1 runs/short runs/long
says "the same in all 8 steps that both have"
says "but A ends at step 8 and B at step 12"

# Checkpoints of two steps, and of two models.
differ 1 runs/one/checkpoints/step-00000004 runs/one/checkpoints/step-00000008
says "step 4 of A is compared with step 8 of B"
differ 1 --all runs/one/checkpoints/step-00000004 runs/one/checkpoints/step-00000008
says "  wte.weight, adam_m: "
expect 0 "$MUSTER" train gpt.cfg run.name=wide model.width=32 run.steps=4
differ 1 runs/one runs/wide
says "  wte.weight has another shape: 256 x 16 in A, 256 x 32 in B"
has out "  model.width (identity): A 16, B 32"
differ 1 "$MUSTER_SOURCE/tests/oracle/checkpoint-1/step-00000007" runs/one
says "is in A only"
says "is in B only"

# What cannot be compared.
differ 2 runs/one nothing
has err "muster: error: there is no nothing"
differ 2 runs/one text
complains "text is neither a run nor a checkpoint; expected a run directory"
differ 64 runs/one runs
complains "runs is a folder of runs; give one of them"
differ 64 runs/one
differ 64 runs/one runs/two runs/seed
differ 64 --jsn runs/one runs/two
complains "--json"
cp -r runs/one/checkpoints/step-00000012 damaged
truncate -s 3000 damaged/part-00000.h5
differ 2 runs/one damaged
complains "part-00000.h5"
rm damaged/checkpoint.h5
differ 2 damaged runs/one
complains "was never finished"
mkdir -p bare && cp runs/one/status.json bare/
differ 2 bare runs/one
complains "no step that both have"
expect 0 "$MUSTER" diff --help
says "Ends with 0 when both have the same bits"
finish
