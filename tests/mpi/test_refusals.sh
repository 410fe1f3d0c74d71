#!/usr/bin/env bash
# What cannot be right is refused before anything is computed, in words that name it, once however many ranks there are; and a
# run directory that was not meant stays as it was, to the byte.
. "$(dirname "$0")/common.sh"

# One that computes ends with 3 instead: refusals must come first. A probe is computed before data are compared, no update.
no_forward='at:forward,do:exit' no_update='at:update,do:exit'
# fingerprint FOLDER: names and contents of all that lies in it.
fingerprint() { (cd "$1" && find . -printf '%y %p\n' | sort && find . -type f -print0 | sort -z | xargs -0r sha256sum); }

run 2 tiny.cfg run.name=whole
ended_with 0 "the undisturbed run"
fingerprint runs >before

# refused FAULT CODE WHEN ARGUMENTS...: by 3 ranks, and nothing below runs changes.
refused() {
    local fault=$1 expected=$2 when=$3
    shift 3
    MUSTER_FAULT=$fault limit=20 run 3 "$@"
    ended_with "$expected" "$when"
    no_rank_left "$when"
    fingerprint runs >after
    cmp -s before after || fail "$when: the run directories changed: $(diff before after | head -n 5)"
}

# Values that may not change during a run, nor from here on.
for change in model.width=32 run.seed=2 batch.shards=4 optim.lr=2e-3; do
    key=${change%=*}
    refused $no_forward 78 "$change" tiny.cfg run.name=whole "$change"
    said_once "error: $key: the run has .*, the configuration says .* new run" "$change"
done

# A mistake or two, of the command line and of the file. Twice in a file: both lines.
refused $no_forward 78 "two mistakes" tiny.cfg run.name=new optm.lr=3 model.width=abc
said_once "command line: optm.lr: unknown key; did you mean 'optim.lr'" "two mistakes"
said_once "command line: model.width: abc is not a number; expected an integer" "two mistakes"
sed 's/heads = 2/heads = 3/' tiny.cfg >heads.cfg
refused $no_forward 78 "heads.cfg" heads.cfg run.name=new
said_once "error: .*model.heads" "heads.cfg"
refused $no_forward 78 "no such file" none.cfg run.name=new
said_once "none.cfg: no such file" "no such file"
for mistake in --frobnicate run.name=new; do
    refused $no_forward 64 "$mistake" $mistake
    said_once "error: .*$mistake; see 'muster train --help'" "$mistake"
done

# Data: both files that are missing are named, and no directory is made for the run.
refused $no_forward 78 "missing data" tiny.cfg run.name=new data.train=gone-train.bin data.valid=gone-valid.bin
said_once "cannot open token file .*/gone-train.bin: No such file" "missing data"
said_once "cannot open token file .*/gone-valid.bin: No such file" "missing data"
refused $no_forward 78 "a text as data" tiny.cfg run.name=new data.train=text.txt
said "text.txt" "a text as data"

# The same name with other content. Only the lock says who looked.
cp data-train.bin kept.bin
tr 'a-m' 'b-n' <text.txt >other.txt
"$MUSTER" tokenize other.txt --out other >"$log" 2>&1 || fail "tokenize"
cp other-train.bin data-train.bin
: >runs/whole/.lock
fingerprint runs >before
MUSTER_FAULT=$no_update run 3 tiny.cfg run.name=whole
ended_with 78 "other data"
said_once "error: data.train: .*data-train.bin does not hold what this run was trained on" "other data"
: >runs/whole/.lock
fingerprint runs >after
cmp -s before after || fail "other data: the run directory changed: $(diff before after | head -n 5)"
# The same content under another name is no change.
run 3 tiny.cfg run.name=whole data.train=kept.bin
ended_with 0 "moved data"
said "complete already" "moved data"
cp kept.bin data-train.bin

# Two jobs on one run: the second is told who trains, and does not disturb it.
MUSTER_FAULT=rank:0,at:flip,do:sleep-200 start 2 tiny.cfg run.name=both
until_true test -s runs/both/metrics.jsonl
first=$mpirun
log=$scratch/second
limit=20 run 2 tiny.cfg run.name=both
ended_with 1 "the second job"
said_once "error: another process is training this run: pid $(field both pid) " "the second job"
[ "$(field both outcome)" = none ] || fail "the second job wrote the outcome $(field both outcome)"
kill -0 "$first" 2>/dev/null || fail "the first job ended before the second was refused"
log=$scratch/log
finish
ended_with 0 "the first job"
same_as both whole "the first job"
nothing_left "the first job"
