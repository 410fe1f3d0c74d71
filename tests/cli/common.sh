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
# matches REGEX: a line of what the last command said, or a part of one.
matches() { grep -Eq -- "$1" "$folder/out" || fail "standard output has nothing like '$1'"; }
# reads FILE TEXT: it has that, wherever its lines are broken.
reads() { tr -s '\n ' ' ' <"$1" | grep -qF -- "$2" || fail "$1 does not say '$2'"; }
# value FILE EXPRESSION: of the JSON x in it.
value() { /usr/bin/python3 -c 'import json, sys; x = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"; }
# member FILE KEY...: of JSON, by names and indices.
member() {
    /usr/bin/python3 -c 'import json, sys
x = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    x = x[int(key)] if isinstance(x, list) else x[key]
print(x)' "$@"
}
# wait_for WHAT COMMAND...: until it succeeds.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "no $what within a minute"
}
# refuses EXIT_CODE TEXT COMMAND...: with an error line that is TEXT.
refuses() {
    local code=$1 text=$2
    shift 2
    expect "$code" "$@"
    has err "muster: error: $text"
}
finish() { exit $((failures > 0)); }
