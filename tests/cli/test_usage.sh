#!/usr/bin/env bash
# muster and its verbs, mistyped and asked for help: what is said, on which stream, and the exit code.
. "$(dirname "$0")/common.sh"
# answers EXIT_CODE STREAM TEXT COMMAND...: TEXT is a whole line of the stream; the other stream is empty
answers() {
    local code=$1 stream=$2 text=$3 other=out
    shift 3
    [ "$stream" = out ] && other=err
    expect "$code" "$@"
    has "$stream" "$text"
    [ -s "$other" ] && fail "$*: std$other is not empty"
}

answers 64 err "muster: error: a verb is missing; 'muster --help' lists those that exist" "$MUSTER"
answers 64 err "muster: error: there is no verb 'trian'; did you mean 'train'?" "$MUSTER" trian
answers 64 err "muster: error: there is no verb 'confg'; did you mean 'config'?" "$MUSTER" confg --check x
answers 64 err "muster: error: there is no verb 'frobnicate'; 'muster --help' lists those that exist" \
    "$MUSTER" frobnicate
answers 64 err "muster: error: there is no option '--verison'; did you mean '--version'?" "$MUSTER" --verison
answers 64 err "muster: error: there is no option '--frobnicate' without a verb; see 'muster --help'" \
    "$MUSTER" --frobnicate
answers 0 out "usage: muster VERB ..." "$MUSTER" help
answers 0 out "usage: muster inspect [options] PATH" "$MUSTER" help inspect
answers 64 err "muster: error: there is no verb or topic 'inspct'; did you mean 'inspect'?" "$MUSTER" help inspct
"$MUSTER" --version >long
"$MUSTER" version >short
cmp long short || fail "version is not --version"
MUSTER_LOG=loud MUSTER_PROGRESS=bars "$MUSTER" help >out 2>err || fail "help with odd variables"
[ "$(cat err)" = "muster: warning: MUSTER_LOG=loud is not known and has no effect; expected error, warning, info or debug
muster: warning: MUSTER_PROGRESS=bars is not known and has no effect; expected bar or lines" ] || fail "odd variables"

# What a script makes of a variable that is not set.
for verb in verify inspect status plot generate plan; do
    answers 64 err "muster: error: an empty word stands for nothing; see 'muster $verb --help'" "$MUSTER" $verb ""
done

# Every verb of --help answers --help, on one screen; so does muster itself.
answers 0 out "usage: muster VERB ..." "$MUSTER" --help
cp out help
[ "$(wc -l <help)" -le 41 ] || fail "--help has more than 41 lines"
answers 0 out "usage: muster VERB ..." "$MUSTER" -h
verbs=$(awk '/^  [a-z]/ && $1 != "mpirun" && NR > 3 {print $1}' help)
[ "$(echo $verbs)" = "train launch submit status plot stop checkpoint resize inspect diff verify generate tokenize plan sweep fit profile drill doctor config" ] || fail "verbs: $verbs"
for verb in $verbs; do
    "$MUSTER" "$verb" --help >out 2>err
    [ $? = 0 ] || fail "$verb --help: exit code"
    grep -q "^usage: muster $verb" out || fail "$verb --help: no usage"
    [ -s err ] && fail "$verb --help: stderr is not empty"
    awk 'length > 80 {exit 1}' out || fail "$verb --help: wider than 80 columns"
    answers 64 err "muster: error: unknown option --hlep; did you mean --help?; see 'muster $verb --help'" \
        "$MUSTER" "$verb" --hlep
done
# The exit codes are told.
for code in 0 1 64 70 75 78; do
    grep -q "^  *$code  " help || fail "--help does not tell exit code $code"
done

[ "$(sed -n '/^Exit codes/,$s/^ *\([0-9]\+\)  .*/\1/p' help | xargs)" = "0 1 2 2 64 70 75 78" ] || fail "exit codes out of order"

# Every component has a version.
answers 0 out "muster $(sed -n 's/^project(muster VERSION \([0-9.]*\).*/\1/p' "$MUSTER_SOURCE/CMakeLists.txt")" \
    "$MUSTER" --version
for component in "Open MPI" HDF5 oneDNN libconfig libcsv protobuf-c ISA-L xxHash jansson; do
    grep -qE "$component v?[0-9]+\.[0-9]+" out || fail "--version does not tell $component's"
done
grep -q "this CPU  *generic" out || fail "--version does not tell what the CPU can do"

# An answer that cannot be written is a failure.
if [ -w /dev/full ]; then
    "$MUSTER" config >/dev/full 2>err
    [ $? = 1 ] || fail "config into a full disk succeeds"
fi

finish
