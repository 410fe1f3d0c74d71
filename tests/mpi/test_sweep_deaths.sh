#!/usr/bin/env bash
# muster sweep: ranks die by SIGKILL at named points of trials, between trials and in repairs, workers and masters: the other trials
# lose nothing, theirs goes on, and results.csv has the same bytes.
# Cores: all (who has which trial when a rank is to die hangs on how fast all are)
. "$(dirname "$0")/common.sh"
# shellcheck source=tests/mpi/sweep.sh
. "$(dirname "$0")/sweep.sh"

sweep 2 gpts.cfg sweep.name=whole
ended_with 0 "the undisturbed sweep"

# lives NAME RANKS FAULTS DEATHS [LOST]: each death is counted, by the ranks that go on.
lives() {
    local told
    MUSTER_FAULT=$3 limit=120 sweep "$2" gpts.cfg sweep.name="$1"
    complete "$1" whole "$3"
    told=$(sed -n 's/^sweep .* ranks busy  \([0-9]*\) dead .*/\1/p' "$log" | tail -n 1)
    [ "$told" = "$4" ] || fail "$3: ${told:-no} deaths are told, not $4"
    [ "$(lost_in "$1")" -le "${5:-0}" ] || fail "$3: $(lost_in "$1") steps were taken again"
}

# A worker, the master, the next one; while a group is at work, while it saves, when a trial is over, when one begins.
lives worker 3 "rank:2,at:backward,step:3,do:kill" 1
lives master 3 "rank:0,at:adding,step:4,do:kill" 1
lives masters 5 "rank:0,at:flip,step:3,do:kill;rank:1,at:update,step:5,do:kill;rank:2,at:lead,do:kill" 3
lives ends 5 "rank:4,at:leave,do:kill;rank:1,at:evaluate,do:kill;rank:0,at:leave,count:1,do:kill" 3
lives saves 5 "rank:1,at:save,do:kill;rank:3,at:publish,do:kill;rank:0,at:published,do:kill" 3
# Inside the recovery of another one, in each of its phases.
lives recovery 6 "rank:5,at:forward,step:2,do:kill;rank:0,at:shrink,do:kill;rank:2,at:exchange,do:kill;rank:3,at:agree,do:kill" 4
# Hosts that are pretended; on each a group of its own.
MUSTER_HOSTS=2 lives hosts 5 "rank:0,at:backward,step:5,do:kill;rank:4,at:reduce,step:3,do:kill" 2
# All but one.
lives last 4 "rank:0,at:backward,step:5,do:kill;rank:1,at:backward,step:4,do:kill;rank:2,at:backward,step:5,do:kill" 3

# The first rank of all, before the second, third and fourth of the others hear that they have met; a master that has written down what it
# does next, and did not do it; the one after it, as soon as it knows where the sweep stands.
for count in 3 4 5; do
    MUSTER_FAULT="rank:0,at:tell,count:$count,do:kill" sweep 4 gpts.cfg sweep.name="tell-$count"
    complete "tell-$count" whole "rank 0 dies in the meeting, $count"
done
lives notes 4 "rank:0,at:note,count:2,do:kill;rank:1,at:note,count:5,do:kill" 2
lives leads 5 "rank:0,at:note,do:kill;rank:1,at:lead,do:kill;rank:2,at:lead,do:kill" 3
lives orders 5 "rank:1,at:order,do:kill;rank:2,at:order,count:1,do:kill;rank:0,at:branch,do:kill" 3

# One that stands still is ended by the others.
MUSTER_FAULT="rank:1,at:backward,step:3,do:stop" sweep 3 gpts.cfg sweep.name=stopped
complete stopped whole "a stopped rank"
