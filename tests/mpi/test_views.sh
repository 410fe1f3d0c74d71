#!/usr/bin/env bash
# Groups of ranks in one communicator (views.c): one rank of one group is killed, and the others go on where they are.
. "$(dirname "$0")/common.sh"
MUSTER=$MUSTER_BUILD/tests/views # whose ranks are looked for

"$MUSTER" >"$log" 2>&1 || fail "without mpirun"
said '^alone$' "without mpirun"

code=0
timeout -k 5 90 "$MPIRUN" "${mpirun_options[@]}" --oversubscribe -n 6 "$MUSTER" >"$log" 2>&1 || code=$?
ended_with 0 "three pairs"
for rank in 0 1 4 5; do
    said_once "^rank $rank went on as place $((rank % 2)) of 2\$" "three pairs"
done
said_once '^rank 2 went on as place 0 of 1$' "three pairs"
nothing_left "three pairs"

code=0
timeout -k 5 90 "$MPIRUN" "${mpirun_options[@]}" -x LD_PRELOAD="$MUSTER_BUILD/tests/few-tags.so" -n 1 "$MUSTER" >"$log" 2>&1 || code=$?
ended_with 1 "an MPI with few tags"
said_once 'Open MPI .* has message tags up to 32767 over this network, and groups of ranks need 2002000' "an MPI with few tags"
nothing_left "an MPI with few tags"
