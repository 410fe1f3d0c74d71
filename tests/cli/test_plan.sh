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
grep -Eq '^params80000-c1e\+12-s1 +cell +8e\+04 +2.08e\+06 +26 +254 +8192 +0 +0.001 +9.99e\+11 +0%$' out ||
    fail "the trial of 80,000 parameters is not as expected"
has out "4 trials: 4 cells, 0 to tune with, 0 controls"
has out "FLOPs: 4e+12"
grep -q '^time: ' out || fail "nothing was measured"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q '^time: ' out && fail "--quick measured"

# Overrides are those of a run.
expect 0 "$MUSTER" plan --quick sweep.cfg batch.sequences=128
grep -Eq '^params80000-c1e\+12-s1 .* 127 +16384 ' out || fail "the override has no effect"

# Warnings.
sweep "$sizes budgets = [1e10];"
expect 0 "$MUSTER" plan --quick sweep.cfg
grep -q "warning: 4 trials have fewer than 50 steps (params80000-c1e+10-s1: 3): take smaller batches" err ||
    fail "no warning of few steps"
grep -q "warning: the expected optimum of 1e+10 FLOPs is at synthetic.params = 10000, with 0 sizes below" err ||
    fail "no warning of a budget at the edge"

# Mistakes: of the file, of trials, of the command line.
sweep "$sizes budgets = [1e12]; windows = 3;"
refuses 78 "sweep.cfg:4: sweep.windows: unknown key; did you mean 'sweep.window'?" "$MUSTER" plan sweep.cfg
sweep "$sizes budgets = [1e12]; retries = many;"
expect 78 "$MUSTER" plan sweep.cfg
grep -q "sweep.retries: many cannot be; expected an integer from 0 to 100" err || fail "retries = many is not refused"
sweep "$sizes budgets = [1e11, 1e12]; share_trunk = true; laws = ( { key = \"optim.lr\"; value = \"D^-0.2\"; } );"
expect 78 "$MUSTER" plan sweep.cfg
grep -q "the law of optim.lr follows the length of a run, so that runs of one size share no trunk" err ||
    fail "a law of D is not refused with shared trunks"
refuses 78 "sweep.cfg:4: sweep: this file describes a sweep, not a run; expected \`muster plan\` with it, or the configuration of a run" \
    "$MUSTER" config --check sweep.cfg
printf 'run = { steps = 1; };\nmodel = { kind = "synthetic"; };\n' >run.cfg
refuses 78 "run.cfg: sweep: missing; expected sweep = { ... }; as in configs/sweep-toy.cfg" "$MUSTER" plan run.cfg
refuses 64 "SWEEP is missing; see 'muster plan --help'" "$MUSTER" plan
expect 0 "$MUSTER" plan --keys
grep -q '^  laws\[\].value  *a formula of N, D, C and size; or "tune"' out || fail "--keys does not list the laws"
refuses 78 "nowhere.cfg: no such file" "$MUSTER" plan nowhere.cfg
[ "$(wc -l <err)" = 1 ] || fail "more than that a file is not there: $(cat err)"

# The example, without its text, and on other text than its own.
mkdir configs
cp "$MUSTER_SOURCE"/configs/{gpt-toy,sweep-toy}.cfg configs
expect 78 "$MUSTER" plan --quick configs/sweep-toy.cfg data.train=gone.bin
grep -q 'data.train = ".*gone.bin": expected a token file (`muster tokenize` makes one; ' err || fail "what to do about data: $(cat err)"
expect 0 "$MUSTER" plan --quick configs/sweep-toy.cfg
has out "44 trials: 30 cells, 10 to tune with, 4 controls"
grep -Eq '^FLOPs: 1.42e\+13 with trunks shared, 0.90 of the 1.57e\+13 that separate runs take$' out ||
    fail "the example takes other FLOPs"
finish
