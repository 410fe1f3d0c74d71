#!/usr/bin/env bash
# muster plan of a run: the shipped configurations, published numbers, what it warns of, what it refuses; and that nothing is written.
. "$(dirname "$0")/common.sh"
configs=$MUSTER_SOURCE/configs
export MUSTER_RUN_DIR=$folder/runs
mkdir data
head -c 400000 /dev/urandom | base64 >text
expect 0 "$MUSTER" tokenize --out data/my text
my=(data.train=data/my-train.bin data.valid=data/my-valid.bin)
plan() { "$MUSTER" plan "$@"; }
warns() { grep -qF -- "muster: warning: $1" err || fail "no warning '$1'"; }
quiet() { grep -qF -- "$1" err && fail "warned of '$1' without reason"; }
# is PATH VALUE: of the JSON that the last command said; a path has dots.
is() {
    local keys got
    IFS=. read -ra keys <<<"$1"
    got=$(member out "${keys[@]}")
    [ "$got" = "$2" ] || fail "$1 is $got, expected $2"
}

# GPT-2 124M as published, and by hand: 6 N + 12 * 12 layers * 768 * 1024 = 859,885,056 with all; its data are not here, so that it
# could not run, which is told together with what is known.
expect 78 plan --no-measure "$configs"/gpt2-124m.cfg data.train=gone.bin
matches '^all, with embeddings +124,439,808 +7.47e\+08 +8.6e\+08 +7.47e\+18 +8.6e\+18$'
matches '^non-embedding +85,056,000 '
matches '^non-embedding \+ head +123,653,376 '
matches '^products as computed +7.98e\+08 '
matches '^tokens +524,288 a step \(512 sequences of 1024\), 1e\+10 in 19073 steps: 80.4 a parameter$'
matches '^rate +rises over 700 steps to 0.0006, falls as a cosine to 0 at step 19073$'
grep -q 'data.train = ".*gone.bin".*: expected token files' err || fail "what to do about data: $(cat err)"
expect 78 plan --json --no-measure "$configs"/gpt2-124m.cfg data.train=gone.bin
is model.all.parameters 124439808
is model.all.flops_per_token_6n_12ldt 859885056.0
is can_run False
is memory None

# The others, with data of one's own: shipped so that nothing but data is warned of.
for name in quickstart gpt-toy llama-toy synthetic; do
    expect 0 plan --no-measure "$configs"/$name.cfg "${my[@]}" run.name=$name
    matches "^run $name in $MUSTER_RUN_DIR/$name: new\$"
done
expect 0 plan --no-measure "$configs"/quickstart.cfg "${my[@]}"
has out "gpt2, 4 layers, width 128, 4 heads, context 128, vocabulary 256: 0.84M parameters"
matches '^all, with embeddings +842,496 '
matches '^batch +8 shards of 4 sequences, in micro-batches of 4$'
matches '^checkpoints 5 written of 9.71 MiB, 2 kept: up to 29.1 MiB; '
has out "speed       not measured: as asked"
warns "data.train is read 7."
expect 0 plan --no-measure "$configs"/synthetic.cfg
[ -s err ] && fail "the synthetic example looks wrong: $(cat err)"

# Workers: 16 shards, of which 6 workers have 3 or less each.
expect 0 plan --no-measure "$configs"/synthetic.cfg -n 6
matches '^ +6 +3 +89% +<-$'
has out "workers     1-2, 4, 8, 16: these numbers have work at least 90 % of the time"
warns "16 shards do not suit 6 workers, who have work 89 % of the time: take 4 or 8 workers"
expect 0 plan --no-measure "$configs"/synthetic.cfg -n 9 run.spares=1
matches '^ +8\* +2 +100% +<-$'
quiet "do not suit"
expect 0 plan --no-measure "$configs"/synthetic.cfg -n 20
warns "20 ranks, but work for 16 only, a shard each"
has out "(*: good; <-: 20 ranks are 16 workers and 4 spares)"

# The measurement: of the synthetic model the time is known: 20 ms of one worker for a step, 501 of them in all.
expect 0 plan --json "$configs"/synthetic.cfg -n 1
/usr/bin/python3 - <<'PY' || fail "500 steps of 20 ms are told as $(member out pace 0 run_seconds) s"
import json
row = json.load(open("out"))["pace"][0]
raise SystemExit(not (10 <= row["run_seconds"] < 14 and row["workers"] == 1 and row["efficiency"] == 1))
PY
expect 0 plan "$configs"/quickstart.cfg "${my[@]}" -n 2
matches '^speed +[0-9.e+]+ tokens/s of one worker alone here, [0-9.]+ GFLOP/s; [0-9]+ % of that beside 1 other$|^speed .* alone here, [0-9.]+ GFLOP/s$'
matches '^ +1\* +8 +100% +[0-9.]+ m?s +'

# Warnings, each with what to do.
expect 0 plan --no-measure "$configs"/quickstart.cfg data.train=data/my-train.bin data.valid= optim.lr=0 checkpoint.every=0 model.vocab=50304 \
    optim.schedule.warmup=400 optim.schedule.cooldown=0.6
warns "data.valid is not set: nothing is evaluated"
warns "optim.lr = 0: nothing is learned"
warns "checkpoint.every = 0: the only checkpoint comes at the end"
warns "model.vocab = 50304, but tokens of data.train are below 256"
warns "warm-up is 400 of 1000 steps"
warns "cooldown is 600 of 1000 steps"
expect 0 plan --no-measure "$configs"/quickstart.cfg "${my[@]}" run.steps=40 batch.sequences=256 optim.schedule.warmup=5
warns "40 steps are few"
warns "a batch of 32768 tokens is "
warns "checkpoint.every = 200 is more than run.steps = 40: before step 32 there is no checkpoint; take 4, a tenth"
warns "eval.every is more than run.steps"
expect 0 plan "$configs"/synthetic.cfg synthetic.step_ms=500 run.time_limit=60 -n 1
warns "run.time_limit ends the run after 60 s, of about 4 min that 1 worker takes here: the same command goes on, 5 starts in all"
expect 0 plan --no-measure "$configs"/quickstart.cfg "${my[@]}" model.width=8192 model.layers=60 model.heads=64
warns "4 ranks take "
warns "the state takes "
warns "checkpoints take up to "

# A GPU's memory is told without one: 36 bytes a parameter of state.
expect 0 plan --no-measure "$configs"/quickstart.cfg "${my[@]}" device.kind=cuda -n 1
! "$MUSTER" --version | grep -q "CUDA  *not available" || warns "device.kind = \"cuda\" cannot be trained on this machine: "
matches '^  a GPU +[0-9.]+ MiB, by arithmetic: state 28.9 MiB, activations '
has out "speed       not measured: GPUs are not timed here"

# What stands there: nothing, a run without a checkpoint that trains now, one that goes on, one that is complete.
[ -e runs ] && fail "planning has written $(find runs)"
synthetic=("$configs"/synthetic.cfg run.name=mine)
"$MUSTER" train "${synthetic[@]}" run.steps=100000 synthetic.step_ms=1 >train.log 2>&1 &
trainer=$!
wait_for "checkpoint" test -e runs/mine/checkpoints/step-00000050/checkpoint.h5
expect 0 plan --no-measure "${synthetic[@]}" run.steps=100000
has out "it is being trained now: another start would be refused"
matches '^run mine in .*/runs/mine: begun; goes on from step [0-9]+ of 100000$'
kill -USR1 $trainer
wait $trainer
[ $? = 75 ] || fail "the run did not end on request: $(cat train.log)"
expect 0 plan --no-measure "${synthetic[@]}" run.steps=100000
grep -q 'being trained now' out && fail "a run that has ended trains"
before=$(find runs | sort; cat runs/mine/status.json)
refuses 78 "synthetic.params: the run has 1000000, the configuration says 7; it is part of what the run computes: set it back, or start a new run under another run.name" \
    plan --no-measure "${synthetic[@]}" run.steps=100000 synthetic.params=7
matches '^run mine in .*/runs/mine: refused, as other values of synthetic.params stand there: see the errors$'
[ "$before" = "$(find runs | sort; cat runs/mine/status.json)" ] || fail "planning has changed the run's folder"
expect 0 "$MUSTER" train "$configs"/synthetic.cfg run.name=done run.steps=3
expect 0 plan --json --no-measure "$configs"/synthetic.cfg run.name=done run.steps=3
is run.standing complete
is run.done_steps 3

# With another end: up to the cooldown it is the same run, and a checkpoint stands there. Without one from before, it is another run.
expect 0 "$MUSTER" train "$configs"/synthetic.cfg run.name=long run.steps=100 checkpoint.keep=1
expect 0 plan --no-measure "$configs"/synthetic.cfg run.name=long run.steps=200
matches '^run long in .*: goes on from step 80, where this schedule parts from its own; what it was up to step 100 is put aside$'
expect 0 "$MUSTER" train "$configs"/synthetic.cfg run.name=long run.steps=200
grep -q 'goes on from step 80' err || fail "\`muster train\` does otherwise: $(cat err)"
expect 0 "$MUSTER" train "$configs"/synthetic.cfg run.name=cosine run.steps=100 checkpoint.keep=1 optim.schedule.kind=cosine
expect 78 plan --no-measure "$configs"/synthetic.cfg run.name=cosine run.steps=200 optim.schedule.kind=cosine
matches '^run cosine in .*: refused'
grep -q 'the learning rate is the same up to step 0 only, the run has come to step 100' err || fail "another cosine is not refused: $(cat err)"
expect 78 "$MUSTER" train "$configs"/synthetic.cfg run.name=cosine run.steps=200 optim.schedule.kind=cosine

# Mistakes.
printf 'run = { steps = 10; };\nmodel = { heads = 5; };\ndata = { train = "data/my-train.bin"; };\n' >wrong.cfg
refuses 78 "wrong.cfg:2: model.heads: 5 does not divide model.width = 128; expected a divisor, such as 4 or 8" plan wrong.cfg
refuses 78 "command line: optim.schedule.warmup: 900 steps of warm-up and 200 of cooldown (0.2 of the run) do not fit in run.steps = 1000; expected a warm-up of at most 800, or a smaller optim.schedule.cooldown" \
    plan "$configs"/quickstart.cfg "${my[@]}" optim.schedule.warmup=900
refuses 78 "model.vocab = 100 is smaller than the vocabulary of data.train ($folder/data/my-train.bin: 256): use model.vocab = \"auto\", or tokenize with the same vocabulary" \
    plan "$configs"/quickstart.cfg "${my[@]}" model.vocab=100
expect 78 plan "$configs"/quickstart.cfg "${my[@]}" model.context=60000
grep -q 'but one sequence needs model.context + 1 = 60001: use more text or a shorter context' err || fail "a context longer than the data"
refuses 78 "nowhere.cfg: no such file" plan nowhere.cfg
refuses 64 "--ranks: '0' is not an integer from 1 to 1000000; see 'muster plan --help'" plan "$configs"/synthetic.cfg -n 0
refuses 64 "--all is for a sweep, and $configs/synthetic.cfg is a run; see 'muster plan --help'" plan --all "$configs"/synthetic.cfg
refuses 64 "unknown option --jsn; did you mean --json?; see 'muster plan --help'" plan "$configs"/synthetic.cfg --jsn
expect 78 plan "$configs"/example-points.csv
grep -q 'example-points.csv:2: syntax error' err || fail "a table is not refused: $(cat err)"
finish
