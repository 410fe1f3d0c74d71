#!/usr/bin/env bash
# muster config, typed as a user would: lists, explanations, --check with every mistake at once, --print.
. "$(dirname "$0")/common.sh"

# The list: every row of the schema, no line wider than 80 columns.
expect 0 "$MUSTER" config
for key in $(grep -oE '"[a-z]+\.[a-z_.]+"' "$MUSTER_SOURCE/orchestrator/config/schema.def" | tr -d '"'); do
    grep -qE "^  $key( |$)" out || fail "$key is not listed"
done
awk 'length > 80 {exit 1}' out || fail "the list is wider than 80 columns"

# One key, in words.
expect 0 "$MUSTER" config run.dir
has out "run.dir"
has out "  folder that holds the run directories"
has out '  default      "runs"'
has out "  in a file    run = { dir = ...; };"
has out "  environment  MUSTER_RUN_DIR"
expect 0 "$MUSTER" config model.vocab
has out '  value        an integer from 2 to 4194304, or "auto"'
grep -q environment out && fail "an identity key has no environment variable"
expect 0 "$MUSTER" config optim.schedule
[ "$(grep -c '^  optim.schedule\.' out)" = 4 ] || fail "a group lists its keys"
grep -q optim.lr out && fail "a group lists only its keys"
expect 64 "$MUSTER" config model.wdth
has err "muster: error: there is no key model.wdth; did you mean model.width?; see 'muster config --help'"
for name in sweep sweep.budgets; do
    refuses 64 "$name is of a sweep file: \`muster plan --keys\` tells its keys; see 'muster config --help'" "$MUSTER" config $name
done
expect 64 "$MUSTER" config --check a --print b
touch a.cfg
expect 64 "$MUSTER" config a.cfg
has err "muster: error: a.cfg is a file; --check a.cfg says whether it is right; see 'muster config --help'"

# A file that is right.
mkdir configs
cat >configs/good.cfg <<'END'
# a model
run = { steps = 4e2; name = "first"; };
@include "data.cfg"
model = { width = 64; };
END
echo 'data = { train = "../tokens/train.bin"; };' >configs/data.cfg
expect 78 "$MUSTER" config --check configs/good.cfg model.heads=5
has err "muster: error: configs/good.cfg: data.train: $(pwd)/tokens/train.bin cannot be read here: No such file or directory; expected a token file, which 'muster tokenize' makes"
has err "muster: error: command line: model.heads: 5 does not divide model.width = 64; expected a divisor, such as 4 or 8"
seq 1 20000 >text
"$MUSTER" tokenize text --out tokens/t >out 2>err || fail "tokenize"
expect 0 "$MUSTER" config --check configs/good.cfg data.train=tokens/t-train.bin
has out "configs/good.cfg: ok"
expect 0 "$MUSTER" config --check configs/good.cfg model.kind=synthetic
[ -s err ] && fail "stderr is not empty"
expect 78 "$MUSTER" config --check configs/good.cfg model.kind=synthetic device.kind=GPU # not "cpu", which is nearer
has err 'muster: error: command line: device.kind: unknown word "GPU"; expected "cpu", "reference" or "cuda"; did you mean "cuda"?'

# Printed: absolute paths, overrides, the environment; "auto" stays where the data cannot be read.
MUSTER_EVAL_EVERY=7 MUSTER_LOG=error expect 0 "$MUSTER" config --print configs/good.cfg optim.lr=3e-4 run.dir=here
has out "    train = \"$(pwd)/tokens/train.bin\";"
has out "    dir = \"$(pwd)/here\";"
has out "    lr = 0.0003;"
has out "    every = 7;"
has out '    vocab = "auto";'
has out "    steps = 400;"
cp out printed.cfg
expect 0 "$MUSTER" config --print printed.cfg
cmp -s out printed.cfg || fail "the printed configuration does not print itself"
# 32 sequences of 128 tokens: 8 shards of 4 sequences, 512 tokens each
expect 0 "$MUSTER" config --print configs/good.cfg model.vocab=256
has out "    shards = 8;"
has out "    micro = 4;"

# Every mistake at once, each with its place.
cat >bad.cfg <<'END'
run = {
    stepps = 100;
    name = "x/y";
};
model = { kind = gpt2; width = 39000000000; };
batch = { sequences = 12; shards = 5; };
data = { train = "t.bin"; };
optim = { betas = [0, 1]; };
model = { width = 3; };
END
MUSTER_RUN_SEED=3 expect 78 "$MUSTER" config --check bad.cfg optim.lr=fast nonsense
cat >expected <<'END'
muster: error: bad.cfg:2: run.stepps: unknown key; did you mean 'run.steps'?
muster: error: bad.cfg:5: model.kind: gpt2 stands without quotes; expected "gpt2", "llama" or "synthetic"
muster: error: bad.cfg:5: model.width: 39000000000 is out of range; expected an integer from 1 to 65536
muster: error: bad.cfg:8: optim.betas: 1 is out of range; expected two numbers from 0 to 0.999999, as in [0.9, 0.95]
muster: error: bad.cfg:9: model.width: given twice, first in line 5 of bad.cfg; expected once
muster: error: environment MUSTER_RUN_SEED: run.seed: this key may not come from the environment, since it changes what a run computes, and that is to be seen in its configuration; set it in the file or on the command line
muster: error: command line: optim.lr: fast is not a number; expected a number from 0 to 1000
muster: error: command line: 'nonsense' is not KEY=VALUE
muster: error: bad.cfg: run.steps: missing; expected an integer from 1 to 1000000000
muster: error: bad.cfg:3: run.name: "x/y" is not a plain folder name; expected one without '/', and without '.' or '-' in front (its folder is run.dir)
muster: error: bad.cfg:6: batch.shards: 5 does not divide batch.sequences = 12; expected a divisor, such as 4 or 6, or "auto"
END
echo "muster: error: bad.cfg: data.train: $(pwd)/t.bin cannot be read here: No such file or directory; expected a token file, which 'muster tokenize' makes" >>expected
diff expected err >difference || {
    fail "the mistakes are others"
    cat difference >&2
}

# On the command line: a group is none of its keys, and a value is needed; other mistakes are told beside.
expect 78 "$MUSTER" config --check printed.cfg model=3 run.steps= batch.micro=x batch.shards=5
cat >expected <<'END'
muster: error: command line: model: is a group; expected one of its keys, as in model.KEY=VALUE ('muster config model' lists them)
muster: error: command line: run.steps: nothing stands after the '='; expected an integer from 1 to 1000000000
muster: error: command line: batch.micro: x is not a number; expected an integer from 1 to 65536, or "auto"
muster: error: command line: batch.shards: 5 does not divide batch.sequences = 32; expected a divisor, such as 4 or 8, or "auto"
END
diff expected <(grep -v ' data\.train: ' err) >&2 || fail "mistakes of the command line"

# Numbers as a person writes them.
expect 0 "$MUSTER" config --print printed.cfg optim.clip=1e2 optim.eps=1e-9 synthetic.a=123456789.5 synthetic.b=3e9 optim.lr=2.5e-2
has out "    clip = 100.0;"
has out "    eps = 1e-9;"
has out "    a = 123456789.5;"
has out "    b = 3e9;"
has out "    lr = 0.025;"

# What shells replace, files do not.
echo 'run = { steps = 1; dir = "~/runs"; }; model = { kind = "synthetic"; };' >home.cfg
expect 78 "$MUSTER" config --check home.cfg
has err 'muster: error: home.cfg:1: run.dir: "~/runs" begins with a ~, which only shells replace; expected a path in double quotes'

# What cannot be read.
expect 78 "$MUSTER" config --check missing.cfg
has err "muster: error: missing.cfg: no such file"
expect 78 "$MUSTER" config --print missing.cfg
[ -s out ] && fail "a configuration with mistakes is printed"
printf 'run = {\n  steps = 3' >open.cfg
expect 78 "$MUSTER" config --check open.cfg
has err "muster: error: open.cfg:1: this bracket is not closed; expected a '}'"
expect 78 "$MUSTER" config --check "$folder"
has err "muster: error: $folder: this is a folder, not a file"

finish
