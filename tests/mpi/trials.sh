# shellcheck shell=bash
# What the tests of trials without a sweep's master share; sourced after common.sh.

orders_program=$(dirname "$MUSTER")/tests/trial-orders

# orders N ORDER...: see tests/support/trial_orders.c.
orders() {
    local n=$1
    shift
    [ -n "${keep_sweep:-}" ] || rm -rf sweep
    code=0
    timeout -k 5 60 "$MPIRUN" -n "$n" "$orders_program" "$scratch/sweep" "$@" >"$log" 2>&1 || code=$?
}
# ended GROUP TRIAL END [STEP REFERENCE]: what its leader told.
ended() {
    local hash=${5:+$(hash_of "$5")}
    said "^$1 $2 $3${4:+ $4}${hash:+ $hash}" "group $1"
}
# steps TRIAL: that it took, each once.
steps() { sed 's/^{"step": \([0-9]*\),.*/\1/' "sweep/trials/$1/metrics.jsonl" | sort -n | uniq -c | awk '$1 == 1' | wc -l; }
