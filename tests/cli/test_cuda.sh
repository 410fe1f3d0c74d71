#!/usr/bin/env bash
# device.kind = "cuda" where something is missing: a line that says what to do, exit code 78, and nothing is begun. And what
# --version says of CUDA.
. "$(dirname "$0")/common.sh"

cat >run.cfg <<'END'
run = { steps = 3; };
model = { kind = "synthetic"; };
device = { kind = "cuda"; };
END
train=("$MUSTER" train run.cfg)
nothing_begun() { [ ! -e runs ] || fail "a run was begun"; }

export MUSTER_CUDA_MODULE=/no/such.so
refuses 78 'device.kind = "cuda": MUSTER_CUDA_MODULE names /no/such.so, which cannot be read' "${train[@]}"
nothing_begun
expect 0 "$MUSTER" --version
has out '  CUDA      not available: MUSTER_CUDA_MODULE names /no/such.so, which cannot be read'

# Found by its place: a copy of the program alone in a folder has none. It has no ranks either.
unset MUSTER_CUDA_MODULE
mkdir -p alone/bin alone/lib/muster
cp "$MUSTER" alone/bin/muster
refuses 1 "$PWD/alone/bin/muster-rank is missing (nor is it in $PWD/alone/bin/../lib/muster): it is built and installed together with muster; build or install both again" \
    alone/bin/muster train run.cfg
nothing_begun
cp "$MUSTER-rank" alone/bin/muster-rank
expect 78 alone/bin/muster train run.cfg
grep -qF "muster-cuda.so is neither in $PWD/alone/bin nor in $PWD/alone/lib/muster: build Muster where" err ||
    fail "no word of where the module was looked for"
nothing_begun
echo "no library" >alone/lib/muster/muster-cuda.so
expect 78 alone/bin/muster train run.cfg
grep -qF "$PWD/alone/lib/muster/muster-cuda.so cannot be loaded: " err || fail "no word of what cannot be loaded"

# As installed: the ranks' program lies beside the module.
mv alone/bin/muster-rank alone/lib/muster/
expect 78 alone/bin/muster train run.cfg
grep -qF "$PWD/alone/lib/muster/muster-cuda.so cannot be loaded: " err || fail "installed: no word of what cannot be loaded"

# The switch is for GPUs.
refuses 78 'command line: device.tf32: "on" is for GPUs; expected "off", or device.kind = "cuda"' \
    "$MUSTER" train run.cfg device.kind=cpu device.tf32=on
refuses 78 'command line: device.tune: "on" is for GPUs; expected "off", or device.kind = "cuda"' \
    "$MUSTER" train run.cfg device.kind=cpu device.tune=on
refuses 78 'command line: device.tf32: "on" changes nothing with device.precision = "bf16"; expected "off", or "fp32" there' \
    "$MUSTER" train run.cfg device.precision=bf16 device.tf32=on

emulated=$MUSTER_BUILD/muster-cuda-emulated.so
if [ -f "$emulated" ]; then
    export MUSTER_CUDA_MODULE=$emulated
    MUSTER_EMULATE_DEVICES=1 expect 0 "$MUSTER" --version
    has out '  CUDA      emulated on the host; driver for CUDA 13.0, GPUs: 1'
    has out '            0: Muster emulated GPU, PCI 0000:01:00.0, 4.0 GiB, 4 multiprocessors, 9.0'
    MUSTER_EMULATE_DRIVER=12040 refuses 78 'device.kind = "cuda": the NVIDIA driver of this host is for CUDA 12.4, and this Muster needs 13.0: update the driver, or build Muster with an older CUDA' "${train[@]}"
    # shellcheck disable=SC2016 # the backquotes are the message's
    CUDA_VISIBLE_DEVICES='' refuses 78 'device.kind = "cuda": no GPU is visible: CUDA_VISIBLE_DEVICES is ""; set it to GPUs that `nvidia-smi` lists, or unset it' "${train[@]}"
    nothing_begun
else
    echo "skipped in part: no emulated module (no C++ compiler)"
fi

# The real one loads where it was built, and says what this host lacks, or has.
if [ -f "$MUSTER_BUILD/muster-cuda.so" ]; then
    MUSTER_CUDA_MODULE=$MUSTER_BUILD/muster-cuda.so expect 0 "$MUSTER" --version
    grep -qE '^  CUDA      CUDA [0-9.]+, .*sm_[0-9]+.*; (driver for CUDA|this host has no NVIDIA driver|the NVIDIA driver|no GPU is visible)' out ||
        fail "the module that was built does not load"
fi
finish
