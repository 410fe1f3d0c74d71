#!/usr/bin/env bash
# What `cmake --install` and `cpack` give runs by itself, from where it was put or moved, with nothing set; and nothing else is written.
# shellcheck source=tests/cli/common.sh
. "$(dirname "$0")/common.sh"

# bare COMMAND...: as someone logs in; ranks are not bound, since other tests run beside this one.
bare() {
    env -i PATH=/usr/bin:/bin HOME="$folder" TMPDIR="${TMPDIR:-/tmp}" PRTE_MCA_hwloc_default_binding_policy=none \
        OMPI_MCA_hwloc_base_binding_policy=none "$@"
}
# trains NAME PREFIX SHELL: two ranks of the Muster that the installed env puts on PATH; and `muster launch` without it.
trains() {
    # shellcheck disable=SC2016 # $1 and $2 belong to the inner shell
    expect 0 bare "$3" -c '. "$1/share/muster/env" && [ "$(command -v muster)" = "$1/bin/muster" ] &&
        mpirun -n 2 muster train "$1/share/muster/configs/synthetic.cfg" run.dir=runs run.steps=5 "run.name=$2"' "$3" "$2" "$1"
    expect 0 bare "$2/bin/muster" launch -n 2 train "$2/share/muster/configs/synthetic.cfg" run.dir=runs run.steps=5 \
        run.name="$1-launched"
    for run in "$1" "$1-launched"; do
        grep -o '"state_hash": "[0-9a-f]*"' "runs/$run/status.json" >>hashes || fail "$run left no hash"
    done
}
# only_ours FOLDER: everything lies in the four places that README says to remove.
only_ours() {
    local other
    other=$(cd "$1" && find . ! -type d | grep -vE '^\./(bin/muster$|lib/muster/|share/muster/|share/doc/muster/)')
    [ -z "$other" ] || fail "also there: $other"
}
# self_contained FILE...: no folder of the build tree or of this machine's users is looked into for libraries.
self_contained() {
    local path
    for file in "$@"; do
        path=$(readelf -d "$file" | sed -n 's/.*\(RUNPATH\|RPATH\)).*\[\(.*\)\]/\2/p')
        case $path in *"$MUSTER_BUILD"* | *"$MUSTER_SOURCE"/.openmpi*) fail "$file looks for libraries in $path" ;; esac
        [[ $(ldd "$file") != *"not found"* ]] || fail "$file lacks libraries: $(ldd "$file" | grep "not found")"
    done
}

# Into a prefix.
prefix="$folder/a prefix"
expect 0 cmake --install "$MUSTER_BUILD" --prefix "$prefix"
has out "-- To use it: . $prefix/share/muster/env"
only_ours "$prefix"
[ -d "$prefix/lib/muster/openmpi" ] && self_contained "$prefix/bin/muster" "$prefix/lib/muster/muster-rank"
for file in share/muster/wandb-sync share/muster/fit.schema.json share/doc/muster/README.md share/doc/muster/copyright share/doc/muster/LICENSE lib/muster/muster-rank; do
    [ -s "$prefix/$file" ] || fail "$file is not installed"
done
trains plain "$prefix" sh
# Moved, with an Open MPI of its own: bash finds where the file is that it sources.
if [ -d "$prefix/lib/muster/openmpi" ]; then
    mv "$prefix" "$folder/moved"
    prefix=$folder/moved
    trains moved "$prefix" bash
fi
# One rank without mpirun and without env.
expect 0 bare "$prefix/bin/muster" train "$prefix/share/muster/configs/synthetic.cfg" run.dir=runs run.steps=5 run.name=single
# Removed as README says.
rm -rf "$prefix"/bin/muster "$prefix"/lib/muster "$prefix"/share/muster "$prefix"/share/doc/muster
[ -z "$(find "$prefix" ! -type d)" ] || fail "left: $(find "$prefix" ! -type d)"

# A package: made, looked at, unpacked and run. Its env says /usr to sh; bash finds where it was unpacked.
if ! command -v dpkg-deb >/dev/null || ! command -v dpkg-shlibdeps >/dev/null || [ ! -f "$MUSTER_BUILD/CPackConfig.cmake" ]; then
    echo "skipped: the package (dpkg-deb, dpkg-shlibdeps or build/CPackConfig.cmake is missing)"
else
    expect 0 cpack --config "$MUSTER_BUILD/CPackConfig.cmake" -B "$folder/made"
    deb=$(compgen -G "$folder/made/muster_*.deb")
    [ -n "$deb" ] || fail "no package"
    for line in 'Section: science' 'Maintainer: Muster developers <muster@localhost>' 'Recommends: gnuplot-nox' 'Package: muster'; do
        expect 0 dpkg-deb -f "$deb"
        has out "$line"
    done
    for library in libc6 libhdf5 libdnnl libconfig libjansson libxxhash; do
        dpkg-deb -f "$deb" Depends | grep -q "$library" || fail "does not depend on $library: $(dpkg-deb -f "$deb" Depends)"
    done
    expect 0 dpkg-deb -x "$deb" "$folder/root"
    only_ours "$folder/root/usr"
    [ "$(find "$folder/root" -mindepth 1 -maxdepth 1)" = "$folder/root/usr" ] || fail "the package writes beside /usr"
    grep -qx 'muster_root="/usr"' "$folder/root/usr/share/muster/env" || fail "the env of the package is of another prefix"
    [ -z "$(find "$folder/root" -perm /022 ! -type l)" ] || fail "others may write: $(find "$folder/root" -perm /022 ! -type l)"
    if [ -d "$folder/root/usr/lib/muster/openmpi" ]; then
        self_contained "$folder/root/usr/bin/muster" "$folder/root/usr/lib/muster/muster-rank"
        trains package "$folder/root/usr" bash
    fi
fi
[ "$(sort -u hashes | wc -l)" = 1 ] || fail "not the same bits: $(cat hashes)"
finish
