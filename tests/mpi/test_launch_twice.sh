#!/usr/bin/env bash
# Several launchers for one run: one at a time has it; when it is killed the next takes over at once.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

# second: another launcher for the same run, which writes into a file of its own.
second() {
    local log=second
    launch -n 2 train tiny.cfg run.name=run "${long[@]}"
}

long=(run.steps=150 checkpoint.every=5 eval.every=50)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

# A second launch is refused while the first lives, whatever the first is doing.
slowly 3 tiny.cfg run.name=run "${long[@]}"
first=$mpirun
second
[ "$code" = 1 ] || fail "a second launch: exit code $code"
grep -q "another launcher has this run: pid $first on $(hostname)" second || fail "$(cat second)"
kill -STOP "$first"
second
[ "$code" = 1 ] || fail "a second launch while the first is stopped: exit code $code"
kill -CONT "$first"

# The first is killed: its ranks go with it, and the next has the run at once.
ranks=$(all_ranks)
kill -KILL "$first"
wait "$first" || true
began=$(date +%s%N)
slowly 2 tiny.cfg run.name=run "${long[@]}"
said "taking over from a launcher that was killed \(pid $first\)" "a takeover"
for rank in $ranks; do
    if [ -e "/proc/$rank/maps" ] && grep -q muster "/proc/$rank/maps"; then fail "a takeover: rank $rank lives"; fi
done
[ $(($(date +%s%N) - began)) -le 5000000000 ] || fail "a takeover took $((($(date +%s%N) - began) / 1000000)) ms"
# Killed again, and nobody takes over for a while: the ranks end by themselves.
kill -KILL "$mpirun"
wait "$mpirun" || true
no_rank_left "the launcher killed"
launch -n 4 train tiny.cfg run.name=run "${long[@]}"
ended_with 0 "a takeover"
said "taking over from a launcher that was killed \(pid $mpirun\)" "a second takeover"
same_as run whole "a takeover"
untouched "a takeover"

# Eight at once, again and again, some of them killed: never two at a time have the run. In the place of mpirun stands a program
# that complains when another one is there; it dies with its launcher, as mpirun does.
cat >witness <<'WITNESS'
#!/usr/bin/env bash
exec 9>>"$WITNESS_FOLDER/there"
flock -n 9 || echo "two at once" >>"$WITNESS_FOLDER/complaints"
echo "$$" >>"$WITNESS_FOLDER/served"
sleep 0.2 9>&-
exit 78
WITNESS
chmod +x witness
export WITNESS_FOLDER=$scratch
# many FAULT ROUNDS
many() {
    local i pids
    : >served
    for _ in $(seq "$2"); do
        pids=()
        for i in $(seq 8); do
            MUSTER_FAULT=$1 "$MUSTER" launch --mpirun ./witness -n 1 train tiny.cfg run.name=contested >"c$i" 2>&1 &
            pids+=($!)
        done
        sleep 0.1
        kill -KILL "${pids[RANDOM % 8]}" "${pids[RANDOM % 8]}" 2>/dev/null || true
        for i in "${pids[@]}"; do wait "$i" 2>/dev/null || true; done
    done
    [ ! -e complaints ] || fail "many launchers, $1: $(sort complaints | uniq -c)"
    [ "$(wc -l <served)" -ge "$2" ] || fail "many launchers, $1: in $2 rounds $(wc -l <served) got the run"
}
many "" 8
many at:lock,do:fail 2
# The last one may have been killed: the next launch clears away after it.
launch --mpirun ./witness -n 1 train tiny.cfg run.name=contested
untouched "many launchers"
