#!/usr/bin/env bash
# muster profile: a table whose lines add up, JSON, a trace; the bits of the run; and mistakes, at which nothing is written.
. "$(dirname "$0")/common.sh"
unset MUSTER_PROGRESS MUSTER_LOG COLUMNS LINES MUSTER_RUN_DIR
export TMPDIR=$folder/tmp
mkdir tmp
profile() { # profile EXIT_CODE WORD...
    local code=$1
    shift
    expect "$code" "$MUSTER" profile "$@"
    [ -z "$(ls -A tmp)" ] || fail "left in TMPDIR: $(ls tmp)"
    [ ! -e runs ] || fail "$*: the run's folder was made"
}

yes 'The quick brown fox jumps over the lazy dog, and the dog sleeps on. ' | head -c 120000 >text.txt
"$MUSTER" tokenize text.txt --out my >/dev/null 2>&1 || fail "tokenize"
cat >gpt.cfg <<'CFG'
run: { name = "mine"; steps = 12; dir = "runs"; hash_every = 1; };
model: { layers = 2; heads = 2; width = 32; context = 32; };
data: { train = "my-train.bin"; valid = "my-valid.bin"; };
batch: { sequences = 8; };
CFG

# The table.
profile 0 gpt.cfg --steps 4 --warm-up 2
[ ! -s err ] || fail "it has something to complain of"
matches '^gpt2, 2 layers, width 32, '
matches '^1 rank of 1 thread, device cpu, fp32: a step of 256 tokens takes [0-9.]+ ms \(median of 4\)$'
matches '^timed, every other step: [0-9.]+ ms; timing costs [+-][0-9.]+ %$'
matches 'matrix products [0-9.]+ GFLOP/s, memory [0-9.]+ GB/s$'
matches '^linear_backward_weight +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+  (compute|memory|overhead)$'
matches '^adamw .* - +- +[0-9.]+ +[0-9.]+  (memory|overhead)$'
matches '^not accounted for '
matches '^a step +[0-9.]+ +100.0$'
sed -n '/^phases: /,/%$/p' out | xargs | grep -qE '^phases: .*forward .*backward .*update .*%$' || fail "phases: $(cat out)"
[ -z "$(grep -E '.{101}' out)" ] || fail "lines wider than 100 columns: $(grep -E '.{101}' out)"
matches '^longest time without a poll: [0-9.]+ ms, mostly in: '
matches '^state hash of step 11: [0-9a-f]{32}$'
# The shares, between the head and the last line, as printed.
sum=$(awk '/^operation/ { on = 1; next } /^a step/ { on = 0 } on { sum += substr($0, 49, 6) } END { printf "%.1f", sum }' out)
[ "$sum" = 100.0 ] || fail "the shares add up to $sum"
calls=$(awk '/^linear / { print $2 }' out) # 8 sequences in shards of one: 4 a layer, 2 layers
[ "$((${calls%.*} % 8))" = 0 ] || fail "$calls calls of linear a step"
hash=$(sed -n 's/^state hash of step 11: //p' out)

# The bits are those of the run after as many steps, and of any other way to look at it.
profile 0 gpt.cfg --steps 1 --warm-up 8
matches "^state hash of step 11: $hash$"
expect 0 "$MUSTER" train gpt.cfg
grep -q "\"step\": 11,.*\"state_hash\": \"$hash\"" runs/mine/metrics.jsonl || fail "the run has other bits at step 11"
grep -q "\"step\": 10,.*\"state_hash\": \"$hash\"" runs/mine/metrics.jsonl && fail "all steps have one hash"
# Beside a run that is there, which stays as it is.
before=$(find runs -printf '%p %s %T@\n' | sort)
mkdir aside && mv runs aside/
profile 0 gpt.cfg run.dir=aside/runs --steps 1
mv aside/runs .
[ "$before" = "$(find runs -printf '%p %s %T@\n' | sort)" ] || fail "the run's folder was touched"
rm -r runs

# JSON and a trace.
profile 0 gpt.cfg --steps 2 --json --trace trace.json
python3 - <<'PY' >out 2>err || fail "what the files hold"
import json
t = json.load(open("trace.json"))["traceEvents"]
x = [e for e in t if e["ph"] == "X"]
names = [e["name"] for e in x]
assert names.count("adamw") >= 1 and "attention_backward" in names, names
steps = [e for e in x if e["name"] == "not accounted for"]
assert len(steps) == 1, "one step"
assert all(e["ts"] >= steps[0]["ts"] - 0.002 for e in x)
assert all(e["ts"] + e["dur"] <= steps[0]["ts"] + steps[0]["dur"] + 0.002 for e in x if e["cat"] in ("forward", "backward", "update"))
PY
profile 0 gpt.cfg --steps 2 --json
cp out json
python3 - <<'PY' >out 2>err || fail "what the JSON holds"
import json
p = json.load(open("json"))
assert abs(sum(r["share"] for r in p["operations"]) - 1) < 1e-9
assert abs(sum(r["ms"] for r in p["operations"]) - p["step_ms"]) < 1e-6
assert abs(sum(p["phases_ms"].values()) - p["step_ms"]) < 1e-6
linear = next(r for r in p["operations"] if r["operation"] == "linear")
# 256 tokens; a layer has 12 width^2 weights in its products, forward 2 FLOPs each
flops = linear["flops_per_s"] * linear["ms"] / 1e3
assert abs(flops - 256 * 2 * 2 * 12 * 32 ** 2) < 1, flops
assert p["last_step"] == 8 and len(p["ranks"]) == 1 and p["steps"] == 2
assert p["ranks"][0]["longest_poll_gap_ms"] > 0
PY
refuses 64 "--trace trace.json: there is such a file, which is left alone; give another name, or remove it" \
    "$MUSTER" profile gpt.cfg --trace trace.json
refuses 64 "--trace none/x.json: nothing can be written in none (No such file or directory)" \
    "$MUSTER" profile gpt.cfg --trace none/x.json

# A workload that is no model: its time is the host's. A run shorter than what it takes is no hindrance.
expect 0 "$MUSTER" profile "$MUSTER_SOURCE/configs/synthetic.cfg" run.steps=3 --steps 2
matches '^synthetic'
matches '^gradient, on the host '
# State in a device's memory: each operation is waited for.
if [ -f "$MUSTER_BUILD/muster-cuda-emulated.so" ]; then
    MUSTER_CUDA_MODULE=$MUSTER_BUILD/muster-cuda-emulated.so profile 0 gpt.cfg device.kind=cuda model.layers=1 \
        model.context=8 batch.sequences=2 --steps 1 --warm-up 1
    matches 'device cuda, fp32'
    matches 'since each operation of the device is waited for$'
    matches '^update of all tensors '
fi

# Asked to stop, it does, and leaves nothing.
"$MUSTER" profile gpt.cfg --steps 100000 >out 2>err &
pid=$!
sleep 1.5
kill -USR1 $pid
wait $pid
[ $? = 1 ] || fail "stopped: another exit code"
grep -qE '^muster: error: no profile: the steps ended after [0-9]+ of 200004: stopped on request$' err || fail "stopped: what it says"
[ -z "$(ls -A tmp)" ] || fail "stopped: left in TMPDIR"

# Mistakes.
refuses 64 "--steps: '0' is not an integer from 1 to 100000; see 'muster profile --help'" "$MUSTER" profile gpt.cfg --steps 0
refuses 64 "--warm-up: '0' is not an integer from 1 to 100000; see 'muster profile --help'" "$MUSTER" profile gpt.cfg --warm-up 0
expect 64 "$MUSTER" profile
expect 64 "$MUSTER" profile run.steps=3
refuses 78 "none.cfg: no such file" "$MUSTER" profile none.cfg
profile 78 gpt.cfg model.width=33
profile 78 gpt.cfg data.train=none.bin
grep -q 'muster tokenize' err || fail "no advice on data"
TMPDIR=$folder/none expect 1 "$MUSTER" profile gpt.cfg
grep -q 'TMPDIR names the place' err || fail "no advice on TMPDIR"
profile 0 --help
matches '^usage: muster profile CONFIG'
finish
