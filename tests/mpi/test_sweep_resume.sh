#!/usr/bin/env bash
# muster sweep: killed, stopped and told to end, then the same command again: what has ended stays as it is, the rest goes on.
# Cores: 1
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 4 synth.cfg sweep.name=whole
ended_with 0 "the undisturbed sweep"

# slowly RANKS NAME N [ARGUMENTS...]: some milliseconds a step; until more than N trials have ended.
slowly() {
    local ranks=$1 name=$2 enough=$3
    shift 3
    start_sweep "$ranks" synth.cfg sweep.name="$name" synthetic.step_ms=12 "$@"
    until_true ended_beyond "$name" "$enough"
}
# goes_on RANKS NAME WHEN: the same command; trials that had ended are as they were.
goes_on() {
    local ended before lost
    mapfile -t ended < <(column "runs/$2/results.csv" status | awk '{ print $1 }')
    [ "${#ended[@]}" -gt 0 ] && [ "${#ended[@]}" -lt 12 ] || fail "$3: ${#ended[@]} of 12 trials had ended already"
    before=$(stamp "$2" "${ended[@]}")
    sweep "$1" synth.cfg sweep.name="$2"
    ended_with 0 "$3"
    same_results "$2" whole "$3"
    no_state_left "$3"
    [ "$(stamp "$2" "${ended[@]}")" = "$before" ] ||
        fail "$3: trials that had ended were touched: $(diff <(echo "$before") <(stamp "$2" "${ended[@]}") | head -n 4)"
    lost=$(lost_in "$2")
    [ "$lost" -le "${4:-0}" ] || fail "$3: $lost steps were taken again"
}

# mpirun is killed, and its ranks with it: twice.
slowly 3 killed 2
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun killed"
slowly 2 killed 5
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "mpirun killed again"
goes_on 4 killed "mpirun killed twice"

# All ranks at once.
slowly 3 ranks 3
ranks_alive | xargs kill -KILL
finish
no_rank_left "all ranks killed"
goes_on 3 ranks "all ranks killed"

# Memory is gone, too: trials go on from their checkpoints, or begin again.
slowly 3 rebooted 4 checkpoint.every=10
kill -KILL "$(mpirun_pid)"
finish
no_rank_left "a reboot"
reboot
goes_on 2 rebooted "a reboot" 99999

# Asked to stop: each trial with a checkpoint.
stopped() {
    finish
    ended_with 75 "$1"
    said 'the same command goes on' "$1"
    no_state_left "$1"
}
slowly 3 stop 2
kill -TERM "$(rank_pid 1)"
stopped "TERM to a rank"
goes_on 2 stop "TERM to a rank"
slowly 4 usr 2
kill -USR1 "$(mpirun_pid)"
stopped "USR1 to mpirun"
goes_on 3 usr "USR1 to mpirun"
slowly 2 file 2
mkdir -p runs/file/control
touch runs/file/control/stop
stopped "control/stop"
goes_on 4 file "control/stop"
