#!/usr/bin/env bash
# What is refused before anything is computed: said once, not once a rank, with the exit code that scripts read.
. "$(dirname "$0")/common.sh"

run 1 tiny.cfg run.name=whole
MUSTER_FAULT=rank:0,at:flip,step:9,do:kill run 2 tiny.cfg run.name=run
said 'The newest checkpoint is of step 8' "a death"
# The lock says who looked last, and is no part of the run.
content() { find runs -type f ! -name .lock -exec sha256sum {} + | sort -k 2; find runs -type d | sort; }
before=$(content)

# refused CODE TEXT WHEN: and nothing changed.
refused() {
    ended_with "$1" "$3"
    said_once 'error:' "$3"
    said "$2" "$3"
    [ "$(content)" = "$before" ] || fail "$3: changed: $(diff <(echo "$before") <(content) || true)"
    nothing_left "$3"
}
run 3 tiny.cfg run.name=run model.width=32
refused 78 'model\.width' "another width"
run 3 tiny.cfg run.name=run run.seed=2
refused 78 'run\.seed' "another seed"
run 3 tiny.cfg run.name=run batch.shards=4 batch.micro=2
refused 78 'batch\.shards' "another number of shards"
# Same name and size, other bytes.
tr a-f b-g <text.txt >other.txt
"$MUSTER" tokenize other.txt --out other >/dev/null
mv data-train.bin kept.bin
mv other-train.bin data-train.bin
cmp -s data-train.bin kept.bin && fail "the data did not change"
run 3 tiny.cfg run.name=run
refused 78 'data\.train' "other data"
mv kept.bin data-train.bin

# Mistakes, on many ranks.
run 5 tiny.cfg run.name=new model.widht=32
refused 78 'model\.widht' "an unknown key"
run 5 tiny.cfg run.name=new model.heads=3
refused 78 'model\.heads' "heads that do not divide the width"
run 5 tiny.cfg run.name=new data.train=nowhere.bin
refused 78 'nowhere\.bin' "data that are not there"
run 5 nowhere.cfg
refused 78 'nowhere\.cfg' "a configuration that is not there"

# Two jobs in one run directory: the second is told who has it, the first does not notice.
MUSTER_FAULT=at:flip,do:sleep-300 start 2 tiny.cfg run.name=run
until_true beyond run 9
first=$(rank_pid 0)
cp "$log" first.log
log=$scratch/log2
run 2 tiny.cfg run.name=run
ended_with 1 "a second job"
said_once 'error:' "a second job"
said "pid $first" "a second job"
log=$scratch/log
finish
ended_with 0 "the first job"
same_as run whole "the first job"
nothing_left "two jobs"
