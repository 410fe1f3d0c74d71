#!/usr/bin/env bash
# scripts/wandb-sync with a stand-in for the package wandb, which writes down what it is told: every step once, whatever becomes of
# the run and of the script.
. "$(dirname "$0")/common.sh"
if ! python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null); then
    echo "skipped: no python3"
    exit 77
fi
PATH=$(dirname "$python"):$PATH # itself: the shim of a manager takes longer to start than all else here
unset WANDB_MODE WANDB_PROJECT
sync=$MUSTER_SOURCE/scripts/wandb-sync
mkdir -p fake/wandb broken/wandb
cat >fake/wandb/__init__.py <<'PY'
import json, os
def _tell(what, **more):
    with open(os.environ["WANDB_CALLS"], "a") as out:
        print(json.dumps({"call": what, **more}), file=out, flush=True)
class _Config:
    def update(self, values, allow_val_change=False):
        _tell("config", values=values, change=allow_val_change)
class _Summary(dict):
    def __setitem__(self, key, value):
        _tell("summary", key=key, value=value)
class Settings:
    def __init__(self, console=None, _disable_stats=None):  # as of older versions
        self.console, self.stats = console, not _disable_stats
class _Run:
    starting_step = int(os.environ.get("WANDB_STARTING_STEP", "0"))
    config, summary = _Config(), _Summary()
    def log(self, values, step):
        _tell("log", step=step, values=values)
    def finish(self, exit_code=None):
        _tell("finish", exit_code=exit_code)
def init(settings=None, **more):
    if os.environ.get("WANDB_REFUSES"):
        raise RuntimeError("api_key not\n configured")
    _tell("init", console=settings.console, stats=settings.stats, **more)
    return _Run()
PY
echo 'raise ImportError("No module named wandb")' >broken/wandb/__init__.py
export PYTHONPATH=$folder/fake PYTHONDONTWRITEBYTECODE=1 WANDB_CALLS=$folder/calls
told() { python3 -c '
import json, sys
calls = [json.loads(line) for line in open("calls")]
print(eval(sys.argv[1], {"c": calls, "of": lambda what: [x for x in calls if x["call"] == what]}))' "$1"; }
tells() { # tells EXPRESSION VALUE: of the calls c; of(NAME): those of a name
    local got
    got=$(told "$1" 2>&1)
    [ "$got" = "$2" ] || fail "$1 is $got, expected $2"
}

# A run that is complete.
cat >syn.cfg <<'CFG'
run: { name = "syn"; steps = 6; dir = "runs"; };
model: { kind = "synthetic"; };
synthetic: { step_ms = 1.0; };
eval: { every = 3; };
CFG
expect 0 "$MUSTER" train syn.cfg
expect 0 "$sync" runs/syn --once --project demo --entity me
grep -Eq '^wandb-sync: runs/syn: sent 6 records, to step 6, as run [0-9a-f]{8}$' err || fail "what was sent is not told"
id=$(python3 -c 'import json; print(json.load(open("runs/syn/wandb.json"))["id"])')
tells '[x["call"] for x in c if x["call"] != "summary"]' "['init', 'config'$(printf ", 'log'%.0s" 1 2 3 4 5 6), 'finish']"
tells '[c[0][k] for k in ("id", "name", "project", "entity", "resume", "mode", "console", "stats")]' \
    "['$id', 'syn', 'demo', 'me', 'allow', None, 'off', False]"
tells '[c[1]["values"][k] for k in ("run.name", "run.steps", "synthetic.step_ms", "optim.betas", "optim.schedule.kind")]' \
    "['syn', 6, 1.0, [0.9, 0.95], 'wsd']"
tells '[x["step"] for x in of("log")]' "[1, 2, 3, 4, 5, 6]"
tells 'sorted(of("log")[2]["values"])' \
    "['data/tokens', 'loss/train', 'loss/valid', 'optim/gradient_norm', 'optim/lr', 'speed/step_ms', 'speed/tokens_per_s']"
tells 'of("log")[5]["values"]["loss/train"]' "$(python3 -c 'import json; print([json.loads(l) for l in open("runs/syn/metrics.jsonl")][5]["loss"])')"
tells '{x["key"]: x["value"] for x in of("summary")}["run/outcome"]' complete
tells '{x["key"]: x["value"] for x in of("summary")}["state_hash"]' "$(sed -n 's/.*"state_hash": "\(.*\)",/\1/p' runs/syn/status.json)"
tells 'of("finish")[0]["exit_code"]' 0
rm calls
expect 0 "$sync" runs/syn --once
has err "wandb-sync: runs/syn: all of it was sent before"
[ -e calls ] && fail "a run that was sent is begun again"

# A run that grows, is replaced by one that went back, tears a line, and ends; the script is killed in the middle.
record() { printf '{"step": %d, "loss": %d.5, "peak_share": null, "skipped": true}\n' "$1" "$1"; }
status() { printf '{"state": "%s", "outcome": "%s", "updated": "%s"}' "$1" "$2" "$3" >runs/grown/status.tmp && mv runs/grown/status.tmp runs/grown/status.json; }
last_is() { grep -q "\"log\", \"step\": $1," calls; }
mkdir runs/grown
echo one >runs/grown/.id
status running none a
"$sync" runs/grown --exit-when-done --every 0.05 2>told &
sender=$!
wait_for "beginning" grep -q config calls
{ record 1; record 2; printf '{"step": 3, '; } >>runs/grown/metrics.jsonl
wait_for "step 2" last_is 2
printf '"loss": 3.5}\n' >>runs/grown/metrics.jsonl
wait_for "step 3" last_is 3
{ record 1; record 2; echo 'what is this?'; record 3; record 4; } >runs/grown/next
mv runs/grown/next runs/grown/metrics.jsonl
wait_for "step 4" last_is 4
wait_for "memory of step 4" grep -q '"step": 4' runs/grown/wandb.json
expect 1 "$sync" runs/grown --once
has err "wandb-sync: error: another wandb-sync sends runs/grown already"
kill -KILL $sender
wait $sender 2>/dev/null
status ended requeue b
record 5 >>runs/grown/metrics.jsonl
expect 0 "$sync" runs/grown --exit-when-done # what there is, then the end
tells '[x["exit_code"] for x in of("finish")]' "[0]"
status running none c
"$sync" runs/grown --exit-when-done --every 0.05 2>told &
sender=$!
{ record 1; record 2; record 3; } >runs/grown/next # from a checkpoint, with the same values again
mv runs/grown/next runs/grown/metrics.jsonl
sleep 0.3
for s in 4 5 6 7; do record $s; done >>runs/grown/metrics.jsonl
wait_for "step 7" last_is 7
status ended failed d
wait $sender || fail "it ends with $? when the run has ended"
tells '[x["step"] for x in of("log")]' "[1, 2, 3, 4, 5, 6, 7]"
tells 'of("log")[4]["values"]' "{'loss/train': 5.5, 'run/skipped': 1}"
tells 'len({x["id"] for x in of("init")})' 1
tells '[x["exit_code"] for x in of("finish")]' "[0, 1]"

# Asked to end, or out of time, it says where it is; what the server has is not sent again, if the memory lacks it.
rm calls
status running none e
record 8 >>runs/grown/metrics.jsonl
expect 2 "$sync" runs/grown --deadline 0.2 --every 0.1
tells '[x["step"] for x in of("log")]' "[8]"
"$sync" runs/grown --every 0.05 2>told &
sender=$!
record 9 >>runs/grown/metrics.jsonl
wait_for "step 9" last_is 9
kill -TERM $sender
wait $sender
code=$?
[ $code = 143 ] || fail "TERM ends it with $code"
tells '[x["call"] for x in c][-1]' finish
for s in 10 11 12; do record $s; done >>runs/grown/metrics.jsonl
rm calls
WANDB_STARTING_STEP=12 expect 0 "$sync" runs/grown --once
tells '[x["step"] for x in of("log")]' "[12]"

# Begun anew in the same folder, offline.
rm calls
echo two >runs/grown/.id
record 1 >runs/grown/metrics.jsonl
old=$(grep -o '"id": "[^"]*"' runs/grown/wandb.json)
expect 0 "$sync" runs/grown --once --offline
has err "wandb-sync: runs/grown was begun anew since: it becomes another run at Weights & Biases"
tells '[x["step"] for x in of("log")]' "[1]"
tells '[c[0]["mode"], c[0]["resume"]]' "['offline', None]"
grep -qF -- "$old" runs/grown/wandb.json && fail "another run has the same id"

# Several; and one that fails beside one that does not.
rm -f calls runs/*/wandb.json
expect 0 "$sync" --once --group toy runs/syn runs/grown
tells 'sorted([x["name"], x["group"]] for x in of("init"))' "[['grown', 'toy'], ['syn', 'toy']]"
tells 'len(of("log"))' 7

# Mistakes, and nothing written.
hint="; see 'scripts/wandb-sync --help'"
rm -f calls runs/*/wandb.json
mkdir -p runs/sweep/trials odd
echo '{}' >runs/sweep/sweep.json
wrong() { # wrong EXIT_CODE TEXT WORD...
    local code=$1 text=$2
    shift 2
    expect "$code" "$@"
    has err "wandb-sync: error: $text"
    ls runs/*/wandb.json >/dev/null 2>&1 && fail "something was written"
    [ -e calls ] && fail "wandb was called"
}
wrong 1 "there is no runs/none" "$sync" runs/none
wrong 1 "there is no runs/none" "$sync" runs/syn runs/none --once
wrong 1 "odd is not the folder of a run (it has no metrics.jsonl)" "$sync" odd
wrong 1 "runs/sweep is a sweep; name its runs, as in: wandb-sync runs/sweep/trials/*" "$sync" runs/sweep
wrong 64 "the following arguments are required: RUN$hint" "$sync"
wrong 64 "unrecognized arguments: --onse$hint" "$sync" runs/syn --onse
wrong 64 "argument --every: '0' is not a number of seconds above 0$hint" "$sync" runs/syn --every 0
PYTHONPATH=$folder/broken wrong 1 "$python has no package wandb (No module named wandb); install it with 'python3 -m pip install wandb', or look at the run with 'muster plot' or TensorBoard" \
    "$sync" runs/syn
WANDB_REFUSES=1 expect 1 "$sync" runs/syn --once
has err "wandb-sync: error: Weights & Biases did not begin the run: api_key not configured ('wandb login', or --offline)"
grep -q Traceback err && fail "a traceback"
expect 0 "$sync" --help
grep -q -- --exit-when-done out || fail "no help"
finish
