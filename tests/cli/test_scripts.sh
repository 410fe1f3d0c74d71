#!/usr/bin/env bash
# What surrounds the program: build/env, an installed muster, and what CMake says when something is missing.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# exports FILE NAME: what NAME is after sourcing FILE with nothing set, in plain sh and with unset variables as errors.
# shellcheck disable=SC2016 # $1 and $2 belong to the inner shell
exports() { env -i PATH=/usr/bin:/bin sh -euc '. "$1"; eval "printf %s \"\${$2-}\""' sh "$1" "$2"; }
check_env() {
    local file=$1
    [ "$(exports "$file" OMPI_MCA_coll)" = '^han' ] || fail "$file: OMPI_MCA_coll"
    if [[ $("$(dirname "$MPIRUN")/ompi_info") == *"FT MPI support: yes"* ]]; then
        [ "$(exports "$file" OMPI_MCA_mpi_ft_enable)" = 1 ] || fail "$file: ULFM is off"
        [ "$(exports "$file" PRTE_MCA_state_base_recoverable)" = 1 ] || fail "$file: a death ends all"
        [ "$(exports "$file" PRTE_MCA_state_base_notify_errors)" = 1 ] || fail "$file: deaths are not told"
        [ "$(exports "$file" OMPI_MCA_mpi_add_procs_cutoff)" = 4097 ] || fail "$file: a repair may ask for a dead rank's address"
        [ "$(exports "$file" PRTE_MCA_rmaps_default_mapping_policy)" = slot:oversubscribe ] || fail "$file: oversubscribe"
    fi
    if [ "$(id -u)" = 0 ]; then
        [ "$(exports "$file" OMPI_ALLOW_RUN_AS_ROOT)" = 1 ] || fail "$file: root may not run"
        [ "$(exports "$file" OMPI_ALLOW_RUN_AS_ROOT_CONFIRM)" = 1 ] || fail "$file: root may not run"
    fi
}

# build/env: the settings, muster and the right mpirun first on PATH, and sourcing it twice adds nothing.
check_env "$MUSTER_BUILD/env"
# shellcheck disable=SC2016
found=$(env -i PATH=/usr/bin:/bin sh -euc '. "$1"; once=$PATH; . "$1"; [ "$PATH" = "$once" ]; command -v muster; command -v mpirun' \
    sh "$MUSTER_BUILD/env")
[ "$found" = "$MUSTER"$'\n'"$MPIRUN" ] || fail "build/env finds: $found"
# More ranks than cores start without a word about slots.
# shellcheck disable=SC2016
said=$(env -i PATH=/usr/bin:/bin HOME="$scratch" sh -euc '. "$1"; mpirun -n 9 sh -c "echo here"' sh "$MUSTER_BUILD/env")
[ "$(grep -c here <<<"$said")" = 9 ] || fail "nine ranks: $said"

# An installed one runs from anywhere, with nothing set.
cmake --install "$MUSTER_BUILD" --prefix "$scratch/a prefix" >"$scratch/log"
version=$(cd / && env -i "$scratch/a prefix/bin/muster" --version) || fail "the installed muster does not start"
[[ $version == *[0-9].[0-9]* ]] || fail "muster --version says: $version"
check_env "$scratch/a prefix/share/muster/env"
# shellcheck disable=SC2016
found=$(env -i PATH=/usr/bin:/bin sh -euc '. "$1"; command -v muster' sh "$scratch/a prefix/share/muster/env")
[ "$found" = "$scratch/a prefix/bin/muster" ] || fail "the installed env finds: $found"

# CMake names everything that is missing at once, each with its package.
if said=$(PKG_CONFIG_LIBDIR=/nonexistent cmake -S "$MUSTER_SOURCE" -B "$scratch/bare" -DMUSTER_MPI_PREFIX=/nonexistent \
    -DCMAKE_FIND_ROOT_PATH=/nonexistent -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY \
    -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY 2>&1); then
    fail "CMake found things where nothing is"
fi
for package in libxxhash-dev libconfig-dev libjansson-dev libhdf5-dev libdnnl-dev libprotobuf-c-dev libisal-dev libcmocka-dev libopenmpi-dev; do
    grep -q "$package" <<<"$said" || fail "CMake does not name $package: $said"
done

# An Open MPI without ULFM is taken when asked for, with a warning that says what it costs.
mkdir -p "$scratch/old/bin" "$scratch/old/lib"
touch "$scratch/old/lib/libmpi.so"
printf '#!/bin/sh\necho %s\n' "$scratch/old/lib" >"$scratch/old/bin/mpicc"
printf '#!/bin/sh\necho ompi:version:full:4.1.4\n' >"$scratch/old/bin/ompi_info"
cp "$scratch/old/bin/mpicc" "$scratch/old/bin/mpirun"
chmod +x "$scratch/old/bin/"*
cmake -S "$MUSTER_SOURCE" -B "$scratch/plain" -DMUSTER_MPI_PREFIX="$scratch/old" >"$scratch/log" 2>&1 ||
    fail "CMake refuses an Open MPI without ULFM: $(cat "$scratch/log")"
tr -s '\n ' ' ' <"$scratch/log" | grep -q 'Open MPI 4.1.4 in .* lacks ULFM. With it the death of one rank ends the whole run' ||
    fail "no warning about ULFM: $(cat "$scratch/log")"
[ -z "$(exports "$scratch/plain/env" OMPI_MCA_mpi_ft_enable)" ] || fail "ULFM asked of an MPI that lacks it"

# The configurations that come with it are valid.
seq 1 20000 >"$scratch/text"
"$MUSTER" tokenize "$scratch/text" --out "$scratch/t" >"$scratch/log"
for config in "$MUSTER_SOURCE"/configs/*.cfg; do
    look=(config --check)
    case $config in */sweep-*) look=(plan --quick) ;; esac
    "$MUSTER" "${look[@]}" "$config" "data.train=$scratch/t-train.bin" "data.valid=$scratch/t-valid.bin" >"$scratch/log" 2>&1 || fail "$config: $(cat "$scratch/log")"
done

# refuses TEXT SCRIPT WORD...: said at once, before anything is installed or built.
refuses() {
    local text=$1 script=$2
    shift 2
    if PATH=/usr/bin:/bin "$MUSTER_SOURCE/scripts/$script" "$@" >"$scratch/log" 2>&1; then fail "$script $* went through"; fi
    grep -qF -- "$text" "$scratch/log" || fail "$script $*: $(cat "$scratch/log")"
    [ "$(wc -l <"$scratch/log")" = 1 ] || fail "$script $* did more than to refuse: $(cat "$scratch/log")"
}
for script in build test setup quickstart fuzz; do
    for word in --help -h; do
        "$MUSTER_SOURCE/scripts/$script" "$word" >"$scratch/log" 2>&1 || fail "$script $word: $(cat "$scratch/log")"
        grep -q "scripts/$script" "$scratch/log" || fail "$script $word: $(cat "$scratch/log")"
        [ "$(wc -l <"$scratch/log")" -le 12 ] || fail "$script $word is long: $(cat "$scratch/log")"
    done
done
refuses "usage: scripts/setup" setup --nonsense
refuses "'--nonsense' is not an option" build --nonsense
refuses "-D needs a value" build -D
refuses "'--nonsense' is not an option" test --nonsense
refuses "unknown option '--nonsense'" quickstart --nonsense
refuses "cannot read the text file '/nonexistent.txt'" quickstart /nonexistent.txt
refuses "'$scratch' is a folder" quickstart "$scratch"
echo short >"$scratch/short.txt"
refuses "too little text: 6 bytes; at least 100000" quickstart "$scratch/short.txt"
