#!/usr/bin/env bash
# The promise: one state hash, and the same losses, on any number of ranks, threads and (pretended) hosts, fp32 and bf16, however
# the batch is cut; also with escapes, redone steps, ranks without shards and ranks without chunks.
. "$(dirname "$0")/common.sh"

# same NAME REFERENCE RANKS OVERRIDES...: a run that must end as the reference did.
same() {
    local name=$1 reference=$2 n=$3
    shift 3
    run "$n" tiny.cfg run.name="$name" "$@"
    ended_with 0 "$name"
    same_as "$name" "$reference" "$name"
}

everywhere() { # PREFIX OVERRIDES...: one rank, then all others against it
    local prefix=$1
    shift
    run 1 tiny.cfg run.name="$prefix-1" "$@"
    ended_with 0 "$prefix on one rank"
    for n in 2 3 5 8; do same "$prefix-$n" "$prefix-1" "$n" "$@"; done
    for t in 2 4; do same "$prefix-t$t" "$prefix-1" 2 device.threads="$t" "$@"; done
    MUSTER_HOSTS=2 same "$prefix-h2" "$prefix-1" 3 "$@"
    MUSTER_HOSTS=3 same "$prefix-h3" "$prefix-1" 7 "$@"
}

everywhere fp32
grep -q '"redone": true\|"redone": 1' runs/fp32-1/metrics.jsonl || fail "the first step knows nothing and must be redone"
grep -q '"escapes": [1-9]' runs/fp32-1/metrics.jsonl || fail "no block escaped: this test does not test escapes"

if "$MUSTER" --version | grep -qE 'avx512_bf16|amx'; then
    everywhere bf16 device.precision=bf16
    [ "$(hash_of bf16-1)" != "$(hash_of fp32-1)" ] || fail "bf16 computes what fp32 does"
else
    echo "skipped: bf16, which this CPU lacks"
fi

# What a backward pass computes again has the bits of what it would have kept; a run may go on with another setting.
for part in mlp block; do same "recompute-$part" fp32-1 3 device.recompute="$part"; done
MUSTER_FAULT=at:update,step:6,do:kill run 2 tiny.cfg run.name=recompute-later
[ "$(field recompute-later outcome)" != complete ] || fail "two ranks that were killed ended well"
no_rank_left recompute-later
same recompute-later fp32-1 2 device.recompute=block

# More ranks than shards, and more than chunks (a tiny model is one chunk): some have nothing to do.
run 1 tiny.cfg run.name=two-shards batch.shards=2
ended_with 0 "two shards on one rank"
same two-shards-5 two-shards 5 batch.shards=2
[ "$(hash_of two-shards)" != "$(hash_of fp32-1)" ] || fail "the number of shards is not part of what is computed"

# Several chunks, owned in turn, by unequal numbers of ranks on two hosts.
wide=(model.width=128 model.layers=2 run.steps=4 eval.every=0 checkpoint.every=0)
run 1 tiny.cfg run.name=wide "${wide[@]}"
ended_with 0 "several chunks on one rank"
same wide-3 wide 3 "${wide[@]}"
MUSTER_HOSTS=2 same wide-h2 wide 3 "${wide[@]}"

# The yardstick is not exact: this test can fail.
run 1 tiny.cfg run.name=fast-1 batch.reduce=fast
run 3 tiny.cfg run.name=fast-3 batch.reduce=fast
[ "$(hash_of fast-1)" != "$(hash_of fast-3)" ] || fail "plain addition gave the same bits on 1 and 3 ranks"
nothing_left "all runs"
