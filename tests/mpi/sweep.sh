# shellcheck shell=bash
# What the tests of `muster sweep` share; sourced after common.sh: two sweeps of a dozen trials, synth.cfg without arithmetic and
# gpts.cfg of tiny GPTs with shared trunks; of each one with more stages, edge.cfg and tune.cfg; and the functions below.

cat >synth.cfg <<'CONFIG'
run = { dir = "runs"; steps = 10; hash_every = 0; };
model = { kind = "synthetic"; context = 32; };
synthetic = { noise = 0.01; };
batch = { sequences = 8; shards = 8; };
optim = { schedule = { warmup = 2; }; };
eval = { every = 0; };
checkpoint = { every = 0; };
sweep = {
    name = "synth";
    budgets = [3e8, 6e8, 1.2e9];
    sizes = { key = "synthetic.params"; values = [2e3, 4e3, 8e3, 1.6e4, 3.2e4]; };
    window = { points = 4; each_side = 1; extend = 0; };
    retries = 5;
    fit = { bootstrap = 100; };
};
CONFIG
cat >gpts.cfg <<'CONFIG'
run = { dir = "runs"; steps = 10; hash_every = 0; };
model = { layers = 2; heads = 2; width = 16; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 16; shards = 8; };
optim = { lr = 1e-2; schedule = { warmup = 4; cooldown = 0.25; }; };
eval = { every = 1000; tokens = 2048; };
checkpoint = { every = 0; };
sweep = {
    name = "gpts";
    budgets = [1e8, 2e8];
    sizes = { key = "model.width"; values = [4, 8, 12, 16]; };
    window = { points = 4; each_side = 1; extend = 0; };
    retries = 5;
    share_trunk = true;
    controls = { trunk_tax = [8]; };
    repeats = ( { budget = 1e8; seeds = 2; } );
    fit = { bootstrap = 100; };
};
CONFIG

# Budgets that are extended. The window is off on purpose: it expects optima at 100 tokens a parameter, and the law has them at
# some four.
sed 's/window = .*/window = { points = 3; each_side = 1; extend = 2; tokens_per_parameter = 100.0; };/
    s/2e3, 4e3, 8e3, 1.6e4, 3.2e4/5e2, 1e3, 2e3, 4e3, 8e3, 1.6e4, 3.2e4/' synth.cfg >edge.cfg
# Trials that tune come before the cells.
sed 's/share_trunk = .*/share_trunk = true; laws = ( { key = "optim.lr"; value = "tune"; } ); tune = { cells = ( { size = 4; budget = 1e8; }, { size = 12; budget = 1e8; } ); factors = [0.1, 0.3, 1, 3, 10]; seed = 1000; };/; s/lr = 1e-2/lr = 0.2/' gpts.cfg >tune.cfg

# sweep N FILE [ARGUMENTS...], start_sweep N FILE [ARGUMENTS...]: as run and start. The folder of a sweep is runs/NAME.
sweep() { verb=sweep run "$@"; }
start_sweep() { verb=sweep start "$@"; }

# column FILE NAME: of a table with a head, "TRIAL VALUE" a line.
column() {
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; if (!at) exit 1; next } { print $1, $at }' "$1" ||
        fail "$1 has no column $2: $(head -n 1 "$1")"
}
# result SWEEP TRIAL COLUMN
result() { column "runs/$1/results.csv" "$3" | awk -v trial="$2" '$1 == trial { sub(/^[^ ]* /, ""); print }'; }
# ended SWEEP: how many trials have. ended_beyond SWEEP N: more than N. with_status SWEEP STATUS: how many have that one.
ended() { if [ -e "runs/$1/results.csv" ]; then tail -n +2 "runs/$1/results.csv" | wc -l; else echo 0; fi; }
ended_beyond() { [ "$(ended "$1")" -gt "$2" ]; }
with_status() { column "runs/$1/results.csv" status | awk -v status="$2" '$2 == status { n++ } END { print n + 0 }'; }

# same_results SWEEP REFERENCE WHEN: the same bytes, and every step of every trial once.
same_results() {
    cmp -s "runs/$1/results.csv" "runs/$2/results.csv" ||
        fail "$3: results.csv differs from that of $2: $(diff "runs/$2/results.csv" "runs/$1/results.csv" 2>&1 | cut -c -300 | head -n 6)"
    steps_once "$1" "$3"
}
# steps_once SWEEP WHEN: in the metrics of each trial that is complete the steps follow each other to the last one, from the first
# that is its own.
steps_once() {
    local trial steps shared found
    while IFS=, read -r trial steps shared; do
        [ -e "runs/$1/trials/$trial/metrics.jsonl" ] || fail "$2: $trial has no metrics"
        found=$(sed 's/^{"step": \([0-9]*\),.*/\1/' "runs/$1/trials/$trial/metrics.jsonl")
        [ "$found" = "$(seq $((${shared:-0} + 1)) "$steps")" ] ||
            fail "$2: $trial does not have each of the steps ${shared:-0}+1 to $steps once: $(xargs <<<"$found" | cut -c -200)"
    done < <(awk -F, '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["hash"] != "" && $at["status"] != "diverged" { print $1 "," $at["run_steps"] "," $at["shared_steps"] }' "runs/$1/results.csv")
}
# alone SWEEP TRIAL RANKS: `muster train` with the trial's configuration ends with the trial's bits.
alone() {
    local hash
    hash=$(result "$1" "$2" hash)
    run "$3" "runs/$1/trials/$2/config.cfg" run.dir=runs run.name="alone-$1-$2-$3"
    ended_with 0 "$2 alone"
    [ -n "$hash" ] && [ "$(hash_of "alone-$1-$2-$3")" = "$hash" ] ||
        fail "$2 alone on $3 ranks: state hash $(hash_of "alone-$1-$2-$3"), in the sweep '$hash'"
}
# lost_in SWEEP: steps that had to be taken again, in all of its trials, by their ledgers, or by what the last start said.
lost_in() {
    cat "runs/$1"/trials/*/status.json "$log" | sed -n 's/.*"steps_lost": *\([0-9]*\).*/\1/p; s/.*dropped the metrics of steps \([0-9]*\) to \([0-9]*\)/\1 \2/p' |
        awk 'NF == 2 { said += $2 - $1 + 1; next } { counted += $1 } END { print (said > counted ? said + 0 : counted + 0) }'
}

# no_state_left WHEN: nothing of Muster's, where Open MPI may have left files: a start removes them, once they are old enough.
no_state_left() {
    no_rank_left "$1"
    [ -z "$(find /dev/shm -name 'muster-*')" ] || fail "$1: left in /dev/shm: $(find /dev/shm -name 'muster-*' | xargs)"
}

# complete SWEEP REFERENCE WHEN: a sweep that has just ended well.
complete() {
    ended_with 0 "$3"
    same_results "$1" "$2" "$3"
    nothing_left "$3"
}
# stamp SWEEP TRIAL...: what the folders of trials hold, with dates.
stamp() {
    local sweep=$1
    shift
    (cd "runs/$sweep/trials" && find "$@" -type f -printf '%p %T@ %s\n' | sort)
}
