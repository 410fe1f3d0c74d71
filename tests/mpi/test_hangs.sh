#!/usr/bin/env bash
# Ranks that stand still: whoever is stopped or hangs is ended by another rank of its host, and said to be, once; whoever is only
# late, loaded, slow, saving or stopped with all others is not. In the end the bits are those of the undisturbed run, whether the
# run goes on by itself after the death or the same command does.
# Cores: all (it counts milliseconds, and loads the machine to 4 times its cores)
. "$(dirname "$0")/common.sh"

long=(run.steps=40 checkpoint.every=10 eval.every=20)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

ms() { echo $(($(date +%s%N) / 1000000)); }

# slowly RUN RANKS [ARGUMENTS...]: starts, at 20 ms a step (or what $fault says), and waits for its first steps.
slowly() {
    local name=$1 ranks=$2
    shift 2
    export MUSTER_FAULT=${fault-at:flip,do:sleep-20}
    start "$ranks" tiny.cfg run.name="$name" "${long[@]}" "$@"
    unset MUSTER_FAULT
    until_true beyond "$name" 5
    began=$(ms)
}
# fenced RANK HOW BY MOST WHEN: it is said once, in time.
fenced() {
    until_said "rank $1 $2.* ended by rank $3"
    local took=$(($(ms) - began))
    [ "$took" -le "$4" ] || fail "$5: ended after $took ms"
    said_once "warning: rank $1 $2 for [0-9]+\.[0-9] s .* and was ended by rank $3\$" "$5"
}
# gone_on RUN WHEN: finishes by itself, or by the same command.
gone_on() {
    finish
    [ "$code" != 124 ] || fail "$2: nobody ended"
    no_rank_left "$2"
    if [ "$(field "$1" outcome)" != complete ]; then
        said_once 'muster.*error:' "$2"
        run 3 tiny.cfg run.name="$1" "${long[@]}"
        ended_with 0 "$2, and on"
    fi
    same_as "$1" whole "$2"
    nothing_left "$2"
}
# undisturbed RUN WHEN: nobody was ended.
undisturbed() {
    finish
    ended_with 0 "$2"
    if grep -aq 'ended by' "$log"; then fail "$2: somebody was ended"; fi
    same_as "$1" whole "$2"
}

stopped='was stopped by a signal'

# A worker, the master (who is the fencer), two at once. A late SIGCONT finds nobody, or changes nothing.
slowly worker 4
pid=$(rank_pid 2)
kill -STOP "$pid"
fenced 2 "$stopped" 0 5000 "a stopped worker"
kill -CONT "$pid" 2>/dev/null || true
gone_on worker "a stopped worker"

slowly master 4
kill -STOP "$(rank_pid 0)"
fenced 0 "$stopped" 1 5000 "the stopped master"
gone_on master "the stopped master"

slowly two 4
pids=("$(rank_pid 0)" "$(rank_pid 3)")
kill -STOP "${pids[@]}"
until_said "rank [03] $stopped"
[ $(($(ms) - began)) -le 5000 ] || fail "two stopped: ended after $(($(ms) - began)) ms"
said "rank [03] $stopped .* and was ended by rank 1\$" "two stopped"
gone_on two "two stopped"

# One that does not move, though it is not stopped. Another host is pretended: it is one machine to the board.
fault='rank:1,at:backward,step:20,do:sleep-40000' slowly hung 3 run.hang_timeout=1
fenced 1 'stood still' 0 20000 "a rank that hangs"
said 'rank 1 stood still for 1\.[0-9] s in backward of step 21 and' "a rank that hangs"
gone_on hung "a rank that hangs"

# Before the ranks have met.
MUSTER_FAULT='rank:1,at:start,do:stop' limit=30 run 3 tiny.cfg run.name=early "${long[@]}"
said_once "warning: rank 1 $stopped for 2\.[0-9] s while starting and was ended by rank 0\$" "a rank stopped at the start"
said_once 'error: rank 1 died at the start' "a rank stopped at the start"
no_rank_left "a rank stopped at the start"

# No reason: all are stopped, and continued one after the other; a save and an evaluation longer than the deadline; a machine
# loaded to 4 times its cores.
slowly paused 3
mapfile -t pids < <(ranks_alive)
kill -STOP "${pids[@]}"
sleep 3
for pid in "${pids[@]}"; do
    kill -CONT "$pid"
    sleep 0.2
done
undisturbed paused "all stopped and continued"

fault='at:evaluate,count:3,do:sleep-150;rank:0,at:save,step:20,do:sleep-1800' slowly patient 2 run.hang_timeout=1
undisturbed patient "a long evaluation and a slow save"

busy=()
for _ in $(seq $((4 * $(nproc)))); do
    while :; do :; done &
    busy+=($!)
done
slowly loaded 4 run.hang_timeout=2
undisturbed loaded "a loaded machine"
kill "${busy[@]}"
wait "${busy[@]}" || true

# Slow, and only told of. It goes on until it is stopped.
long=(run.steps=1000)
fault='at:backward,do:sleep-20;rank:2,at:backward,do:sleep-80' slowly slow 3
until_said 'is slow'
said_once 'warning: rank 2 is slow: a shard takes it [0-9.]+ ms, the others of its host [0-9.]+ ms \(median\), mostly in backward$' \
    "a slow rank"
kill -USR1 "$(rank_pid 0)"
finish
ended_with 75 "a slow rank"
if grep -aq 'ended by' "$log"; then fail "a slow rank was ended"; fi
nothing_left "the end"
