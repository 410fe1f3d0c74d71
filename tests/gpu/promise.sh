#!/usr/bin/env bash
# The promise on the GPU: the same final bits on 1, 2, 3 and 4 ranks that share it, by both collectives, after a SIGKILL in the
# middle, and from a checkpoint. With --quick: 1 and 2 ranks.
# shellcheck source=tests/gpu/common.sh
. "$GPU_SOURCE/tests/gpu/common.sh"
steps=24 counts='1 2 3 4' precision=bf16
if [ "$GPU_QUICK" ]; then counts='1 2'; fi
if [ "$GPU_EMULATED" ]; then steps=2; fi
middle=$((steps / 2)) # as faults count, from 0
if [ "$GPU_RANKS" = 1 ]; then counts=1; fi
make_config "$steps"
export limit=60
notes=()

# same RUN WHEN: complete, with the bits of the first run.
right=''
same() {
    complete "$1" || wrong "$2: exit code $code: $(last_error)"
    printf '%s: %s\n' "$2" "$(field "$1" state_hash)"
    right=${right:-$(field "$1" state_hash)}
    [ -n "$right" ] && [ "$(field "$1" state_hash)" = "$right" ] || wrong "$2: other bits than on one rank"
}

# Why a collective cannot be had here; a failure is one where it said it could.
refused() { grep -a -E 'error:.*(nccl|NCCL|Duplicate GPU|collective)' log | sed 's/^muster.*error: //' | head -n 1; }

done_with=()
for collective in mpi nccl; do
    on=()
    for n in $counts; do
        name=$collective-$n
        train "$n" run.name="$name" device.precision="$precision" device.collective="$collective"
        if ! complete "$name" && [ "$collective" = nccl ] && [ "$(refused)" ]; then
            notes+=("nccl on $n: left out: $(refused | cut -c 1-120)")
            break
        fi
        same "$name" "$collective, $n ranks"
        on+=("$n")
    done
    if [ "${#on[@]}" != 0 ]; then done_with+=("$collective on ${on[*]} ranks"); fi
done

if [ "$GPU_RANKS" != 1 ]; then
    MUSTER_FAULT=rank:1,at:backward,step:$middle,do:kill train 2 run.name=killed device.precision="$precision" device.collective=mpi
    grep -aq 'rank 1 died' log || wrong "the rank that was to be killed was not: exit code $code"
    same killed "a rank killed at step $((middle + 1))"
    done_with+=("after a SIGKILL")
else
    notes+=("a SIGKILL that others survive: left out: no mpirun")
fi

# All ranks end at the middle; what they left in memory is taken away, so that the checkpoint before is what is gone on from.
in_memory() { find /dev/shm -mindepth 1 -name 'muster-*' -user "$(id -u)" 2>/dev/null | sort; }
before=$(in_memory)
words=(run.name=resumed checkpoint.every=1 device.precision="$precision" device.collective=mpi)
MUSTER_FAULT=at:update,step:$middle,do:kill train 1 "${words[@]}"
complete resumed && wrong "the run that was to be killed was not"
comm -13 <(echo "$before") <(in_memory) | xargs -r rm -f
train "$((GPU_RANKS > 1 ? 2 : 1))" "${words[@]}"
if [ "$(wc -l <runs/resumed/metrics.jsonl)" != "$steps" ]; then wrong "resumed: not a line of metrics for each step"; fi
same resumed "resumed from a checkpoint"
done_with+=("from a checkpoint")
(IFS=';'; found "the same bits:$(printf ' %s,' "${done_with[@]}" | sed 's/,$//')${notes:+; ${notes[*]}}")
