#!/usr/bin/env bash
# muster plan: the example as it is shipped, what it warns of, and every mistake of a sweep file.
. "$(dirname "$0")/common.sh"
mkdir data
head -c 4000000 /dev/urandom | base64 >text
expect 0 "$MUSTER" tokenize --out data/gcide text
sweep() {
    cat >sweep.cfg <<CFG
run = { steps = 100; };
model = { kind = "synthetic"; };
batch = { sequences = 64; shards = 8; };
sweep = { $1 };
CFG
}
sizes='sizes = { key = "synthetic.params"; values = [1e4, 2e4, 4e4, 8e4]; };'

# What it says of a sweep whose numbers are known: 6 N D, 8192 tokens a step.
sweep "$sizes budgets = [1e12]; window = { points = 4; each_side = 1; };"
expect 0 "$MUSTER" plan sweep.cfg
grep -Eq '^params80000-c1e\+12-s1 +1 +8e\+04 +2.08e\+06 +26 +- +254 +8192 +0 +0.001 +9.99e\+11 +0%$' out ||
    fail "the trial of 80,000 parameters is not as expected"
has out "4 trials: 4 cells, 0 to tune with, 0 controls"
has out "FLOPs: 4e+12"
grep -q '^time: ' out || fail "nothing was measured"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q '^time: ' out && fail "--quick measured"

expect 0 "$MUSTER" plan --json --quick sweep.cfg
/usr/bin/python3 - <<'PY' || fail "the trial of 80,000 parameters is not as expected in JSON"
import json
plan = json.load(open("out"))
trial = plan["trials"][3]
assert trial["name"] == "params80000-c1e+12-s1" and trial["role"] == "cell"
assert (trial["parameters"], trial["steps"], trial["tokens"]) == (80000, 254, 254 * 8192)
assert trial["flops"] == 6 * 80000 * 254 * 8192 and len(plan["trials"]) == 4
assert plan["costs"]["wall_seconds"] is None and plan["costs"]["train_tokens"] is None
PY

# Overrides are those of a run.
expect 0 "$MUSTER" plan --quick sweep.cfg batch.sequences=128
grep -Eq '^params80000-c1e\+12-s1 .* 127 +16384 ' out || fail "the override has no effect"

expect 0 "$MUSTER" plan --quick sweep.cfg sweep.name=mine sweep.share_trunk=true sweep.window.tokens_per_parameter=10
grep -q '^FLOPs: .* with trunks shared' out || fail "sweep.share_trunk=true has no effect"
refuses 78 "command line: sweep.budgets: lists of a sweep are given in its file; expected a single value" \
    "$MUSTER" plan sweep.cfg "sweep.budgets=[1e11]"
refuses 78 "command line: sweep.retires: unknown key; did you mean 'sweep.retries'?" "$MUSTER" plan sweep.cfg sweep.retires=2
refuses 78 "command line: sweep.retries: many cannot be; expected an integer from 0 to 100" "$MUSTER" plan sweep.cfg sweep.retries=many

# Extensions: of 8 sizes 5 round 32e3, so that 4e3, 256e3 and 512e3 are left: 625, 10 and 5 steps, two seeds each.
ladder='sizes = { key = "synthetic.params"; values = [4e3, 8e3, 16e3, 32e3, 64e3, 128e3, 256e3, 512e3]; };'
sweep "$ladder budgets = [1.2288e11]; repeats = ( { budget = 1.2288e11; seeds = 2; } );"
expect 0 "$MUSTER" plan --quick sweep.cfg
has out "extensions: up to 6 cells more, 7.49e+11 FLOPs, where fewer than 2 sizes lie on a side of a budget's minimum"
expect 0 "$MUSTER" plan --quick sweep.cfg sweep.window.extend=0
grep -q '^extensions: ' out && fail "extensions are counted where none are allowed"

# Warnings.
sweep "$sizes budgets = [1e10];"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q "warning: 4 trials have fewer than 50 steps (params80000-c1e+10-s1: 3): take smaller batches" err ||
    fail "no warning of few steps"
grep -q "warning: the expected optimum of 1e+10 FLOPs is at synthetic.params = 10000, with 0 sizes below" err ||
    fail "no warning of a budget at the edge"

sweep "$sizes budgets = [1e14, 2e14, 3e14, 4e14, 5e14];"
expect 0 "$MUSTER" plan --quick sweep.cfg
[ "$(grep -c 'with 3 sizes below and 0 above' err)" = 3 ] || fail "budgets at the edge are not told three times"
grep -q "warning: the expected optima of 2 more budgets are at an end of the sizes, too" err || fail "the others are not counted"
sweep "$sizes budgets = [1e5, 2e5]; window = { points = 3; each_side = 1; };"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q "warning: 3 trials are the same run as another (params10000-c100000-s1 and params10000-c200000-s1)" err ||
    fail "no warning of equal trials"
sweep "$sizes budgets = [1e13]; laws = ( { key = \"optim.lr\"; value = \"tune\"; } );
    tune = { cells = ( { size = 1e4; budget = 1e11; }, { size = 4e4; budget = 1e11; } ); factors = [0.5, 1, 2]; };"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q "warning: 1 trial is outside of the sizes that optim.lr is tuned at, N = 1e+04 to 4e+04 (params80000-c1e+13-s1: 8e+04, 2.0 times beyond)" err ||
    fail "no warning of a law outside its range"

# The cells' rate is what tuning will find, not the configuration's own.
grep -Eq '^params80000-c1e\+13-s1 .* tuned ' out || fail "a rate that is yet to be tuned has a number"
grep -Eq '^tune-params10000-c1e\+11 +3 .* varies ' out || fail "rates that tune are not told"

# Hundreds of trials: ten budgets by ten sizes by five seeds.
sweep "sizes = { key = \"synthetic.params\"; values = [$(seq -s, 1e4 1e4 20e4)]; };
    budgets = [$(seq -s, 1e12 1e12 10e12)]; window = { points = 10; };
    repeats = ( $(seq -s, -f '{ budget = %ge12; seeds = 5; }' 1 10) );"
expect 0 "$MUSTER" plan sweep.cfg
has out "500 trials: 500 cells, 0 to tune with, 0 controls"
[ "$(grep -c '^params' out)" = 100 ] || fail "500 trials are not 100 lines"
grep -q '^time: ' out || fail "500 trials were not measured"

# The synthetic example.
expect 0 "$MUSTER" plan "$MUSTER_SOURCE"/configs/sweep-synthetic.cfg
has out "24 trials: 24 cells, 0 to tune with, 0 controls"
grep -q "fewer than 50 steps\|miss the budget\|expected opti" err && fail "the synthetic example looks wrong: $(cat err)"
for count in nonemb nonemb+head all; do # N is synthetic.params
    sed "s/.*kind = .isoflop.;/& count = { params = \"$count\"; flops = \"6N+12LdT\"; };/" \
        "$MUSTER_SOURCE"/configs/sweep-synthetic.cfg >counted.cfg
    cp "$MUSTER_SOURCE"/configs/synthetic.cfg .
    expect 0 "$MUSTER" plan --quick counted.cfg
    grep -Eq '^params180000-c1e\+13-s1 +1 +1.8e\+05 +9.26e\+06 +51.5 ' out || fail "N is not synthetic.params under $count"
done

# Mistakes: of the file, of trials, of the command line.
sweep "$sizes budgets = [1e12]; windows = 3;"
refuses 78 "sweep.cfg:4: sweep.windows: unknown key; did you mean 'sweep.window'?" "$MUSTER" plan sweep.cfg
sweep "$sizes budgts = [1e11, 1e12];"
refuses 78 "sweep.cfg:4: sweep.budgts: unknown key; did you mean 'sweep.budgets'?" "$MUSTER" plan sweep.cfg
[ "$(grep -c unknown err)" = 1 ] || fail "an unknown list is told more than once: $(cat err)"
sweep "$sizes budgets = [1e12]; retries = many;"
expect 78 "$MUSTER" plan sweep.cfg
grep -q "sweep.retries: many cannot be; expected an integer from 0 to 100" err || fail "retries = many is not refused"
sweep "$sizes budgets = [1e11, 1e12]; share_trunk = true; laws = ( { key = \"optim.lr\"; value = \"D^-0.2\"; } );"
expect 78 "$MUSTER" plan sweep.cfg
grep -q "the law of optim.lr follows the length of a run, so that runs of one size share no trunk" err ||
    fail "a law of D is not refused with shared trunks"
# A run of 1e12 and a cooldown of a fifth of 1e11, instead of both: 1.1 / 1.02 = 1.08.
grep -q "or share_trunk = false, which takes 1.1 times the FLOPs (4.4e+12 instead of 4.08e+12)" err ||
    fail "the cost of separate runs is not told: $(cat err)"
refuses 78 "sweep.cfg:4: sweep: this file describes a sweep, not a run; expected \`muster plan\` or \`muster sweep\` with it, or the configuration of a run" \
    "$MUSTER" config --check sweep.cfg
printf 'run = { steps = 1; };\nmodel = { kind = "synthetic"; };\n' >run.cfg
refuses 78 "run.cfg: sweep: missing; expected sweep = { ... }; as in configs/sweep-toy.cfg" "$MUSTER" sweep run.cfg
refuses 64 "CONFIG is missing; see 'muster plan --help'" "$MUSTER" plan
expect 0 "$MUSTER" plan --keys
grep -q '^  laws\[\].value  *a formula of N, D, C and size; or "tune"' out || fail "--keys does not list the laws"
refuses 78 "nowhere.cfg: no such file" "$MUSTER" plan nowhere.cfg
[ "$(wc -l <err)" = 1 ] || fail "more than that a file is not there: $(cat err)"

sweep "$sizes budgets = [1e11, 1e12]; repeats = ( { budget = 1e11; seeds = 9; } ); laws = ( { key = \"optim.lr\"; value = \"-1\"; } );"
expect 78 "$MUSTER" plan sweep.cfg
[ "$(grep -c 'optim.lr: -1 is out of range' err)" = 4 ] || fail "a mistake is not told once a size"

# The example, without its text, and on other text than its own.
mkdir configs
cp "$MUSTER_SOURCE"/configs/{gpt-toy,sweep-toy}.cfg configs
expect 78 "$MUSTER" plan --quick configs/sweep-toy.cfg data.train=gone.bin
grep -q 'data.train = ".*gone.bin": expected a token file (`muster tokenize` makes one; ' err || fail "what to do about data: $(cat err)"
expect 0 "$MUSTER" plan --quick configs/sweep-toy.cfg
grep -Eq '^width16-c1e\+11 +3 .* 27%$' out || fail "seeds of a cell are not one line"
grep -Eq '^tune-width16-c1e\+11 +5 .* varies ' out || fail "factors of a cell are not one line"
[ "$(grep '^[a-z-]*width' out | wc -L)" -le 120 ] || fail "the table is wider than 120 columns"
has out "44 trials: 30 cells, 10 to tune with, 4 controls"
grep -Eq '^FLOPs: 1.42e\+13 with trunks shared, 0.90 of the 1.57e\+13 that separate runs take$' out ||
    fail "the example takes other FLOPs"
expect 0 "$MUSTER" plan --quick --all configs/sweep-toy.cfg
[ "$(grep -c '^[a-z-]*width' out)" = 44 ] || fail "--all does not list all trials"
expect 0 "$MUSTER" plan configs/sweep-toy.cfg device.kind=cuda
has out "memory and time on GPUs: not known here; \`muster train\` counts the memory first"
grep -q '^time: ' out && fail "GPUs were measured on a CPU"

# A model too large for any host.
sweep "sizes = { key = \"model.width\"; values = [8192]; }; kind = \"ladder\"; multiples = [0.01];"
sed -i 's/kind = "synthetic";/kind = "gpt2"; layers = 100; heads = 128; context = 64;/; 1i data = { train = "data/gcide-train.bin"; valid = "data/gcide-valid.bin"; };' sweep.cfg
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q "warning: the largest trial does not fit into this host's memory at all" err || fail "no warning of memory"
finish
