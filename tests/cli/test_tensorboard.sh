#!/usr/bin/env bash
# What TensorBoard's own reader makes of a run that was killed and goes on from a checkpoint: every step once, as in metrics.jsonl.
# $TENSORBOARD_PYTHON is a Python that has TensorBoard, where python3 has it not.
. "$(dirname "$0")/common.sh"
python=${TENSORBOARD_PYTHON:-python3}
if ! "$python" -c 'import tensorboard.backend.event_processing.event_accumulator' 2>/dev/null; then
    echo "skipped: $python has no tensorboard (pip install tensorboard)"
    exit 77
fi

run() {
    "$MUSTER" train "$MUSTER_SOURCE/configs/synthetic.cfg" run.dir="$folder/runs" run.steps=12 run.log_every=1 \
        eval.every=4 checkpoint.every=6 "$@"
}
expect 0 run run.name=whole
# With another identity the state in memory is none of its own, so that steps 7 to 10 are taken a second time.
MUSTER_FAULT=at:forward,step:11,do:kill expect 137 run run.name=killed
grep -q '"step": 10,' runs/killed/metrics.jsonl || fail "it did not come to step 10"
rm runs/killed/.id
expect 0 run run.name=killed
grep -q 'going on from the checkpoint of step 6' err || fail "it did not go on from the checkpoint"

"$python" - >out 2>err <<'PY' || fail "TensorBoard reads something else"
import json, struct
from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util

TAGS = {"loss/train": "loss", "loss/valid": "valid_loss", "valid/bits_per_byte": "valid_bits_per_byte", "optim/lr": "lr",
        "optim/gradient_norm": "grad_norm", "speed/tokens_per_s": "tokens_per_s", "speed/step_ms": "step_ms",
        "data/tokens": "tokens"}
MEASURED = {"speed/tokens_per_s", "speed/step_ms"}  # six digits in JSON

def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]

def read(run):
    plain = event_accumulator.EventAccumulator(f"runs/{run}/tb", size_guidance={"scalars": 0}).Reload()
    shown = plugin_event_accumulator.EventAccumulator(f"runs/{run}/tb", size_guidance={"tensors": 0}).Reload()
    scalars = {tag: [(e.step, e.value) for e in plain.Scalars(tag)] for tag in plain.Tags()["scalars"]}
    tensors = {tag: [(e.step, tensor_util.make_ndarray(e.tensor_proto).item()) for e in shown.Tensors(tag)]
               for tag in shown.Tags()["tensors"]}
    assert scalars == tensors, (scalars, tensors)
    return scalars

found = {}
for run in ("whole", "killed"):
    scalars = found[run] = read(run)
    records = [json.loads(line) for line in open(f"runs/{run}/metrics.jsonl")]
    for tag, key in TAGS.items():
        expected = [(r["step"], r[key]) for r in records if r.get(key) is not None]
        got = scalars.get(tag, [])
        assert [s for s, _ in got] == [s for s, _ in expected], (run, tag, got, expected)
        for (_, a), (_, b) in zip(got, expected):
            assert abs(a - b) <= 1e-5 * abs(b) if tag in MEASURED else a == single(b), (run, tag, a, b)
    assert [s for s, _ in scalars["loss/train"]] == list(range(1, 13)), scalars["loss/train"]
    assert [s for s, _ in scalars["loss/valid"]] == [4, 8, 12], scalars["loss/valid"]
assert found["whole"]["loss/train"] == found["killed"]["loss/train"]
PY
finish
