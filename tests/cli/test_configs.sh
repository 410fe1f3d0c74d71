#!/usr/bin/env bash
# Every file of configs/ runs as it is: from a copy of the folder, beside data as scripts/quickstart makes them. What is big or long
# is made small on the command line; names, paths and everything else are the file's.
. "$(dirname "$0")/common.sh"
cp -r "$MUSTER_SOURCE/configs" .
mkdir data
head -c 600000 /dev/urandom | base64 >text
expect 0 "$MUSTER" tokenize text --out data/gcide

# In the folder of the checkout, as a user stands; paths in a file are relative to that file.
run() { # run FILE: five steps, into the run directory that the file names
    local file=$1 name sizes=()
    shift
    name=$(sed -n 's/^ *name = "\(.*\)";.*/\1/p' "$file" | head -n 1)
    case $name in
    gpt2-124m) sizes=(model.layers=1 model.heads=2 model.width=16 model.context=16 batch.sequences=4 batch.micro=2) ;;
    synthetic) sizes=(synthetic.step_ms=1) ;;
    *) sizes=(batch.sequences=4) ;;
    esac
    expect 0 "$MUSTER" train "$file" "${sizes[@]}" run.steps=5 optim.schedule.warmup=1 eval.tokens=1024
    grep -q '"outcome": "complete"' "runs/$name/status.json" || fail "$file leaves no complete run in runs/$name"
    [ -d "runs/$name/checkpoints/step-00000005" ] || fail "$file: no checkpoint of its end"
}

for file in configs/*; do
    case $file in
    *.csv) expect 0 "$MUSTER" fit "$file" ;;
    *.cfg)
        expect 0 "$MUSTER" plan --quick "$file"
        if grep -q '^sweep = {' "$file"; then continue; fi
        expect 0 "$MUSTER" config --check "$file"
        run "$file"
        ;;
    *) fail "$file: neither a configuration nor points" ;;
    esac
    # What its comments tell to type is there.
    while read -r word; do
        [ -e "$word" ] || [ -e "$MUSTER_SOURCE/$word" ] || fail "$file names $word, which is not there"
    done < <(grep -oE '\b(configs|scripts)/[a-z0-9.-]+[a-z0-9]' "$file")
done
[ ! -e configs/runs ] && [ ! -e configs/data ] || fail "something was written beside the configurations"
finish
