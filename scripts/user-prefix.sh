# shellcheck shell=bash
# Sourced by setup: what Muster needs, without root. What the machine, loaded modules or an active conda environment have is
# taken from there; the rest is fetched as Debian packages and unpacked (never installed) below a folder of the user's, PREFIX:
#
#   PREFIX/usr     what the packages hold
#   PREFIX/tools   the programs among it that are needed: goes onto PATH
#   PREFIX/.apt    apt's lists, and what was fetched
#
# The checkout remembers the folder in .prefix, which scripts/cmake/MusterPrefix.cmake and scripts/common.sh read. Programs find
# their libraries by an RPATH, so that nothing depends on LD_LIBRARY_PATH.

TRIPLET=$(uname -m)-linux-gnu
LEAST_CMAKE=$(sed -n 's/^cmake_minimum_required(VERSION \([0-9.]*\))/\1/p' "$ROOT/CMakeLists.txt")

# Programs: name, package that has it, conda-forge's name.
PREFIX_TOOLS='
cc          gcc                  gcc
cmake       cmake                cmake
ninja       ninja-build          ninja
pkg-config  pkg-config           pkg-config
protoc-c    protobuf-c-compiler  protobuf-c
gnuplot     gnuplot-nox          gnuplot'

# What a package is wanted for, when it is wanted: these of its programs go to PREFIX/tools.
PREFIX_PROGRAMS='cc gcc g++ c++ as ld ar nm ranlib strip objcopy objdump readelf cmake ctest cpack ninja make pkg-config
    protoc-c gnuplot h5dump clang-format shellcheck'

# prefix_choose [FOLDER]: the folder that was asked for, that of last time, or .deps in the checkout; made, or refused.
prefix_choose() {
    PREFIX=${1:-$(prefix_remembered)}
    PREFIX=${PREFIX:-$ROOT/.deps}
    PREFIX=$(realpath -m -- "$PREFIX")
    case $PREFIX in *:* | *\"* | *\;* | *\$*) die "'$PREFIX' cannot be a prefix: no : ; \" or \$ in its path" ;; esac
    if [ -e "$PREFIX" ] && [ ! -d "$PREFIX" ]; then die "'$PREFIX' is not a folder: name another one, scripts/setup --user FOLDER"; fi
    { mkdir -p "$PREFIX" && [ -w "$PREFIX" ]; } 2>/dev/null ||
        die "cannot write to '$PREFIX': name a folder of yours, scripts/setup --user FOLDER"
}

# Where headers and libraries may lie, one folder a line: as MusterPrefix.cmake has CMake look.
include_folders() {
    local root
    tr ':' '\n' <<<"${CPATH:-}:${C_INCLUDE_PATH:-}"
    while IFS= read -r root; do printf '%s\n' "$root/include" "$root/include/$TRIPLET"; done < <(prefix_roots)
}
library_folders() {
    local root
    tr ':' '\n' <<<"${LIBRARY_PATH:-}"
    while IFS= read -r root; do printf '%s\n' "$root/lib" "$root/lib64" "$root/lib/$TRIPLET"; done < <(prefix_roots)
}
prefix_roots() {
    tr ':;' '\n\n' <<<"${CMAKE_PREFIX_PATH:-}" | sed '/^$/d'
    if [ -n "${CONDA_PREFIX:-}" ]; then say "$CONDA_PREFIX"; fi
    printf '%s\n' "$PREFIX/usr" /usr/local /usr
}

# found_below FOLDERS_COMMAND NAME...: the first of the files that is there.
found_below() {
    local folder name command=$1
    shift
    while IFS= read -r folder; do
        [ -n "$folder" ] || continue
        for name in "$@"; do
            if [ -e "$folder/$name" ]; then
                say "$folder/$name"
                return 0
            fi
        done
    done < <($command)
    return 1
}

# library_found PKG-CONFIG-NAME HEADER LIBRARY: says where. An HDF5 of a module is often a parallel one, tied to its own MPI.
library_found() {
    local header library
    if [ "$1" != - ] && command -v pkg-config >/dev/null && pkg-config --exists "$1" 2>/dev/null; then
        pkg-config --variable=pcfiledir "$1"
        return 0
    fi
    header=$(found_below include_folders "$2" "hdf5/serial/$2") || return 1
    library=$(found_below library_folders "lib$3.so" "lib${3%_serial}.so") || return 1
    if [ "$2" = hdf5.h ] && grep -qs '^#define H5_HAVE_PARALLEL 1' "${header%/*}/H5pubconf.h"; then return 1; fi
    say "${library%/*}"
}

# Sets `wanted`, the packages that have what is missing, and `absent`, a line for each, in the words of those without apt.
prefix_look() {
    local tool package conda pc header library where target
    wanted=() absent=()
    while read -r tool package conda; do
        [ -n "$tool" ] || continue
        if tool_found "$tool"; then continue; fi
        wanted+=("$package")
        if [ "$tool" = cc ]; then wanted+=(libc6-dev); fi
        absent+=("$(printf '%-34s (conda-forge: %s; Debian: %s)' "$tool" "$conda" "$package")")
    done <<<"$PREFIX_TOOLS"
    # The same list as CMake's.
    while read -r target pc header library package; do
        if where=$(library_found "$pc" "$header" "$library"); then
            case $where in /usr/lib* | /usr/share* | /lib* | "$PREFIX"*) ;; *) note "$target: taken from $where" ;; esac
            continue
        fi
        wanted+=("$package")
        absent+=("$(printf '%-34s (Debian: %s)' "$header, lib$library" "$package")")
    done < <(sed -n 's/^ *mu_find(\([a-z].*\))$/\1/p' "$ROOT/scripts/cmake/MusterDependencies.cmake" | sed 's/""/-/')
}
tool_found() {
    local version
    if [ "$1" = ninja ] && command -v make >/dev/null; then return 0; fi
    command -v "$1" >/dev/null || return 1
    case $1 in
    cc) printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null ;;
    cmake)
        version=$(cmake --version | sed -n 's/^cmake version \([0-9.]*\).*/\1/p')
        printf '%s\n' "$LEAST_CMAKE" "$version" | sort -V -C
        ;;
    esac
}

# apt-get for an ordinary user: its own lists and cache, no locks, no user to change to.
apt_user() {
    apt-get -o Dir::State::Lists="$PREFIX/.apt/lists" -o Dir::Cache="$PREFIX/.apt/cache" -o Debug::NoLocking=true \
        -o APT::Sandbox::User=root -o Acquire::Languages=none -o APT::Get::List-Cleanup=false "$@" </dev/null
}

apt_user_update() {
    mkdir -p "$PREFIX/.apt/lists/partial" "$PREFIX/.apt/cache/archives/partial"
    apt_user -q update >"$PREFIX/.apt/log" 2>&1 ||
        note "apt-get update complained ($PREFIX/.apt/log); going on with what it got"
}

# prefix_fetch PACKAGE...: these and what they depend on, but for what the machine has: fetched, and unpacked into PREFIX.
prefix_fetch() {
    local log=$PREFIX/.apt/log deb
    mkdir -p "$PREFIX/.apt/debs"
    note "unpacking into $PREFIX: $*"
    apt_user_update
    apt_user -s install --no-install-recommends "$@" >"$log.plan" 2>&1 || {
        tail -n 15 "$log.plan" >&2
        die "apt-get finds no way to get $* (its words: $log and $log.plan): is there a network?"
    }
    # "Inst NAME [OLD] (...)" would be an upgrade: the machine has it, and a second C library would be a calamity.
    mapfile -t fetch < <({
        awk '$1 == "Inst" && $3 !~ /^\[/ { print $2 }' "$log.plan"
        printf '%s\n' "$@"
    } | sort -u)
    note "${#fetch[@]} packages with what they depend on"
    rm -f "$PREFIX"/.apt/debs/*.deb
    (cd "$PREFIX/.apt/debs" && retry apt_user -q download "${fetch[@]}" >>"$log" 2>&1) || {
        tail -n 15 "$log" >&2
        die "apt-get could not fetch the packages (its words: $log): is there a network?"
    }
    # As on the machine, /lib is /usr/lib. (dpkg-deb -x would put a folder in place of the link.)
    mkdir -p "$PREFIX"/usr/{bin,sbin,lib,lib64}
    for deb in bin sbin lib lib64; do [ -e "$PREFIX/$deb" ] || ln -s "usr/$deb" "$PREFIX/$deb"; done
    for deb in "$PREFIX"/.apt/debs/*.deb; do
        case ${deb##*/} in libc6_* | libc-bin_* | base-files_*) continue ;; esac
        dpkg-deb --fsys-tarfile "$deb" | tar -C "$PREFIX" -x --keep-directory-symlink --no-same-owner \
            --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' || die "cannot unpack $deb into $PREFIX: is the disk full?"
    done
    rm -rf "$PREFIX"/.apt/{debs,cache}
    prefix_mend
}

# What an installation would have done, or what holds only below /usr.
prefix_mend() {
    local link target file lib=$PREFIX/usr/lib/$TRIPLET
    # Links: absolute ones, and those of -dev packages to libraries that the machine has.
    while IFS= read -r link; do
        target=$(readlink "$link")
        case $target in
        /*) if [ -e "$PREFIX$target" ]; then ln -sfn "$PREFIX$target" "$link"; fi ;;
        *)
            target=$(realpath -m -- "$(dirname "$link")/$target")
            target=${target#"$PREFIX"}
            if [ -e "$target" ]; then
                ln -sfn "$target" "$link"
            elif [ -e "/usr$target" ]; then
                ln -sfn "/usr$target" "$link"
            fi
            ;;
        esac
    done < <(find "$PREFIX/usr" -xtype l; find "$PREFIX/usr" -type l -lname '/*')
    for file in "$lib"/pkgconfig/*.pc "$PREFIX"/usr/share/pkgconfig/*.pc; do
        [ -f "$file" ] && [ ! -L "$file" ] || continue
        sed -i -E "s#(^|[=[:space:]]|-[IL])/usr(/|\$)#\1$PREFIX/usr\2#g" "$file"
    done
    # GNU ld scripts name files by their paths: libc.so.
    for file in "$lib"/*.so; do
        if [ -f "$file" ] && [ ! -L "$file" ] && head -c 64 "$file" | grep -aq 'GNU ld script'; then
            sed -i -E "s#(^|[ (])/usr/lib/#\1$PREFIX/usr/lib/#g" "$file"
        fi
    done
    prefix_programs
    cat "$PREFIX"/usr/share/ca-certificates/mozilla/*.crt >"$PREFIX/ca-certificates.crt" 2>/dev/null || rm -f "$PREFIX/ca-certificates.crt"
}

# An RPATH into every program, and the needed ones into tools/. Debian's alternatives (gnuplot, cc) are made here.
prefix_programs() {
    local file name from patchelf=$PREFIX/usr/bin/patchelf bin=$PREFIX/usr/bin
    while IFS= read -r file; do
        if [ "$file" = "$patchelf" ] || [ "$(head -c 4 "$file" | tail -c 3)" != ELF ]; then continue; fi
        "$patchelf" --force-rpath --set-rpath "$PREFIX/usr/lib/$TRIPLET" "$file" 2>/dev/null || true # static ones have none
    done < <(find "$PREFIX"/usr/{bin,lib/gcc,libexec} -type f -perm -u+x ! -name '*.so*' 2>/dev/null)
    mkdir -p "$PREFIX/tools"
    for name in $PREFIX_PROGRAMS; do
        from=''
        for file in "$name" "$name-nox" "${name/#cc/gcc}" "${name/#c++/g++}"; do
            if [ -x "$bin/$file" ]; then
                from=$file
                break
            fi
        done
        [ -n "$from" ] || continue
        case $name in
        cc | gcc | c++ | g++) prefix_compiler "$bin/$from" >"$PREFIX/tools/$name" ;;
        gnuplot) prefix_gnuplot "$bin/$from" >"$PREFIX/tools/$name" ;;
        *) ln -sfn "../usr/bin/$from" "$PREFIX/tools/$name" && continue ;;
        esac
        chmod +x "$PREFIX/tools/$name"
    done
}
# It finds its own parts beside itself; the C library's it expects below /usr.
prefix_compiler() {
    local lib=$PREFIX/usr/lib/$TRIPLET include=$PREFIX/usr/include
    printf '#!/bin/sh\nexec "%s" -B "%s/" -B "%s/usr/bin/" -idirafter "%s" -idirafter "%s" -L "%s" -Wl,-rpath-link,"%s" "$@"\n' \
        "$1" "$lib" "$PREFIX" "$include/$TRIPLET" "$include" "$lib" "$lib"
}
prefix_gnuplot() {
    printf '#!/bin/sh\n[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_SYSROOT="%s"\nexec "%s" "$@"\n' "$PREFIX" "$1"
}

# For install_wheel, into its `python` and `pip`: the machine's Python, or one in PREFIX; its pip comes from the wheel that
# Debian keeps for new environments.
prefix_python() {
    local wheels=$PREFIX/usr/share/python-wheels needed=() file
    [ -x "$python" ] || python=$(command -v python3) || python=$PREFIX/usr/bin/python3
    "$python" -c 'import venv, ssl' 2>/dev/null || needed+=(python3)
    compgen -G "$wheels/pip-*.whl" >/dev/null || needed+=(python3-venv)
    [ -e "${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}" ] || [ -e "$PREFIX/ca-certificates.crt" ] || needed+=(ca-certificates)
    if [ "${#needed[@]}" != 0 ]; then prefix_fetch "${needed[@]}" patchelf; fi
    # pip by itself trusts what it was shipped with, not what this machine trusts.
    for file in /etc/ssl/certs/ca-certificates.crt "$PREFIX/ca-certificates.crt"; do
        if [ -e "$file" ]; then export PIP_CERT=${PIP_CERT:-$file}; fi
    done
    pip=(env "PYTHONPATH=$(compgen -G "$wheels/pip-*.whl" | tail -n 1)" "$OPENMPI_PREFIX/bin/python3" -m pip)
}

# prefix_setup [FOLDER]: all of it. Sets PREFIX.
prefix_setup() {
    local wanted absent still
    prefix_choose "${1:-}"
    prefix_paths "$PREFIX"
    prefix_look
    if [ "${#wanted[@]}" = 0 ]; then
        note "nothing is missing that would have to go into $PREFIX"
    else
        if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
            die "no apt-get here, and no root: what is missing has to come from modules or conda.
$(printf '    %s\n' "${absent[@]}")
  With modules: load those that have it; they are found through PATH, PKG_CONFIG_PATH, CMAKE_PREFIX_PATH, or CPATH and
  LIBRARY_PATH. With conda: conda install -c conda-forge NAME..., in the environment that is active.
  Then the same command again."
        fi
        prefix_fetch "${wanted[@]}" patchelf
        prefix_paths "$PREFIX"
        still=("${wanted[@]}")
        prefix_look
        if [ "${#wanted[@]}" != 0 ]; then
            die "unpacked ${still[*]}, but these are still not found:
$(printf '    %s\n' "${absent[@]}")"
        fi
    fi
    say "$PREFIX" >"$ROOT/.prefix"
}
