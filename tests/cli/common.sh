# shellcheck shell=bash
# What the tests of commands share. Sourced first by each of them; gives a folder of its own, $folder, where the test stands, and
# the functions below. A test goes on after a failure, and ends with `finish`.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

# fail WHAT...: with what the last command said.
fail() {
    echo "FAIL: $*" >&2
    sed 's/^/    stdout: /' "$folder/out" >&2
    sed 's/^/    stderr: /' "$folder/err" >&2
    failures=$((failures + 1))
}
# expect EXIT_CODE COMMAND...: what it says is in the files out and err.
expect() {
    local code=$1 got
    shift
    "$@" >"$folder/out" 2>"$folder/err"
    got=$?
    [ $got = "$code" ] || fail "$*: exit code $got, expected $code"
}
# has STREAM LINE: a whole line of what the last command said.
has() { grep -qxF -- "$2" "$folder/$1" || fail "no line '$2' in std$1"; }
# Some words of it.
says() { grep -qF -- "$1" "$folder/out" || fail "standard output lacks '$1'"; }
complains() { grep -qF -- "$1" "$folder/err" || fail "standard error lacks '$1'"; }
# refuses EXIT_CODE TEXT COMMAND...: with an error line that is TEXT.
refuses() {
    local code=$1 text=$2
    shift 2
    expect "$code" "$@"
    has err "muster: error: $text"
}
finish() { exit $((failures > 0)); }
