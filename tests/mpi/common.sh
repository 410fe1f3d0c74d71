# shellcheck shell=bash
# What the tests of real mpiruns share. Sourced first by each of them; gives the functions below and a folder $scratch with a
# tiny text, tokens of it and a configuration.
#
# Where the kernel lets us, a test runs in namespaces of its own: processes, mounts, and a /dev/shm that nobody else sees. "Nothing is left over" is then exact, and a test that is killed takes all its ranks with it. Elsewhere it looks at
# what appeared since it began. own_network=1, set before: a network of its own too.
set -euo pipefail
export LC_ALL=C
# The caller's settings of a run are not the test's.
unset "${!MUSTER_RUN@}" MUSTER_FAULT MUSTER_HOSTS MUSTER_LOG MUSTER_PROGRESS

[ "$(id -u)" = 0 ] && user=() || user=(--map-root-user)
spaces=(unshare "${user[@]}" --mount --pid --fork --kill-child --mount-proc ${own_network:+--net})
if [ -z "${MUSTER_TEST_ALONE:-}" ]; then
    if "${spaces[@]}" mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
        export MUSTER_TEST_ALONE=1
        # shellcheck disable=SC2016 # for the inner shell
        exec "${spaces[@]}" bash -c 'mount -t tmpfs tmpfs /dev/shm && exec bash "$0" "$@"' "$0" "$@"
    fi
    export MUSTER_TEST_ALONE=0
    # Where all tests see one /dev/shm, one at a time: what another one has there is not left over.
    exec 8>"/tmp/muster-tests-$(id -u).lock"
    flock 8
fi

# Short: Open MPI puts sockets below TMPDIR, and their paths may have 107 characters.
scratch=$(mktemp -d /tmp/muster.XXXXXX)
scratch=$(cd "$scratch" && pwd -P)
export TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
log=$scratch/log
code=0
leave_scratch() { rm -rf "$scratch"; }
trap leave_scratch EXIT

fail() {
    echo "FAILED: $*" >&2
    if [ -s "$log" ]; then
        echo "---- the last output:" >&2
        tail -n 40 "$log" >&2
    fi
    exit 1
}

# is_muster PID: it lives, and runs Muster, as a command or as a rank.
is_muster() {
    case $(readlink "/proc/$1/exe" 2>/dev/null) in
    "$MUSTER" | "$MUSTER-rank") ;;
    *) return 1 ;;
    esac
}
# Ranks of ours that live, a pid a line. Another test's ranks are not ours: they write elsewhere.
ranks_alive() {
    local p
    for p in /proc/[0-9]*; do
        p=${p#/proc/}
        if is_muster "$p" && [ "$(readlink "/proc/$p/cwd")" = "$scratch" ]; then echo "$p"; fi
    done
}

in_shm() { find /dev/shm -mindepth 1 -user "$(id -u)" \( -name 'muster-*' -o -name 'sm_segment*' \) | sort; }
shm_before=$(in_shm)

# no_rank_left WHEN: they may take a moment to be gone.
no_rank_left() {
    for _ in $(seq 50); do
        [ -n "$(ranks_alive)" ] || return 0
        sleep 0.1
    done
    fail "$1: ranks live on: $(ranks_alive | xargs)"
}

# nothing_left WHEN: no rank, and nothing in /dev/shm.
nothing_left() {
    no_rank_left "$1"
    local new
    # What lay there before may go: every start removes what dead ranks have left.
    new=$(comm -13 <(echo "$shm_before") <(in_shm))
    [ -z "$new" ] || fail "$1: left in /dev/shm: $(xargs <<<"$new")"
}

# run N ARGUMENTS...: mpirun of N ranks of `muster train`, or $verb; its exit code is in $code, what it says in $log.
run() {
    local n=$1
    shift
    code=0
    timeout -k 5 "${limit:-60}" "$MPIRUN" "${mpirun_options[@]}" -n "$n" "$MUSTER" "${verb:-train}" "$@" >"$log" 2>&1 || code=$?
}
mpirun_options=()

# start N ARGUMENTS...: the same in the background; its pid is in $mpirun. finish waits for it as run does.
start() {
    local n=$1
    shift
    : >"$log"
    timeout -k 5 "${limit:-60}" "$MPIRUN" "${mpirun_options[@]}" -n "$n" "$MUSTER" "${verb:-train}" "$@" >"$log" 2>&1 &
    mpirun=$!
}
finish() {
    code=0
    wait "$mpirun" || code=$?
}

# rank_pid K: the pid of rank K.
rank_pid() {
    local p
    for p in $(ranks_alive); do
        if tr '\0' '\n' <"/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then echo "$p"; fi
    done
}
# mpirun_pid: of the mpirun that start started (below timeout).
mpirun_pid() { cat "/proc/$mpirun/task/$mpirun/children"; }

# ends RUN RANKS RANK ACTION POINT STEP LINE [ARGUMENTS...]: a death that cannot be lived with: the run ends within seconds, with
# one line of Muster's, which is LINE.
ends() {
    local name=$1 ranks=$2 what="rank $3, $4 at $5" fault="rank:$3,do:$4,at:$5,step:$6" line=$7 began=$SECONDS
    shift 7
    export MUSTER_FAULT=$fault
    limit=30 run "$ranks" tiny.cfg run.name="$name" "$@"
    unset MUSTER_FAULT
    [ "$code" != 0 ] && [ "$code" != 124 ] || fail "$what: exit code $code"
    [ $((SECONDS - began)) -le 15 ] || fail "$what: it took $((SECONDS - began)) s to end"
    said_once 'muster.*error:' "$what"
    said "$line" "$what"
    no_rank_left "$what"
}

# survives RUN RANKS FAULTS DEATHS [ARGUMENTS...]: ranks die, DEATHS of them; the others go on by themselves, to the end of the
# undisturbed run `whole`. Each death is told once. A rank that exits gives mpirun its exit code.
survives() {
    local name=$1 ranks=$2 faults=$3 deaths=$4 told
    shift 4
    export MUSTER_FAULT=$faults
    limit=120 run "$ranks" tiny.cfg run.name="$name" "$@" # twenty times what it takes: other programs may have the cores
    unset MUSTER_FAULT
    ended_with "$(case $faults in *do:exit*) echo 3 ;; *) echo 0 ;; esac)" "$faults"
    told=$({ grep -aoE 'rank [0-9]+ died' "$log" || true; } | sort | uniq -c | awk '$1 == 1' | wc -l)
    [ "$told" = "$deaths" ] || fail "$faults: $told deaths were told once each, not $deaths"
    same_as "$name" whole "$faults"
    nothing_left "$faults"
}

# reboot: nothing of a run is in memory any more, so that it goes on from a checkpoint.
reboot() { rm -f /dev/shm/muster-*; }

# lines RUN: steps in its metrics. beyond RUN N: more than N.
lines() { if [ -e "runs/$1/metrics.jsonl" ]; then wc -l <"runs/$1/metrics.jsonl"; else echo 0; fi; }
beyond() { [ "$(lines "$1")" -gt "$2" ]; }

# until_said TEXT, until_true COMMAND...: waits up to 20 s.
until_true() {
    for _ in $(seq 400); do
        if "$@"; then return; fi
        sleep 0.05
    done
    fail "this did not come true: $*"
}
until_said() { until_true grep -aq -- "$1" "$log"; }

ended_with() { [ "$code" = "$1" ] || fail "$2: exit code $code, not $1"; }
said() { grep -aqE -- "$1" "$log" || fail "$2: not said: $1"; }
said_once() { [ "$(grep -acE -- "$1" "$log")" = 1 ] || fail "$2: not said once: $1"; }

# field RUN NAME: a value of its status.json.
field() { sed -n 's/^  "'"$2"'": "\{0,1\}\([^",]*\)"\{0,1\},\{0,1\}$/\1/p' "runs/$1/status.json"; }
hash_of() { field "$1" state_hash; }
# losses RUN: step and loss of every line of metrics.
losses() { sed 's/^{"step": \([0-9]*\), "loss": \([^,]*\),.*/\1 \2/' "runs/$1/metrics.jsonl"; }
# same_as RUN REFERENCE WHEN: the same bits at the end, every step once, with the same losses.
same_as() {
    [ "$(field "$1" outcome)" = complete ] || fail "$3: outcome $(field "$1" outcome)"
    [ -n "$(hash_of "$1")" ] && [ "$(hash_of "$1")" = "$(hash_of "$2")" ] ||
        fail "$3: state hash $(hash_of "$1"), not $(hash_of "$2")"
    [ "$(losses "$1")" = "$(losses "$2")" ] ||
        fail "$3: steps or losses differ: $(diff <(losses "$1") <(losses "$2") | head -n 5)"
}

# A text of 40 kB by a formula: words over a small alphabet, and now and then a rare byte.
cd "$scratch"
awk 'BEGIN {
    s = 7
    for (i = 1; i <= 40000; i++) {
        s = (s * 1103 + 12345) % 65536
        c = i % 12 == 0 ? 32 : i % 97 == 0 ? 10 : i % 331 == 0 ? 33 + s % 90 : 97 + (s % 7) * (s % 3)
        printf "%c", c
    }
}' >text.txt
"$MUSTER" tokenize text.txt --out data >"$log" 2>&1 || fail "tokenize"
cat >tiny.cfg <<'CONFIG'
run = { dir = "runs"; steps = 12; hash_every = 1; };
model = { layers = 2; heads = 2; width = 16; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 16; shards = 8; };
optim = { schedule = { kind = "cosine"; }; };
eval = { every = 6; tokens = 512; };
checkpoint = { every = 4; keep = 9; };
CONFIG
