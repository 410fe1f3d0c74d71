#!/usr/bin/env bash
# muster stop, checkpoint, resize and status --pid, mistyped or asked of a run that nobody trains: what is said, and nothing is written.
# That they work: tests/mpi/test_steer*.sh.
. "$(dirname "$0")/common.sh"
export USER=anna
here=$(hostname)

for verb in stop checkpoint; do
    see="; see 'muster $verb --help'"
    refuses 64 "nothing was said to work on$see" "$MUSTER" $verb
    refuses 64 "unknown option --timeot; did you mean --timeout?$see" "$MUSTER" $verb runs/run --timeot 3
    refuses 64 "--timeout: 'soon' is not an integer from 0 to 1000000$see" "$MUSTER" $verb runs/run --timeout soon
    refuses 1 "there is no runs/run; expected the folder of a run, such as runs/NAME" "$MUSTER" $verb runs/run
    expect 0 "$MUSTER" $verb --help
    grep -q "^muster $verb RUN \[options\]" out || grep -q "muster $verb RUN \[options\]" out || fail "no usage"
done

# status STATE OUTCOME HOST: a run as its files have it.
mkdir -p runs/run/control runs/run/journal runs/run/checkpoints
status() {
    cat >runs/run/status.json <<JSON
{"state": "$1", "outcome": "$2", "step": 7, "steps": 9, "ranks": 3, "host": "$3", "updated": "2026-01-02T03:04:05Z",
 "message": "rank 1 died", "launch": null}
JSON
}
listed() { find runs -type f -printf '%p %s %T@\n' | sort; }
nobody() { # nobody WHY
    local before verb
    before=$(listed)
    for verb in stop checkpoint; do
        refuses 1 "nobody trains runs/run: $1" "$MUSTER" $verb runs/run
    done
    refuses 1 "nobody would obey: no launcher has the run runs/run. Start it with \`muster launch -n 4 train ...\`" "$MUSTER" resize runs/run 4
    [ "$(listed)" = "$before" ] || fail "something was written: $(diff <(echo "$before") <(listed))"
}
nobody "it has no status.json that can be read"
status ended complete "$here"
nobody "it is complete: step 7 of 9"
status ended requeue "$here"
nobody "it was stopped after step 7; the same command goes on"
status ended failed elsewhere
nobody "it has failed: rank 1 died"
status running none "$here"
nobody "it was killed after step 7 (2026-01-02T03:04:05Z); the same command goes on"
refuses 1 "runs is not a run directory; expected its path, such as runs/NAME" "$MUSTER" stop runs

see="; see 'muster resize --help'"
refuses 64 "how many ranks? 'muster resize runs/run N'; it has 3 now$see" "$MUSTER" resize runs/run
refuses 64 "'0' is not a number of ranks from 1 to 4096$see" "$MUSTER" resize runs/run 0
refuses 64 "'4097' is not a number of ranks from 1 to 4096$see" "$MUSTER" resize runs/run 4097
refuses 64 "'3x' is not a number of ranks from 1 to 4096$see" "$MUSTER" resize runs/run 3x

# A run of another host: whether it lives cannot be seen, so it is asked, and not for ever. A request that somebody takes away.
status running none elsewhere
expect 1 "$MUSTER" stop runs/run --timeout 0
has err "muster: runs/run is to run on elsewhere; whether it still lives cannot be seen from this host"
grep -q 'error: no answer within 0 s. The request stays (runs/run/control/stop-[0-9a-f]*.request)' err || fail "no deadline"
grep -qE '^\{"version":1,"what":"stop","by":"anna on [^"]*, pid [0-9]+","date":"20[^"]*"\}$' runs/run/control/stop-*.request || fail "the request"
expect 0 "$MUSTER" status runs/run
grep -qE '^  asked for    stop, [0-9]+ s ago, by anna on .*, pid [0-9]+: not answered yet$' out || fail "a request is not shown"
rm runs/run/control/*
expect 0 "$MUSTER" checkpoint runs/run --no-wait
grep -qE '^asked for: control/checkpoint-[0-9a-f]{16}\.request$' out || fail "--no-wait"
rm runs/run/control/*
(until rm runs/run/control/stop-* 2>/dev/null; do sleep 0.02; done) &
expect 1 "$MUSTER" stop runs/run --timeout 30
wait
grep -q 'the request was taken away without an answer' err || fail "a request is taken away"

# It dies, and so does who was to answer: told, and taken back.
status running none "$here"
flock runs/run/.lock sleep 1 &
until ! flock -n runs/run/.lock true; do sleep 0.02; done
expect 1 "$MUSTER" checkpoint runs/run --timeout 30
has err "muster: error: nobody trains runs/run any more, and the request was not answered (it is taken back): it was killed after step 7 (2026-01-02T03:04:05Z); the same command goes on"
[ -z "$(ls runs/run/control)" ] || fail "a request is left"
wait

# Sweeps and their trials.
mkdir -p runs/sweep/trials/a/control runs/sweep/control
echo '{}' >runs/sweep/sweep.json
refuses 1 "nobody trains the sweep runs/sweep: there is nothing to stop" "$MUSTER" stop runs/sweep/
refuses 1 "runs/sweep is a sweep, which saves its trials by itself; \`muster stop runs/sweep\` stops it, each trial with a checkpoint" "$MUSTER" checkpoint runs/sweep
refuses 1 "nobody would obey: no launcher has the sweep runs/sweep. Start it with \`muster launch -n 3 sweep ...\`" "$MUSTER" resize runs/sweep 3
for verb in stop checkpoint; do
    refuses 1 "runs/sweep/trials/a is a trial of a sweep, which goes as the sweep does: \`muster stop SWEEP\` stops all of them, each with a checkpoint" "$MUSTER" $verb runs/sweep/trials/a
done
refuses 1 "runs/sweep is a sweep, whose ranks go from trial to trial; \`--pid\` wants one of its trials/NAME" "$MUSTER" status runs/sweep --pid 0
[ -z "$(find runs/sweep/control runs/sweep/trials/a/control -type f)" ] || fail "something is asked of a sweep"
echo '{"schema": "muster-sweep-1", "host": "elsewhere"}' >runs/sweep/sweep.json
expect 1 "$MUSTER" stop runs/sweep --timeout 0
has err "muster: runs/sweep is to run on elsewhere; whether it still lives cannot be seen from this host"
grep -q 'error: no answer within 0 s. The request stays (runs/sweep/control/stop)' err || fail "a sweep of another host is not asked"

# Who is which process.
row() { printf '{"rank": %d, "role": "%s", "master": %s, "pid": %s, "start_time": %s, "host": "%s"}' "$@"; }
refuses 1 "runs/run has no ranks.json: no rank has begun to train it" "$MUSTER" status runs/run --pid 0
started=$(awk '{ print $22 }' /proc/$$/stat)
echo "{\"start\": \"1\", \"ranks\": [$(row 0 worker true $$ "$started" "$here"), $(row 1 worker false $$ $((started + 1)) "$here"),
    $(row 2 spare false 17 5 elsewhere), $(row 5 spare false null 0 "")]}" >runs/run/ranks.json
expect 0 "$MUSTER" status runs/run --pid 0
has out $$
refuses 1 "rank 1 of runs/run (a worker, pid $$) lives no more" "$MUSTER" status runs/run --pid 1
expect 0 "$MUSTER" status runs/run --pid=2
has out 17
has err "muster: rank 2, a spare, is on host elsewhere: whether it lives cannot be seen from here"
refuses 1 "there is no rank 3 in runs/run: it died, or never was; there are 0 to 2, 5" "$MUSTER" status runs/run --pid 3
refuses 1 "rank 5 of runs/run lives on another host, and its pid is not known: the master that knew it has died" "$MUSTER" status runs/run --pid 5
refuses 64 "--pid: '-1' is not an integer from 0 to 1000000000; see 'muster status --help'" "$MUSTER" status runs/run --pid=-1
refuses 64 "--pid prints a number, and goes with no other option; see 'muster status --help'" "$MUSTER" status runs/run --pid 1 --json
echo '{"ranks": 3}' >runs/run/ranks.json
refuses 1 "runs/run/ranks.json cannot be read: expected the ranks of a run" "$MUSTER" status runs/run --pid 1
finish
