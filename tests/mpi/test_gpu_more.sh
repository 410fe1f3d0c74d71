#!/usr/bin/env bash
# What goes wrong with GPUs though nobody is killed: a collective that fails, a library that does not come back, too few GPUs, too
# little memory. Nobody hangs; one that cannot go on leaves, and the others go on.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/gpu.sh"

run 1 tiny.cfg run.name=whole
ended_with 0 "one GPU"

# A collective fails though nobody has died: another communicator. NCCL's numbers: 2 unhandled system error, 5 invalid usage.
failing 1 NCCL_ERROR=15:2 survives error 3 "" 0
said_once 'muster\[1\]: warning: no rank has died: all form a new communicator of NCCL \(1 of 2\)' "a failed collective"
# So does a bucket, in the backward pass of a GPT's second step.
gpt=(device.kind=cuda run.steps=3 batch.sequences=4 batch.shards=4 eval.every=0 checkpoint.every=0)
run 1 gpt.cfg run.name=gpt "${gpt[@]}"
ended_with 0 "a GPT"
limit=120 failing 1 NCCL_ERROR=11:2 run 3 gpt.cfg run.name=gpt-error "${gpt[@]}"
said_once 'muster\[1\]: warning: no rank has died: all form a new communicator of NCCL \(1 of 2\)' "a failed bucket"
same_as gpt-error gpt "a failed bucket"
# Asked for what cannot be: no use to try again. That rank leaves.
failing 1 NCCL_ERROR=15:5 survives usage 3 "" 1
if grep -aq 'form a new communicator' "$log"; then fail "a collective that cannot be was tried again"; fi
# A library that does not come back when a death has been told.
failing 2 NCCL_ABORT_HANGS=1 survives hangs 4 "rank:1,at:reduce,step:5,do:kill" 2
said 'NCCL did not give up a communicator within [0-9]+ ms' "an abort that hangs"

# One that takes its time, also in the end, when the others have left: no death is told that is none.
failing 1 NCCL_ABORT_MS=1500 survives slow 4 "rank:3,at:reduce,step:5,do:kill" 1

# A GPU whose bits flip, found by an audit: of ranks that share a state, whatever auto is without.
survives audited 3 "rank:1,at:corrupt,do:fail,step:6" 1 run.audit_every=1
said_once 'audit of step 7: rank 1 computes other bits' "a GPU that computes wrong"

# refuses CODE LINE WHEN ARGUMENTS...: before training, with one line and an end of all ranks.
refuses() {
    local expected=$1 line=$2 when=$3
    shift 3
    run 3 tiny.cfg run.name=refused "$@"
    ended_with "$expected" "$when"
    said_once 'muster.*error:' "$when"
    said "$line" "$when"
    nothing_left "$when"
}
MUSTER_EMULATE_DEVICES=1 refuses 78 'ranks 0 and 1 on .* were both shown one GPU, the same .*: start one rank for each GPU' "fewer GPUs than ranks"
CUDA_VISIBLE_DEVICES='' refuses 78 'no GPU is visible: CUDA_VISIBLE_DEVICES is ""' "no GPU"
MUSTER_EMULATE_DRIVER=0 refuses 78 'no NVIDIA driver' "no driver"
MUSTER_EMULATE_MEMORY=$((1 << 20)) refuses 1 'GPU 0 .*GPU memory.*out of memory' "no memory"
refuses 78 'run.master: .*"dedicated" would leave a GPU idle; expected "auto"' "a dedicated master with GPUs" run.master=dedicated
refuses 78 'device.collective: .*"nccl" is for GPUs; expected "mpi", or device.kind = "cuda"' "NCCL without GPUs" device.kind=cpu device.collective=nccl
refuses 78 'device.collective: .*expected "mpi" with batch.reduce = "fast"' "NCCL with fast sums" \
    device.collective=nccl batch.reduce=fast
refuses 78 'device.collective: .*expected "mpi" with run.audit_every' "NCCL with audits" \
    device.collective=nccl run.audit_every=1
run 2 tiny.cfg run.name=fast batch.reduce=fast
ended_with 0 "fast sums"
nothing_left "the end"
