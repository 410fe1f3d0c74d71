# shellcheck shell=bash
# What the tests of sweeps in parts share; sourced after sweep.sh.

# begin_part K M RANKS FILE NAME [ARGUMENTS...]: mpirun of that part in the background; what it says in NAME-K.out.
declare -A part_of
begin_part() {
    local k=$1 m=$2 ranks=$3 file=$4 name=$5
    shift 5
    timeout -k 5 "${limit:-60}" "$MPIRUN" -n "$ranks" "$MUSTER" sweep --part "$k/$m" "$file" sweep.name="$name" "$@" >"$name-$k.out" 2>&1 &
    part_of[$name-$k]=$!
}
# end_part K NAME CODE WHEN: it ends with that; what it says is the log from then on.
end_part() {
    log=$scratch/$2-$1.out
    code=0
    wait "${part_of[$2-$1]}" || code=$?
    ended_with "$3" "$4: part $1"
}
# kill_part K NAME: all of its processes, at once.
kill_part() {
    local mpirun ranks
    mpirun=$(cat "/proc/${part_of[$2-$1]}/task/${part_of[$2-$1]}/children" | xargs)
    ranks=$(cat "/proc/$mpirun/task/$mpirun/children")
    # shellcheck disable=SC2086 # several
    kill -KILL $mpirun $ranks
    { wait "${part_of[$2-$1]}" || true; } 2>/dev/null
}
# part_trials NAME K-of-M: how many trials that part itself has brought to an end.
part_trials() { ends_in "runs/$1/parts/$2/journal" | wc -l; }
part_trials_beyond() { [ "$(part_trials "$1" "$2")" -gt "$3" ]; }
# ends_in FOLDERS...: of their journals, the trials that ended with a result, a line an end.
ends_in() { { grep -raohE '"trial":"[^"]*"[^{}]*"end":"complete"' "$@" 2>/dev/null || true; } | sed 's/"trial":"\([^"]*\)".*/\1/'; }
# each_once NAME WHEN: no trial is lost or done twice, by the journals of all parts.
each_once() {
    local found log=$scratch/log
    found=$(ends_in "runs/$1/journal" "runs/$1/parts" | sort)
    diff <(column "runs/$1/results.csv" status | cut -d' ' -f1 | sort) <(echo "$found") >"$log" ||
        fail "$2: not every trial has come to its end once, by the journals"
}
# as_whole NAME REFERENCE WHEN: all parts have ended well, and together did what one does.
as_whole() {
    log=$scratch/log
    same_results "$1" "$2" "$3"
    each_once "$1" "$3"
    "$MUSTER" status "runs/$1" --exit-code >"$log" || fail "$3: muster status ends with $?"
    said 'ended    complete: [0-9]+ trials, in [0-9]+ parts' "$3"
    "$MUSTER" verify "runs/$1" >"$log" || fail "$3: muster verify ends with $?"
}
