#!/usr/bin/env bash
# The promise of model.kind = "llama": one state hash and the same losses on any number of ranks, threads and (pretended) hosts,
# in fp32 and bf16, whatever is computed again, and when ranks die; what a llama's run says, and what it may go on with.
. "$(dirname "$0")/common.sh"
llama=(model.kind=llama)

# same NAME REFERENCE RANKS OVERRIDES...: a run that must end as the reference did.
same() {
    local name=$1 reference=$2 n=$3
    shift 3
    run "$n" tiny.cfg run.name="$name" "${llama[@]}" "$@"
    ended_with 0 "$name"
    same_as "$name" "$reference" "$name"
}

"$MUSTER" config --check "$MUSTER_SOURCE/configs/llama-toy.cfg" data.train=data-train.bin data.valid=data-valid.bin >"$log" 2>&1 ||
    fail "configs/llama-toy.cfg"

run 1 tiny.cfg run.name=whole "${llama[@]}"
ended_with 0 "a llama"
# 2 layers of 4 x 16^2 + 3 x 16 x 64 + 2 x 16, the last norm, an embedding of 256 x 16
said 'llama, 2 layers, width 16, hidden 64, 2 heads, context 16, vocabulary 256: 0.01M parameters' "a llama"
"$MUSTER" inspect --all runs/whole/checkpoints/step-00000012 >"$log"
said 'model.hidden=64 ' "its checkpoint"
said 'model.layers.1.mlp.gate_up_proj.weight +128 x 16 ' "its checkpoint"
same three whole 3
same threads whole 2 device.threads=3
MUSTER_HOSTS=2 same hosts whole 3
for part in mlp block; do same "recompute-$part" whole 2 device.recompute="$part"; done
survives deaths 4 "rank:1,at:forward,step:2,do:kill;rank:0,at:update,step:5,do:kill" 2 "${llama[@]}"

run 1 tiny.cfg run.name=gpt2
[ "$(hash_of gpt2)" != "$(hash_of whole)" ] || fail "a llama computes what gpt2 does"
run 1 tiny.cfg run.name=turned "${llama[@]}" model.rope_theta=100
[ "$(hash_of turned)" != "$(hash_of whole)" ] || fail "other angles change nothing"

if "$MUSTER" --version | grep -qE 'avx512_bf16|amx'; then
    run 1 tiny.cfg run.name=bf16 "${llama[@]}" device.precision=bf16
    ended_with 0 "bf16"
    same bf16-3 bf16 3 device.precision=bf16
    [ "$(hash_of bf16)" != "$(hash_of whole)" ] || fail "bf16 computes what fp32 does"
else
    echo "skipped: bf16, which this CPU lacks"
fi

# It goes on from a checkpoint, and is no gpt2 in the middle. A gpt2's run that was begun when there was no other kind goes on too.
rm -rf runs/three/checkpoints/step-00000012
reboot
run 2 tiny.cfg run.name=three "${llama[@]}"
said 'going on from the checkpoint of step 8' "a llama's checkpoint"
[ "$(hash_of three)" = "$(hash_of whole)" ] || fail "a llama's checkpoint: another hash"
run 1 tiny.cfg run.name=three
ended_with 78 "another kind"
said 'model.kind: the run has "llama", the configuration says "gpt2"' "another kind"
rm -rf runs/gpt2/checkpoints/step-00000012
sed -i '/hidden = \|rope_theta = /d' runs/gpt2/config.cfg
before=$(hash_of gpt2)
reboot
run 2 tiny.cfg run.name=gpt2
said 'going on from the checkpoint of step 8' "a gpt2 of an older version"
[ "$(hash_of gpt2)" = "$before" ] || fail "a gpt2 of an older version: another hash"
nothing_left "all runs"
