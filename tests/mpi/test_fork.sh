#!/usr/bin/env bash
# Runs that begin where others are: a longer one, a fork with other values, weights alone, and all anew. What is there already is
# never lost, whoever dies meanwhile; and the bits are those of the same run without the way round.
. "$(dirname "$0")/common.sh"

cat >wsd.cfg <<'CONFIG'
run = { dir = "runs"; steps = 20; hash_every = 1; };
model = { layers = 1; heads = 2; width = 16; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 8; shards = 4; };
eval = { every = 10; tokens = 256; };
checkpoint = { every = 5; keep = 1; };
CONFIG
checkpoints() { find "runs/$1/checkpoints" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs; }
all_of() { (cd "$1" && find . -type f -not -name .lock -print0 | sort -z | xargs -0 sha256sum); }

run 2 wsd.cfg run.name=long run.steps=40
ended_with 0 "a long run"
[ "$(checkpoints long)" = "step-00000032 step-00000040" ] || fail "the checkpoint before the cooldown: $(checkpoints long)"

# ---- a finished run, longer: from before its cooldown; its first end stays, and is a run directory
run 3 wsd.cfg run.name=short
ended_with 0 "a short run"
first=$(hash_of short)
[ "$(checkpoints short)" = "step-00000016 step-00000020" ] || fail "checkpoints of the short run: $(checkpoints short)"
run 1 wsd.cfg run.name=short run.steps=40 eval.tokens=512
ended_with 0 "made longer"
! grep -q 'bits may differ' "$log" || fail "another evaluation is taken for another machine"
said 'up to step 16 its learning rate is what it was, so it goes on from step 16; what it was up to step 20 is in .*/runs/short/ended-00000020' longer
same_as short long "made longer"
[ "$(hash_of short/ended-00000020)" = "$first" ] || fail "the first end is not kept"
"$MUSTER" inspect --deep runs/short/ended-00000020/checkpoints/step-00000020 >"$log" 2>&1 || fail "its checkpoint"
"$MUSTER" inspect runs/short/ended-00000020 >"$log" 2>&1 || fail "it is no run directory"
# Once more, by another shape of the cooldown: from where that begins.
run 1 wsd.cfg run.name=linear run.steps=40 optim.schedule.floor=0.1
run 2 wsd.cfg run.name=short run.steps=40 optim.schedule.floor=0.1
ended_with 0 "another floor"
said 'it goes on from step 32' "another floor"
same_as short linear "another floor"
[ "$(hash_of short/ended-00000040)" = "$(hash_of long)" ] || fail "the longer end is not kept"
# Complete as it is: nothing is done.
run 2 wsd.cfg run.name=short run.steps=40 optim.schedule.floor=0.1
ended_with 0 "again"
[ "$(find runs/short -maxdepth 1 -name 'ended-*' | wc -l)" = 2 ] || fail "an end was put aside for nothing"

# Killed on the way: after what came later was put aside, and before anything is saved; in mid-run.
run 2 wsd.cfg run.name=begun
for fault in rank:0,do:kill,at:load,step:16 rank:0,do:kill,at:flip,step:18; do
    rm -rf runs/died && cp -r runs/begun runs/died && rm runs/died/.id
    MUSTER_FAULT=$fault run 2 wsd.cfg run.name=died run.steps=40
    ended_with 0 "$fault"
    same_as died long "$fault"
    [ "$(hash_of died/ended-00000020)" = "$first" ] || fail "$fault: the first end is not kept"
done

# Where its checkpoints do not reach back: a reason, and nothing changes.
rm -r runs/died/checkpoints/step-0000003[0-9]*
all_of runs/died >before
run 2 wsd.cfg run.name=died run.steps=60
ended_with 78 "no checkpoint is old enough"
said_once 'error: .*the learning rate is the same up to step 32 only, the run has come to step 40, and none of its checkpoints is that old' reach
said 'another run.name .with --from .*/runs/died to go on from its state., or begin anew beside it with --fresh' reach
all_of runs/died >after
cmp -s before after || fail "a refusal changed the run"

# ---- a fork: the same values give the same bits; others are noted, with where it comes from
run 2 wsd.cfg run.name=fork run.steps=40 --from runs/long@32
ended_with 0 fork
said 'a new run in .*/runs/fork, from the state of .*/runs/long/checkpoints/step-00000032' fork
[ "$(hash_of fork)" = "$(hash_of long)" ] || fail "a fork without a change has other bits"
grep -q '"step": 32' runs/fork/parent.json || fail "parent.json"
[ "$(lines fork)" = 8 ] || fail "a fork records its own steps only: $(lines fork)"
grep -q '"tokens": *5120' runs/fork/metrics.jsonl || fail "tokens count on from the parent's"
rm -rf runs/other
run 3 wsd.cfg run.name=other run.steps=48 optim.lr=5e-4 batch.sequences=16 --from runs/long
ended_with 0 "other values"
said '^.*batch.sequences: 16; the run that this one comes from has 8' other
said '^.*optim.lr: 0.0005; the run that this one comes from has 0.001' other
other=$(hash_of other)
# Its ranks die before it has a checkpoint of its own: the parent's again, also without the words.
for words in "--from runs/long" "--from runs/long@40" ""; do
    rm -rf runs/other
    MUSTER_FAULT=at:flip,do:kill,step:42 run 2 wsd.cfg run.name=other run.steps=48 optim.lr=5e-4 batch.sequences=16 --from runs/long
    reboot
    # shellcheck disable=SC2086
    run 2 wsd.cfg run.name=other run.steps=48 optim.lr=5e-4 batch.sequences=16 $words
    ended_with 0 "'$words' after deaths"
    said "from the state of .*step-00000040" "'$words' after deaths"
    [ "$(hash_of other)" = "$other" ] || fail "'$words' after deaths: other bits"
done
# The parent is gone meanwhile (one that trains removes older checkpoints): the run holds what it begins from, until it has its own.
rm -rf runs/other
MUSTER_FAULT=at:flip,do:kill,step:42 run 2 wsd.cfg run.name=other run.steps=48 optim.lr=5e-4 batch.sequences=16 --from runs/long
reboot
mv runs/long runs/elsewhere
[ -e runs/other/parent/checkpoint.h5 ] || fail "the parent's checkpoint is not held"
run 2 wsd.cfg run.name=other run.steps=48 optim.lr=5e-4 batch.sequences=16
mv runs/elsewhere runs/long
ended_with 0 "without the parent"
[ "$(hash_of other)" = "$other" ] || fail "without the parent: other bits"
[ ! -e runs/other/parent ] || fail "the parent's checkpoint is still held"
# Of weights alone: a beginning at step 0, on any number of ranks the same.
for n in 1 3; do
    run $n wsd.cfg "run.name=weights-$n" run.seed=9 --from runs/long --weights-only
    ended_with 0 "weights on $n ranks"
done
! grep -q 'was computed by' "$log" || fail "another seed is taken for another machine"
[ "$(hash_of weights-1)" = "$(hash_of weights-3)" ] || fail "weights alone: bits depend on the ranks"
[ "$(lines weights-1)" = 20 ] || fail "weights alone: steps do not begin at 1"

# ---- anew, beside what was there
before=$(all_of runs/weights-1)
run 2 wsd.cfg run.name=weights-1 --fresh
ended_with 0 fresh
said '--fresh: the run that was in .*/runs/weights-1 is in .*/runs/weights-1.1 now' fresh
[ "$(all_of runs/weights-1.1)" = "$before" ] || fail "what was put aside has changed"
[ "$(hash_of weights-1)" = "$first" ] || fail "anew: other bits"
SLURM_RESTART_COUNT=1 run 2 wsd.cfg run.name=weights-1 --fresh
[ ! -e runs/weights-1.2 ] || fail "a restart by Slurm began anew"

# ---- refusals: nothing is made
refused() {
    local expected=$1 line=$2
    shift 2
    limit=20 run 2 "$@"
    ended_with "$expected" "$line"
    said_once "$line" refusal
    [ ! -e runs/new ] || fail "$line: a folder was made"
}
new="wsd.cfg run.name=new"
# shellcheck disable=SC2086
{
    refused 64 'error: --weights-only needs --from' $new --weights-only
    refused 78 'error: there is no runs/none; expected' $new --from runs/none
    refused 78 'error: runs/long has no checkpoint of step 7; it has those of steps 32 and 40' $new --from runs/long@7
    refused 78 'error: run.steps: 20 is not beyond step 40 of the checkpoint' $new --from runs/long
    refused 78 'error: model.width: the run that this one comes from has 16, the configuration says 32' $new run.steps=60 model.width=32 --from runs/long
    refused 78 'error: .*/runs/short holds a run already, which does not come from runs/long .it began by itself' wsd.cfg run.name=short --from runs/long
}
# A trial is its sweep's; and a launcher makes nothing for a fork that cannot be.
mkdir -p swept/trials && cp -r runs/begun swept/trials/t && echo '{}' >swept/sweep.json
all_of swept >before
for words in run.steps=40 --fresh; do
    run 2 wsd.cfg run.dir=swept/trials run.name=t $words
    ended_with 78 "a trial, $words"
    said_once 'error: .*/trials/t is a trial of a sweep, and stays as the sweep has it' "$words"
done
all_of swept >after
cmp -s before after || fail "a trial was changed"
code=0
"$MUSTER" launch -n 2 train wsd.cfg run.name=new --from runs/none >"$log" 2>&1 || code=$?
ended_with 78 "launch"
[ ! -e runs/new ] || fail "launch: a folder was made"
nothing_left "all of it"
