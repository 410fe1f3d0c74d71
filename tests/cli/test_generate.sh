#!/usr/bin/env bash
# muster generate: a text continued by a model that was trained here, the same from one rank and from three; and every mistake.
. "$(dirname "$0")/common.sh"

generate() { # EXIT_CODE WORD...
    local code=$1
    shift
    expect "$code" "$MUSTER" generate "$@"
}
# wrong EXIT_CODE TEXT WORD...: refused with a line that has TEXT, and nothing is written.
wrong() {
    local code=$1 text=$2
    shift 2
    generate "$code" "$@"
    grep -qF -- "$text" "$folder/err" || fail "standard error lacks '$text'"
    [ -s "$folder/out" ] && fail "something was written"
}
# train NAME RANKS WORD...: in runs/NAME.
train() {
    local name=$1 ranks=$2
    shift 2
    expect 0 "$MPIRUN" -n "$ranks" "$MUSTER" train model.cfg run.name="$name" "$@"
}

for i in $(seq 700); do echo "The $((i % 7)) ranks add up, and the sum is the same: $((i * i % 97))."; done >text
expect 0 "$MUSTER" tokenize text --out t
cat >model.cfg <<'CFG'
run = { dir = "runs"; steps = 160; log_every = 160; };
model = { layers = 2; heads = 2; width = 32; context = 32; };
data = { train = "t-train.bin"; };
batch = { sequences = 8; shards = 4; };
optim = { lr = 1e-2; schedule = { cooldown = 0.0; }; };
checkpoint = { every = 80; };
CFG
train one 1
train three 3
hashes=$(grep -h '"state_hash"' runs/one/status.json runs/three/status.json | sort -u | wc -l)
[ "$hashes" = 1 ] || fail "one rank and three trained other weights"

# The same text, whoever trained and however many threads; past the context, which is 32. Another seed, another text.
generate 0 runs/one --prompt "The 3 ranks" --tokens 150 --seed 3
cp out first
[ "$(head -c 11 out)" = "The 3 ranks" ] || fail "the prompt does not stand before its continuation"
[ "$(wc -m <out)" -gt 100 ] || fail "that is no continuation"
for words in runs/three runs/one/checkpoints/step-00000160 runs/one/checkpoints/step-00000160/checkpoint.h5 \
    runs/one@160 "runs/one device.threads=4"; do
    # shellcheck disable=SC2086 # words
    generate 0 $words --prompt "The 3 ranks" --tokens 150 --seed 3
    cmp -s out first || fail "$words: another text"
done
printf 'The 3 ranks' >prompt
generate 0 runs/one --prompt-file prompt --tokens 150 --seed 3
cmp -s out first || fail "--prompt-file: another text"
generate 0 runs/one --prompt-file - --tokens 150 --seed 3 <prompt
cmp -s out first || fail "standard input: another text"
generate 0 runs/one --prompt "The 3 ranks" --tokens 150 --seed 3 --alone
[ "The 3 ranks$(cat out)" = "$(cat first)" ] || fail "--alone"
generate 0 runs/one --prompt "The 3 ranks" --tokens 150 --seed 4
cmp -s out first && fail "another seed, the same text"
(cd runs/one/checkpoints/step-00000160 && "$MUSTER" generate checkpoint.h5 --prompt "The 3 ranks" --tokens 150 --seed 3) >out
cmp -s out first || fail "a file in the working folder: another text"

# It has learned what is always so. The likeliest token is what --top-k 1 leaves, whatever the seed. Numbers are the bytes.
generate 0 runs/one --prompt "The 3 ranks add up, and th" --tokens 4 --temperature 0
[ "$(cat out)" = "The 3 ranks add up, and the su" ] || fail "a model of one sentence does not know it"
generate 0 runs/one --prompt "The 3 ranks add up, and th" --tokens 4 --top-k 1 --seed 9
[ "$(cat out)" = "The 3 ranks add up, and the su" ] || fail "--top-k 1 is not the likeliest"
generate 0 runs/one --prompt-tokens 84,104,101,32 --tokens 3 --temperature 0 --ids
grep -Eqx '84 104 101 32( [0-9]+){3}' out || fail "--ids"
generate 0 runs/one --tokens 40
[ -s out ] || fail "nothing without a prompt"
generate 0 runs/one@80 --tokens 5

# What goes out is UTF-8 and harmless to a terminal, whatever is drawn; --raw gives the bytes.
generate 0 runs/one --tokens 400 --temperature 100
iconv -f UTF-8 -t UTF-8 out >/dev/null || fail "that is no UTF-8"
LC_ALL=C grep -q '[[:cntrl:]]' <(tr -d '\t\n' <out) && fail "control characters"
grep -q $'\xef\xbf\xbd' out || fail "no byte of 400 is none of UTF-8"
generate 0 runs/one --tokens 400 --temperature 100 --raw --alone
[ "$(wc -c <out)" = 400 ] || fail "--raw does not give 400 bytes"

# A reader that goes away, a full disk, a signal.
"$MUSTER" generate runs/one --tokens 1000000 2>err | head -c 10 >out
[ "${PIPESTATUS[0]}" = 0 ] || fail "a closed pipe is an error"
[ -s err ] && fail "a closed pipe is not quiet"
[ "$(wc -c <out)" = 10 ] || fail "head got no text"
"$MUSTER" generate runs/one --tokens 5 >/dev/full 2>err
[ $? = 1 ] || fail "a full disk is no error"
[ "$(grep -c 'error: standard output could not be written: No space left' err)" = 1 ] || fail "a full disk is told once"
"$MUSTER" generate runs/one --tokens 100000000 --prompt "The" >out 2>err &
process=$!
has_begun() { [ "$(wc -c <out)" -gt 20 ]; }
wait_for "text" has_begun
kill -TERM $process
wait $process
[ $? = 143 ] || fail "TERM does not end it as it ends others"
[ "$(head -c 3 out)" = The ] || fail "TERM: what was there is gone"
[ -z "$(tail -c 1 out)" ] || fail "TERM: the line is not whole"
[ -s err ] && fail "TERM is not quiet"

# Damage: a run's newest good one is taken, one that is named is refused.
checkpoint=runs/three/checkpoints/step-00000160
generate 0 runs/one@80 --tokens 60
cp out first
size=$(stat -c %s $checkpoint/part-00000.h5)
for i in $(seq 5 45); do # some of them are weights
    printf 'damaged!' | dd of=$checkpoint/part-00000.h5 bs=1 seek=$((size * i / 50)) conv=notrunc 2>/dev/null
done
wrong 1 "part-00000.h5" $checkpoint
wrong 1 "part-00000.h5" runs/three@160
generate 0 runs/three --tokens 60
cmp -s out first || fail "not the checkpoint of step 80"
grep -q 'runs/three/checkpoints/step-00000160 is damaged: it is passed over' err || fail "nobody says so"
rm $checkpoint/part-00000.h5
wrong 1 "part-00000.h5: the file is missing" $checkpoint
rm $checkpoint/checkpoint.h5
wrong 1 "$checkpoint is neither a checkpoint (it has no checkpoint.h5) nor a run" $checkpoint
rm -r runs/three/checkpoints/*
wrong 1 "runs/three has no checkpoint that can be used" runs/three

# Names that mean nothing.
wrong 1 "there is no runs/none" runs/none
wrong 1 "there is no runs/none; did you mean runs/one?" runs/none@3
wrong 1 "there is no runs/nothing-like-it; expected a checkpoint's folder, a run's, or RUN@STEP" runs/nothing-like-it
wrong 1 "there is no one; did you mean runs/one?" one
wrong 1 "runs/one has no checkpoint of step 7; it has those of steps 80 and 160" runs/one@7
wrong 1 "text is neither a checkpoint" text
wrong 64 "see 'muster generate --help'"
wrong 64 "'model.width=3' has no meaning here; after the checkpoint expected device.KEY=VALUE" runs/one model.width=3
wrong 78 "did you mean 'device.threads'?" runs/one device.thread=2

# Numbers and prompts that will not do.
wrong 64 "--tokens" runs/one --tokens 0
wrong 64 "--temperature" runs/one --temperature -1
wrong 64 "--temperature" runs/one --temperature warm
wrong 64 "--top-k" runs/one --top-k 1.5
wrong 64 "--seed" runs/one --seed -1
wrong 64 "unknown option --temprature; did you mean --temperature?" runs/one --temprature 1
wrong 64 "give one" runs/one --prompt a --prompt-tokens 1
wrong 64 "the prompt has 33 tokens; the model sees no more than 32 at once (model.context)" runs/one --prompt "$(printf '%033d' 1)"
generate 0 runs/one --prompt "$(printf '%032d' 1)" --tokens 1
wrong 1 "there is no nofile" runs/one --prompt-file nofile
wrong 64 "256 is not in the model's vocabulary; expected 0 to 255" runs/one --prompt-tokens 1,256
for tokens in '' '1,' ,1 1,,2 x 1x '1 2' -1 99999999999999999999; do wrong 64 "--prompt-tokens: " runs/one --prompt-tokens "$tokens"; done

# Tokens that are no bytes: numbers in, numbers out, until the end of a text; also when the data are gone. 20240520 is 0x0134d888.
{
    printf '\x88\xd8\x34\x01\x01\0\0\0\x58\x02\0\0' # 600 tokens
    head -c 1012 /dev/zero
    for _ in $(seq 200); do printf '\x07\x00\x50\xc4\x50\xc4'; done # 7, and 50256 twice: the end
} >gpt2.bin
train ids 1 data.train=gpt2.bin model.layers=1 model.width=8 batch.sequences=4 run.steps=50 checkpoint.every=0
wrong 64 "the model's tokens (llm.c gpt-2, a vocabulary of 50257) are no bytes" runs/ids --prompt hello
generate 0 runs/ids --prompt-tokens 7 --temperature 0 --tokens 20
[ "$(cat out)" = "7" ] || fail "the likeliest token does not end the text: $(cat out)"
generate 0 runs/ids --temperature 0.1 --tokens 20 # begins behind the end of a text
rm gpt2.bin
wrong 64 "nobody knows how a text begins" runs/ids
generate 0 runs/ids --prompt-tokens 7 --temperature 0 --tokens 2
[ "$(cat out)" = "7 50256 50256" ] || fail "without the data: $(cat out)"

# Llama, bf16 where the CPU can, and a model that is none.
train llama 2 model.kind=llama run.steps=20 checkpoint.every=0
generate 0 runs/llama --tokens 70
cp out first
generate 0 runs/llama --tokens 70 device.threads=3
cmp -s out first || fail "llama: another text"
expect 0 "$MUSTER" train "$MUSTER_SOURCE/configs/synthetic.cfg" run.dir=runs run.name=law run.steps=5 optim.schedule.warmup=0
wrong 78 'model.kind = "synthetic" is a law instead of a model' runs/law

generate 0 --help
[ "$(wc -L <out)" -le 80 ] || fail "--help is wide"
finish
