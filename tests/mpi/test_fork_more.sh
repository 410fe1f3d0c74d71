#!/usr/bin/env bash
# Beginnings that go wrong, or meet others: nothing is lost, mixed up, or left in halves.
. "$(dirname "$0")/common.sh"

cat >wsd.cfg <<'CONFIG'
run = { dir = "runs"; steps = 20; hash_every = 1; };
model = { layers = 1; heads = 2; width = 16; context = 16; };
data = { train = "data-train.bin"; valid = "data-valid.bin"; };
batch = { sequences = 8; shards = 4; };
eval = { every = 10; tokens = 256; };
checkpoint = { every = 5; keep = 1; };
CONFIG
all_of() { (cd "$1" && find . -type f -not -name .lock -print0 | sort -z | xargs -0 sha256sum); }
in_background() { timeout 60 "$MPIRUN" -n 1 "$MUSTER" train wsd.cfg "$@" >"$scratch/other" 2>&1 & }

run 2 wsd.cfg run.name=long run.steps=40
ended_with 0 "a run"

# ---- a parent that is damaged: the error is told, and no folder stays
cp -r runs/long runs/damaged
part=runs/damaged/checkpoints/step-00000040/part-00000.h5
printf '%032d' 0 | dd of=$part bs=1 seek=$(($(stat -c %s $part) / 2)) conv=notrunc 2>/dev/null
for _ in 1 2; do
    run 2 wsd.cfg run.name=new run.steps=60 --from runs/damaged
    ended_with 1 "a damaged parent"
    said_once 'error: .*/runs/damaged/checkpoints/step-00000040 is damaged, and this run has nothing else' "a damaged parent"
    [ ! -e runs/new ] || fail "a damaged parent: left $(echo runs/new/* runs/new/.[a-z]*)"
done
# What somebody has put into the folder is not removed with it.
mkdir -p runs/new && echo mine >runs/new/notes
run 2 wsd.cfg run.name=new run.steps=60 --from runs/damaged
[ "$(cat runs/new/notes)" = mine ] || fail "a user's file went"
rm -r runs/new

# ---- names: what parent.json can hold, and what it cannot
mkdir "we ird"
cp -r runs/long "we ird/a'b \"q\" é"
ln -s "$PWD/we ird" link
run 2 wsd.cfg "run.name=na me" run.steps=45 --from "link/../we ird/a'b \"q\" é/"
ended_with 0 "a strange name"
rm -r "we ird"
run 1 wsd.cfg "run.name=na me" run.steps=45 --from "link/../we ird/a'b \"q\" é/"
ended_with 0 "the same words when the parent is gone"
said 'was complete already' "the same words when the parent is gone"
cp -r runs/long $'no\xffname'
run 2 wsd.cfg run.name=new run.steps=45 --from $'no\xffname'
ended_with 78 "no UTF-8"
[ ! -e runs/new ] || fail "no UTF-8: a folder was made"

# ---- --fresh of the run that --from names
all_of runs/long >before
run 2 wsd.cfg run.name=long run.steps=60 --from runs/long@32 --fresh
ended_with 78 "fresh, from itself"
said_once 'error: --fresh would put aside .*/runs/long, and with it .*/step-00000032, which --from names' "fresh, from itself"
code=0
"$MUSTER" launch -n 1 train wsd.cfg run.name=long run.steps=60 --from runs/long@32 --fresh >"$log" 2>&1 || code=$?
ended_with 78 "launch: fresh, from itself"
all_of runs/long >after
if ! cmp -s before after || [ -e runs/long.1 ]; then fail "fresh, from itself: the run was put aside"; fi
# A job that Slurm has started again goes on, and is held to what stands there.
SLURM_RESTART_COUNT=1 run 2 wsd.cfg run.name=long run.steps=40 optim.lr=5e-4 --fresh
ended_with 78 "a restart by Slurm with other values"

# ---- two at once on one name: one begins, the other one is refused for what it finds then
for name in one two three; do
    in_background "run.name=$name" run.steps=40 --from runs/long@32
    run 1 wsd.cfg run.name=$name run.steps=44 optim.lr=5e-4 --from runs/long
    wait
    ended=$(field "$name" steps)
    case $(grep -c '"step": 32' "runs/$name/parent.json" || true),$ended in
    1,40 | 0,44) ;;
    *) fail "$name: of one fork and the other: $ended steps, $(cat "runs/$name/parent.json")" ;;
    esac
    [ "$(field "$name" outcome)" = complete ] || fail "$name: neither of two came through"
    [ "$(cat "$scratch/other" "$log" | grep -ac 'a new run in')" = 1 ] || fail "$name: not one of two began"
done
cp -r runs/long runs/twice && rm runs/twice/.id
in_background run.name=twice run.steps=21 --fresh
run 1 wsd.cfg run.name=twice run.steps=22 --fresh
wait
case $(field twice steps) in 21 | 22) ;; *) fail "fresh twice: $(field twice steps) steps" ;; esac
[ "$(field twice.1 steps)" = 40 ] || fail "fresh twice: what was put aside is not the first run"

# ---- killed before its first step: the next start loads again, and records nothing that is not a step
MUSTER_FAULT=at:forward,do:kill,count:1 run 2 wsd.cfg run.name=killed run.steps=44 --from runs/long
run 2 wsd.cfg run.name=killed run.steps=44 --from runs/long
ended_with 0 "killed before its first step"
[ "$(losses killed | cut -d' ' -f1 | xargs)" = "41 42 43 44" ] || fail "killed before its first step: steps $(losses killed | xargs)"
# What writers that were killed have left.
: >runs/killed/config.cfg.tmp.1
mkdir -p runs/killed/.ended.tmp/tb
run 2 wsd.cfg run.name=killed run.steps=44
[ -z "$(find runs/killed -name '*.tmp*')" ] || fail "halves stay: $(find runs/killed -name '*.tmp*')"

# ---- a full disk while an end is put aside: nothing of it stays, and the run is as it was
if mkdir small && mount -t tmpfs -o size=1m tmpfs small 2>/dev/null; then
    run 1 wsd.cfg run.name=short
    cp -r runs/short small/run
    (cd small/run/checkpoints && find . -type f -print0 | sort -z | xargs -0 sha256sum) >before
    head -c 2000000 /dev/zero >small/fill 2>/dev/null || true
    run 1 wsd.cfg run.dir=small run.name=run run.steps=40
    ended_with 1 "a full disk"
    said 'error: .*No space left on device' "a full disk"
    (cd small/run/checkpoints && find . -type f -print0 | sort -z | xargs -0 sha256sum) >after
    cmp -s before after || fail "a full disk: checkpoints changed"
    [ -z "$(find small/run -name '*ended*')" ] || fail "a full disk: half an end stays"
    rm small/fill
    run 1 wsd.cfg run.dir=small run.name=run run.steps=40
    ended_with 0 "room again"
    hash=$(sed -n 's/.*"state_hash": *"\([0-9a-f]*\)".*/\1/p' small/run/status.json)
    umount small
    [ "$hash" = "$(hash_of long)" ] || fail "room again: other bits"
fi
nothing_left "all of it"
