#!/usr/bin/env bash
# Somebody sets the clock back an hour in mid-run. Ranks, mpirun and the launcher die before and after it: to all that is decided,
# the wall clock is nothing. It stands in dates for people only.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

long=(run.steps=240 run.hash_every=20 checkpoint.every=20 checkpoint.keep=2 eval.every=60)
run 1 tiny.cfg run.name=whole "${long[@]}"
ended_with 0 "the undisturbed run"

export CLOCK_BACK=$scratch/back
export LD_PRELOAD=$MUSTER_BUILD/tests/clock-back.so
hour() { date -u +%Y-%m-%dT%H; }
now=$(hour)
touch "$CLOCK_BACK"
[ "$(hour)" \< "$now" ] || fail "the clock is not set back: $(hour), $now"
rm "$CLOCK_BACK"

# until_lines N: of the run's metrics.
until_lines() { until_true beyond run $(($1 - 1)); }

# Before it, a checkpoint is saved and the master dies.
slowly 4 tiny.cfg run.name=run "${long[@]}"
until_lines 20
kill -KILL "$(rank_pid 0)"
until_said 'rank 0 died .* 3 ranks go on after'
touch "$CLOCK_BACK"
# After it, the next master dies, then mpirun, then the launcher.
kill -KILL "$(rank_pid 1)"
until_said 'rank 1 died .* 2 ranks go on after'
until_true [ -e runs/run/checkpoints/step-00000040/checkpoint.h5 ]
kill -KILL "$(launched_mpirun)"
next_generation
said 'going on from step [0-9]+, which was still in memory' "the clock set back"
first=$mpirun
kill -KILL "$first"
wait "$first" || true
[ "$(lost run)" = 0 ] || fail "the clock set back: steps lost: $(lost run)"

# The next launcher has the run at once; it and its ranks begin with the clock that is back, and see it go forward again.
slowly 3 tiny.cfg run.name=run "${long[@]}"
said "taking over from a launcher that was killed \(pid $first\)" "a takeover with the clock set back"
rm "$CLOCK_BACK"
kill -KILL "$(launched_mpirun)"
next_generation
finish
ended_with 0 "the clock set back and forward"
same_as run whole "the clock set back and forward"
kept=$(cd runs/run/checkpoints && echo *)
[ "$kept" = "step-00000220 step-00000240" ] || fail "other checkpoints are kept: $kept"
# The first record of a generation that went on from memory may be of a step that was none of its own.
times=$(sed 's/.*"step_ms": \([^,]*\),.*/\1/' runs/run/metrics.jsonl | awk '$1 != "null" && !($1 > 0 && $1 < 60000)')
[ -z "$times" ] || fail "steps that took less than nothing, or an hour: $times ms"
spent=$(sed -n 's/.*"rank_seconds": *\([-0-9]*\).*/\1/p' runs/run/status.json)
[ "$spent" -gt 0 ] && [ "$spent" -lt 1000 ] || fail "the account of time: $spent rank-seconds"
untouched "the clock set back and forward"

# Where locks do not reach, the next launcher takes over when the last one's count has stood still. What was left by others before
# the clock was set back is not young for an hour.
touch /dev/shm/sm_segment.left.0.1.0 /dev/shm/open_mpi.left
touch "$CLOCK_BACK"
export MUSTER_FAULT='at:flip,do:sleep-20;at:lock,do:fail' MUSTER_FAULT_GENERATIONS=99
begin -n 2 train tiny.cfg run.name=lease "${long[@]}"
until_said "^step "
[ ! -e /dev/shm/sm_segment.left.0.1.0 ] || fail "what ranks of others left is kept"
kill -KILL "$mpirun"
wait "$mpirun" || true
no_rank_left "the launcher killed"
export MUSTER_FAULT='at:lock,do:fail'
launch -n 3 train tiny.cfg run.name=lease "${long[@]}"
unset MUSTER_FAULT MUSTER_FAULT_GENERATIONS
ended_with 0 "a takeover by lease"
said 'taking over when it has been silent for 10 s' "a takeover by lease"
same_as lease whole "a takeover by lease"
untouched "a takeover by lease" # launch takes away what Open MPI's trials left
[ ! -e /dev/shm/open_mpi.left ] || fail "what trials of Open MPI left is kept"

# The newest checkpoint is that of the highest step, though its files are an hour older than those before.
MUSTER_FAULT=at:backward,step:70,do:kill run 2 tiny.cfg run.name=disk "${long[@]}"
find runs/disk/checkpoints/step-00000060 -exec touch -d "2 hours ago" {} +
reboot
run 3 tiny.cfg run.name=disk "${long[@]}"
ended_with 0 "a checkpoint that looks old"
said 'going on from .*step[ -]0*60' "a checkpoint that looks old"
same_as disk whole "a checkpoint that looks old"
