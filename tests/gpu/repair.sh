#!/usr/bin/env bash
# A rank is killed in the all-reduce: how long the others stand still, and whether the bits are those of the undisturbed run.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
if [ "$GPU_RANKS" = 1 ]; then left_out "no mpirun here: a single rank has nobody to survive it"; fi
steps=24 times=3
if [ "$GPU_EMULATED" ]; then steps=3 times=1; fi
make_config "$steps"
export limit=60
said=''
for collective in mpi nccl; do
    victim=1
    if [ "$collective" = mpi ]; then victim=0; fi # a small state is one chunk, and that is rank 0's to add up
    train 3 run.name="$collective" device.collective="$collective"
    cat log
    if ! complete "$collective"; then
        if [ "$collective" = nccl ]; then
            said+="; nccl: left out: $(last_error | cut -c 1-120)"
            break
        fi
        wrong "$collective, undisturbed: exit code $code: $(last_error)"
    fi
    rm -f seconds longest usual
    for ((i = 1; i <= times; i++)); do
        name=$collective-$i
        MUSTER_FAULT=rank:$victim,at:reduce,step:$((steps / 2)),do:kill train 3 run.name="$name" device.collective="$collective"
        cat log
        grep -aq "rank $victim died" log || wrong "$collective: the rank that was to be killed was not: exit code $code: $(last_error)"
        complete "$name" || wrong "$collective, killed: exit code $code: $(last_error)"
        [ "$(field "$name" state_hash)" = "$(field "$collective" state_hash)" ] || wrong "$collective, killed: other bits"
        sed -n 's/.*ranks\{0,1\} go\(es\)\{0,1\} on after \([0-9.]*\) s.*/\2/p' log | head -n 1 >>seconds
        column "$name" step_ms | sort -g | tail -n 1 >>longest
        column "$name" step_ms | median >>usual
    done
    [ -s seconds ] || wrong "$collective: no line says after how long the others went on"
    said+="; $collective: go on after $(median <seconds) s (median of $times), longest step $(median <longest) ms, usual $(median <usual) ms"
done
found "the same bits${said}"
