#!/usr/bin/env bash
# The promise: the same bits on any number of ranks, threads and hosts; one hash for each precision and configuration.
. "$(dirname "$0")/common.sh"

# same NAME HOSTS RANKS THREADS [ARGUMENTS...]: as runs/NAME, which one rank computed.
same() {
    local as=$1 hosts=$2 ranks=$3 threads=$4 name="$1-$2-$3-$4"
    shift 4
    MUSTER_HOSTS=$hosts run "$ranks" tiny.cfg run.name="$name" device.threads="$threads" "$@"
    ended_with 0 "$name"
    same_as "$name" "$as" "$name"
    [ "$(field "$name" hosts)" = "$hosts" ] || fail "$name: on $(field "$name" hosts) hosts"
    nothing_left "$name"
}

# A tied head of 256 bytes, S = 8 shards. The first step knows no quantum and is redone, and is counted.
run 1 tiny.cfg run.name=fp32 run.steps=20
ended_with 0 "one rank"
head -n 1 runs/fp32/metrics.jsonl | grep -q '"redone": 1' || fail "the first step was not redone"
[ "$(grep -c '"redone"' runs/fp32/metrics.jsonl)" = 1 ] || fail "later steps were redone"
grep -q '"escapes"' runs/fp32/metrics.jsonl || fail "no block escaped: the text should make rare bytes"
same fp32 1 2 1 run.steps=20
same fp32 1 3 2 run.steps=20
same fp32 1 5 1 run.steps=20
same fp32 1 8 4 run.steps=20
same fp32 2 2 1 run.steps=20
same fp32 2 5 2 run.steps=20
same fp32 3 3 4 run.steps=20
same fp32 3 8 1 run.steps=20

# More ranks than shards: some have nothing to add, on one host or alone on theirs.
run 1 tiny.cfg run.name=two batch.shards=2
ended_with 0 "two shards"
[ "$(hash_of two)" != "$(hash_of fp32)" ] || fail "another number of shards, and the same bits"
same two 1 5 1 batch.shards=2
same two 3 5 1 batch.shards=2

# Several chunks, fewer and more of them than ranks.
wide=(model.width=128 model.layers=3 run.steps=4 batch.sequences=8)
run 1 tiny.cfg run.name=wide "${wide[@]}"
ended_with 0 "several chunks"
same wide 1 2 1 "${wide[@]}"
same wide 2 5 1 "${wide[@]}"

# The yardstick adds floats in the order of ranks: what is compared above can differ.
run 1 tiny.cfg run.name=fast1 batch.reduce=fast run.steps=20
run 3 tiny.cfg run.name=fast3 batch.reduce=fast run.steps=20
ended_with 0 "plain addition"
[ "$(hash_of fast1)" != "$(hash_of fast3)" ] || fail "plain addition gave the same bits on 1 and 3 ranks"

run 1 tiny.cfg run.name=bf16 run.steps=20 device.precision=bf16
if [ "$code" = 0 ]; then
    [ "$(hash_of bf16)" != "$(hash_of fp32)" ] || fail "bf16 gave the bits of fp32"
    same bf16 1 3 2 run.steps=20 device.precision=bf16
    same bf16 1 8 1 run.steps=20 device.precision=bf16
    same bf16 2 5 1 run.steps=20 device.precision=bf16
elif grep -q bf16 "$log" && ! grep -q avx512_bf16 /proc/cpuinfo; then
    echo "SKIPPED: bf16, which this CPU lacks"
else
    fail "bf16: exit code $code"
fi
