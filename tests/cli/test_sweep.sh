#!/usr/bin/env bash
# muster sweep and muster status without mpirun: asked for help, mistyped, and with every kind of wrong file: what is said, the exit
# code, and that nothing is left behind. Alone, `muster sweep` is a job of one rank.
. "$(dirname "$0")/common.sh"

expect 0 "$MUSTER" sweep --help
grep -q '^usage: .*muster sweep' out || fail "no usage"
[ -s err ] && fail "--help says something on stderr"
awk 'length > 80 {exit 1}' out || fail "--help is wider than 80 columns"
expect 0 "$MUSTER" help sweep
expect 0 "$MUSTER" status --help
grep -q -- '--watch' out || fail "status --help does not tell --watch"

refuses 64 "nothing was said to work on; see 'muster sweep --help'" "$MUSTER" sweep
refuses 64 "SWEEP is missing: the first word is run.steps=3; see 'muster sweep --help'" "$MUSTER" sweep run.steps=3
refuses 64 "unknown option --hlep; did you mean --help?; see 'muster sweep --help'" "$MUSTER" sweep --hlep
refuses 64 "there is no verb 'swep'; did you mean 'sweep'?" "$MUSTER" swep
refuses 78 "command line: 'two.cfg' is not KEY=VALUE" "$MUSTER" sweep one.cfg two.cfg
refuses 78 "nowhere.cfg: no such file" "$MUSTER" sweep nowhere.cfg
[ "$(wc -l <err)" = 1 ] || fail "more than that a file is not there: $(cat err)"

# Mistakes of the file, as `muster plan` tells them.
base='run = { dir = "runs"; steps = 100; };
model = { kind = "synthetic"; context = 32; };
batch = { sequences = 8; shards = 4; };'
sizes='sizes = { key = "synthetic.params"; values = [2e3, 4e3, 8e3, 1.6e4]; }; window = { points = 4; each_side = 1; extend = 0; };'
sweep() {
    printf '%s\n' "$base" "sweep = { name = \"cli\"; fit = { bootstrap = 50; }; $1 };" >sweep.cfg
}
sweep "$sizes budgets = [3e8]; windows = 3;"
refuses 78 "sweep.cfg:4: sweep.windows: unknown key; did you mean 'sweep.window'?" "$MUSTER" sweep sweep.cfg
sweep "$sizes budgets = [3e8]; retries = many;"
expect 78 "$MUSTER" sweep sweep.cfg
grep -q "sweep.retries: many cannot be; expected an integer from 0 to 100" err || fail "retries = many is not refused"
sweep "$sizes budgets = [3e8, 6e8]; share_trunk = true; laws = ( { key = \"optim.lr\"; value = \"D^-0.2\"; } );"
expect 78 "$MUSTER" sweep sweep.cfg
grep -q "the law of optim.lr follows the length of a run, so that runs of one size share no trunk" err ||
    fail "a law of D is not refused with shared trunks"
sweep "$sizes budgets = [3e8];"
refuses 78 "command line: sweep.budgets: lists of a sweep are given in its file; expected a single value" \
    "$MUSTER" sweep sweep.cfg "sweep.budgets=[1e11]"
refuses 78 "command line: sweep.retires: unknown key; did you mean 'sweep.retries'?" "$MUSTER" sweep sweep.cfg sweep.retires=2
expect 78 "$MUSTER" sweep sweep.cfg batch.shards=0
printf '%s\n' "$base" >run.cfg
expect 78 "$MUSTER" sweep run.cfg
grep -q "^muster: error: run.cfg: sweep: missing; expected sweep = { ... }" err || fail "a run's file: $(cat err)"
expect 78 "$MUSTER" train sweep.cfg
grep -q "this file describes a sweep, not a run" err || fail "train of a sweep's file: $(cat err)"
[ ! -e runs ] || fail "refusals made a folder: $(find runs)"

# Of one rank, without mpirun.
expect 0 "$MUSTER" sweep sweep.cfg
[ "$(tail -n +2 runs/cli/results.csv | wc -l)" = 4 ] || fail "not four results: $(cat runs/cli/results.csv)"
expect 0 "$MUSTER" status runs/cli
grep -q 'params2000-c3e+08-s1' out || fail "status does not show the trials"
refuses_path() {
    local code=$1
    shift
    expect "$code" "$MUSTER" status "$@"
    grep -q "^muster: error: .*$1" err || fail "status $*: $(cat err)"
}
refuses_path 64 --frob
refuses_path 1 nowhere
expect 64 "$MUSTER" status

# Where it may not write.
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 500 locked
    expect 1 "$MUSTER" sweep sweep.cfg run.dir=locked
fi
touch file
expect 1 "$MUSTER" sweep sweep.cfg run.dir=file
finish
