#!/usr/bin/env bash
# prometheus.prom of a run: its format to the letter, the values of status.json, whole at any moment, and of no weight when it
# cannot be written.
. "$(dirname "$0")/common.sh"
unset MUSTER_LOG MUSTER_PROGRESS
check() { python3 "$MUSTER_SOURCE/tests/support/check_prometheus.py" "$@" >values 2>>err || fail "$*: not in the format"; }
sample_of() { # sample_of FILE SAMPLE: into the variable got
    check "$1" "$2"
    got=$(cat values)
}
is() { # is FILE SAMPLE VALUE
    sample_of "$1" "$2"
    [ "$got" = "$3" ] || fail "$2 is $got, expected $3"
}
cat >syn.cfg <<'CFG'
run: { name = "syn"; steps = 300; dir = "runs"; };
model: { kind = "synthetic"; };
checkpoint: { every = 100; };
CFG

# A run on three ranks. What it ends with.
expect 0 "$MPIRUN" -n 3 "$MUSTER" train syn.cfg
file=runs/syn/prometheus.prom
is $file 'muster_step{run="syn"}' 300
is $file 'muster_target_steps{run="syn"}' 300
is $file 'muster_running{run="syn"}' 0
is $file 'muster_outcome{run="syn",outcome="complete"}' 1
is $file 'muster_outcome{run="syn",outcome="failed"}' 0
is $file 'muster_checkpoint_step{run="syn"}' 300
is $file 'muster_generation{run="syn"}' 1
is $file 'muster_ranks{run="syn",role="worker"}' 3
is $file 'muster_ranks{run="syn",role="spare"}' 0
is $file 'muster_deaths_total{run="syn"}' 0
is $file 'muster_tokens{run="syn"}' $((300 * 4096))
for sample in muster_train_loss muster_valid_loss muster_gradient_norm muster_learning_rate muster_tokens_per_second; do
    sample_of $file "$sample{run=\"syn\"}"
    [ "${got:-0}" != 0 ] || fail "$sample is 0"
done
sample_of $file 'muster_train_loss{run="syn"}'
python3 - "$got" <<'PY' || fail "the loss is not the one of status.json"
import json, sys
sys.exit(abs(json.load(open("runs/syn/status.json"))["loss"] - float(sys.argv[1])) > 1e-4)
PY
sample_of $file 'muster_updated_timestamp_seconds{run="syn"}'
[ $(($(date +%s) - ${got%.*})) -le 60 ] || fail "when it was written"
[ -e $file.tmp ] && fail "what is written beside stays"

# The next start counts on, also when the name is an odd one; a death is counted.
name='od"d\é'
MUSTER_FAULT=rank:1,at:backward,step:150,do:kill expect 0 "$MPIRUN" -n 3 "$MUSTER" train syn.cfg "run.name=$name" run.steps=200
is "runs/$name/prometheus.prom" 'muster_running{run="od\"d\\??"}' 0
if grep -q '"OMPI_MCA_mpi_ft_enable=1"' "$MUSTER_BUILD/mpi_settings.c"; then
    is "runs/$name/prometheus.prom" 'muster_deaths_total{run="od\"d\\??"}' 1
    is "runs/$name/prometheus.prom" 'muster_ranks{run="od\"d\\??",role="worker"}' 2
fi

# Read again and again while it changes: always whole. Killed: it stays as it was.
"$MUSTER" train syn.cfg run.name=read run.steps=1000000 >out 2>err &
run=$!
looks=0
wait_for "file of a run that has begun" grep -q '^muster_running{run="read"} 1$' runs/read/prometheus.prom
first=$(grep '^muster_step{' runs/read/prometheus.prom)
for _ in $(seq 12); do
    check runs/read/prometheus.prom && looks=$((looks + 1))
    sleep 0.05
done
[ $looks = 12 ] || fail "it was not whole each time"
[ "$first" != "$(grep '^muster_step{' runs/read/prometheus.prom)" ] || fail "it stood still"
kill -KILL $run
wait $run
is runs/read/prometheus.prom 'muster_running{run="read"}' 1

# It cannot be written: that is told once, and the run is complete.
mkdir -p runs/full/prometheus.prom/in-the-way
expect 0 "$MUSTER" train syn.cfg run.name=full
[ "$(grep -c 'warning: cannot write .*/full/prometheus.prom: .*; training goes on without it' err)" = 1 ] ||
    fail "not told once that it cannot be written"
grep -q '"outcome": "complete"' runs/full/status.json || fail "the run suffers from it"
[ -e runs/full/prometheus.prom.tmp ] && fail "what could not be put in place stays"

# The checker itself refuses what is wrong.
cp $file good.prom
wrong() { # wrong WHAT SED-PROGRAM
    sed "$2" good.prom >bad.prom
    python3 "$MUSTER_SOURCE/tests/support/check_prometheus.py" bad.prom >/dev/null 2>&1 && fail "the checker takes $1"
}
wrong "a quote that is not escaped" 's/run="syn"/run="s"yn"/'
wrong "a type twice" 's/^\(# TYPE muster_step gauge\)$/\1\n\1/'
wrong "a number of no form" 's/^\(muster_step{.*} \).*/\1 12,5/'
wrong "a sample of another family" 's/^muster_step{/muster_stop{/'
finish
