#!/usr/bin/env bash
# muster tokenize, typed as a user would: what it makes, what it says, and what it leaves behind.
. "$(dirname "$0")/common.sh"
# refuses_with EXIT_CODE WORDS COMMAND...: with an error line that has the WORDS in it.
refuses_with() {
    local code=$1 words=$2
    shift 2
    expect "$code" "$@"
    grep -qF -- "$words" err || fail "$*: no '$words'"
}
letters() { od -An -v -tx1 -w1 | sort | uniq -c; }
no_leftovers() {
    [ -z "$(find . -name '*.tmp.*')" ] || fail "$1: left $(find . -name '*.tmp.*')"
}

seq 1 100000 >text # 588895 bytes: 144 chunks
bytes=$(stat -c %s text)

expect 0 "$MUSTER" tokenize --help
grep -q -- "--valid-fraction" out || fail "--help names no --valid-fraction"

# What it makes: every byte once, and it says so.
expect 0 "$MUSTER" tokenize text --out a/b/num
grep -q "^$bytes bytes, $bytes tokens" out || fail "summary: $(cat out)"
grep -q "data.train=a/b/num-train.bin data.valid=a/b/num-valid.bin" out || fail "summary names no keys"
[ -s err ] && fail "stderr is not empty off a terminal"
sizes=$(($(stat -c %s a/b/num-train.bin) + $(stat -c %s a/b/num-valid.bin)))
[ $sizes = $((bytes + 2 * 4096)) ] || fail "$sizes bytes in two files"
{ tail -c +4097 a/b/num-train.bin; tail -c +4097 a/b/num-valid.bin; } | letters >have
letters <text >want
cmp -s want have || fail "other letters than in the text"
cmp -s <(head -c 4096 text) <(tail -c +4097 a/b/num-train.bin | head -c 4096) && fail "not shuffled"

# The same text gives the same bits: again, through a pipe, in pieces; another seed does not.
expect 0 "$MUSTER" tokenize --out again --seed=1 text
expect 0 bash -c "cat text | '$MUSTER' tokenize - --out piped"
head -c 100001 text >part1
tail -c +100002 text >part2
expect 0 "$MUSTER" tokenize part1 part2 --out pieces
expect 0 "$MUSTER" tokenize text --out other --seed 2
for kind in train valid; do
    for how in again piped pieces; do
        cmp -s a/b/num-$kind.bin $how-$kind.bin || fail "$how-$kind.bin differs"
    done
    cmp -s a/b/num-$kind.bin other-$kind.bin && fail "seed 2 gives the same $kind"
done

# The line to go on with can be pasted, whatever is in a name.
expect 0 "$MUSTER" tokenize text --out "it's & mine"
words=()
eval "words=($(sed -n 's/^train on it: //p' out))"
[ "${words[*]}" = "data.train=it's & mine-train.bin data.valid=it's & mine-valid.bin" ] || fail "words: ${words[*]}"
[ "${#words[@]}" = 2 ] || fail "${#words[@]} words"

# Mistakes.
refuses_with 64 "exists: give another --out, or --force" "$MUSTER" tokenize text --out again
expect 0 "$MUSTER" tokenize text --out again --force
refuses_with 64 "--out PREFIX is missing" "$MUSTER" tokenize text
expect 64 "$MUSTER" tokenize --out x
refuses_with 64 "a name too: a/text" "$MUSTER" tokenize text --out a/
expect 64 "$MUSTER" tokenize text --out x --valid-fraction 0.6
expect 64 "$MUSTER" tokenize text --out x --valid-fraction nan
expect 64 "$MUSTER" tokenize text --out x --chunk 0
expect 64 "$MUSTER" tokenize text --out x --seed -1
refuses_with 64 "unknown vocabulary 'bpe'; expected bytes" "$MUSTER" tokenize text --out x --vocab bpe
refuses_with 64 "did you mean --force" "$MUSTER" tokenize text --out x --forse
refuses_with 64 "only once" "$MUSTER" tokenize - - --out x
refuses_with 1 "cannot open missing: No such file" "$MUSTER" tokenize text missing --out x
refuses_with 1 "is a folder" "$MUSTER" tokenize . --out x
refuses_with 1 "the input is empty" "$MUSTER" tokenize /dev/null --out x
refuses_with 1 "the input is empty" bash -c "'$MUSTER' tokenize - --out x </dev/null"
refuses_with 1 "zcat text.gz | muster tokenize" bash -c "gzip -k text && '$MUSTER' tokenize text.gz --out x"
refuses_with 1 "is a token file already" "$MUSTER" tokenize a/b/num-train.bin --out x
refuses_with 1 "cannot make folder text: a file of that name is there" "$MUSTER" tokenize text --out text/x
printf 'short' >short
refuses_with 1 "nothing is left to train on" "$MUSTER" tokenize short --out x
expect 0 "$MUSTER" tokenize short --out short --valid-fraction 0
grep -q "short-train.bin: 5 tokens, 1 chunk, content" out || fail "one chunk: $(cat out)"
[ -e short-valid.bin ] && fail "a validation file that was not asked for"
if [ "$(id -u)" != 0 ]; then
    touch secret && chmod 0 secret
    refuses_with 1 "cannot open secret: Permission denied" "$MUSTER" tokenize secret --out x
fi

# A full disk, as a limit on the size of files: nothing of the output is left, the old one is whole.
cp again-train.bin before
refuses_with 1 "File too large" bash -c "ulimit -f 100; '$MUSTER' tokenize text --out again --force"
cmp -s before again-train.bin || fail "a failed --force changed the old file"
refuses_with 1 "File too large" bash -c "ulimit -f 100; cat text | '$MUSTER' tokenize - --out x"
no_leftovers "full disk"
[ -e x-train.bin ] && fail "a file from a failed command"

# A signal while it waits for input: dies of it, and leaves nothing.
for signal in TERM HUP; do
    mkfifo wait
    "$MUSTER" tokenize text wait --out x 2>err &
    pid=$!
    exec 3>./wait # opens when it has begun to read
    head -c 10000 text >&3
    sleep 0.2
    kill -$signal $pid
    wait $pid
    code=$?
    exec 3>&-
    [ $code = $((128 + $(kill -l $signal))) ] || fail "SIG$signal: exit code $code"
    grep -q "stopped by a signal; nothing was written" err || fail "SIG$signal: no message"
    rm wait
    no_leftovers "SIG$signal"
    [ -e x-train.bin ] && fail "SIG$signal: a file from a stopped command"
done

finish
