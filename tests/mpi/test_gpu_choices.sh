#!/usr/bin/env bash
# One choice of algorithms for a whole run: the lowest rank's, on every rank, kept with the run. On emulated GPUs, whose library
# has algorithms that add in different orders (kernels/emulate/blas_control.h).
. "$(dirname "$0")/common.sh"

export MUSTER_CUDA_MODULE=$MUSTER_BUILD/muster-cuda-emulated.so MUSTER_EMULATE_OPEN=1
if [ ! -e "$MUSTER_CUDA_MODULE" ]; then
    echo "skipped: no emulated GPUs, for want of a C++ compiler (scripts/setup --tests)"
    exit 77
fi
cat >gpu.cfg <<'CONFIG'
run = { dir = "runs"; steps = 4; hash_every = 1; };
model = { layers = 1; heads = 2; width = 16; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 4; shards = 4; };
optim = { schedule = { kind = "cosine"; }; };
eval = { every = 4; tokens = 64; };
checkpoint = { every = 2; keep = 9; };
device = { kind = "cuda"; };
CONFIG

# gpus N NAME ARGUMENTS...: a run that ends well.
gpus() {
    local n=$1 name=$2
    shift 2
    run "$n" gpu.cfg run.name="$name" "$@"
    ended_with 0 "$name"
}
# begin NAME ARGUMENTS...: one that is killed in its last step.
begin() {
    local name=$1
    shift
    MUSTER_FAULT=rank:0,do:kill,at:backward,step:3 run 1 gpu.cfg run.name="$name" "$@"
    [ "$code" != 124 ] && [ "$(lines "$name")" = 3 ] || fail "$name was not killed in its last step"
}
# choose ALGORITHM: the library's first choice, of ranks that are asked.
choose() { export MUSTER_EMULATE_BLAS_FIRST=$1; }
as_usual() { unset "${!MUSTER_EMULATE_BLAS@}" MUSTER_EMULATE_RANK; }
backward=3

# The lowest rank's library chooses for all. Rank 1's would choose other bits.
gpus 1 whole
choose $backward
gpus 1 other
[ "$(hash_of whole)" != "$(hash_of other)" ] || fail "algorithms do not differ: this test cannot fail"
MUSTER_EMULATE_RANK=1 gpus 2 led
same_as led whole "rank 1 obeys"
MUSTER_EMULATE_RANK=0 gpus 2 led-too
same_as led-too other "rank 1 obeys the other choice"

# Who lives goes on with what was chosen, whatever its own library thinks.
MUSTER_EMULATE_RANK=0 MUSTER_FAULT=rank:0,do:kill,at:backward,step:2 gpus 2 orphan
said_once 'rank 0 died' "the chooser dies"
same_as orphan other "the chooser dies"
as_usual

# The chooser dies while it chooses: the next one does.
choose $backward
MUSTER_EMULATE_RANK=1 MUSTER_FAULT=rank:0,do:kill,at:backward,step:0 gpus 2 heir
said_once 'rank 0 died.* before the ranks held a state' "the chooser dies at once"
same_as heir other "the chooser dies at once"
as_usual

# They are in the fingerprint.
choices() { "$MUSTER" inspect "runs/$1/checkpoints/step-00000004" | grep -o 'choices [0-9a-f]\{16\}' || fail "$1 has none"; }
[ "$(choices led)" = "$(choices whole)" ] && [ "$(choices led-too)" = "$(choices other)" ] || fail "choices differ by ranks"
[ "$(choices orphan)" = "$(choices other)" ] || fail "choices differ by deaths"
[ "$(choices whole)" != "$(choices other)" ] || fail "other choices have the same name"

# Whoever goes on with a run goes on with its choices: from a checkpoint, and from memory.
for collective in nccl mpi; do
    choose $backward
    begin "kept-$collective" device.collective=$collective
    as_usual
    [ $collective = mpi ] || reboot
    gpus 2 "kept-$collective" device.collective=$collective
    same_as "kept-$collective" other "choices are kept, $collective"
done

# Timed, the fastest is taken; and kept where another would be the fastest.
export MUSTER_EMULATE_BLAS_SLOW=1:2000,2:2000
begin tuned device.tune=on
export MUSTER_EMULATE_BLAS_SLOW=1:2000,3:2000
reboot
gpus 2 tuned device.tune=on
same_as tuned other "the fastest algorithm"
as_usual

# A rank of another library, at the start.
export MUSTER_EMULATE_BLAS_VERSION=130200
MUSTER_EMULATE_RANK=1 run 2 gpu.cfg run.name=foreign
[ "$code" != 0 ] && [ "$code" != 124 ] || fail "a foreign rank: exit code $code"
said_once 'muster.*error:' "a foreign rank"
said 'muster\[1\]: error: .*are of cuBLASLt 130100, and this is 130200' "a foreign rank"
no_rank_left "a foreign rank"

# Without a promise of bits it does without.
MUSTER_EMULATE_RANK=1 gpus 2 loose batch.reduce=fast device.collective=mpi
said_once 'are of cuBLASLt 130100, and this is 130200: this rank chooses for itself' "a foreign rank, fast"

# Another library when the run goes on: said, and chosen anew.
as_usual
begin moved
reboot
export MUSTER_EMULATE_BLAS_VERSION=130200
gpus 1 moved
said_once 'runs/moved/choices cannot be used: .* are of cuBLASLt 130100, and this is 130200\. They are chosen anew' "another library"
said_once 'the checkpoint of step 2 was computed by .*bits may differ from here on' "another library"
run 1 gpu.cfg run.name=moved
ended_with 0 "the new choices"
! grep -aq 'choices cannot be used' "$log" || fail "the new choices are not kept"
as_usual

# Damaged ones are none.
begin damaged
reboot
printf 'X' | dd of=runs/damaged/choices bs=1 seek=200 conv=notrunc status=none
gpus 1 damaged
said_once 'runs/damaged/choices cannot be used: the plans of matrix products are damaged' "damaged choices"
same_as damaged whole "damaged choices"
nothing_left "all runs"
