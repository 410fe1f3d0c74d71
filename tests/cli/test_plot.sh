#!/usr/bin/env bash
# muster plot: pictures in the terminal and in files, of runs, folders of runs and sweeps, whatever state they are in; mistakes.
. "$(dirname "$0")/common.sh"
unset COLUMNS LINES NO_COLOR
export LC_ALL=C TERM=xterm
plot() { # plot EXIT_CODE WORD...
    local code=$1
    shift
    expect "$code" "$MUSTER" plot "$@"
}
silent() { grep -q . err && fail "something on stderr"; }

# A run as it is left by training: 20 steps.
cat >syn.cfg <<'CFG'
run: { name = "one"; steps = 20; dir = "runs"; };
model: { kind = "synthetic"; };
synthetic: { step_ms = 1.0; params = 1000000; };
eval: { every = 10; };
CFG
expect 0 "$MUSTER" train syn.cfg
plot 0 runs/one
silent
has out "loss in nats per token; o: validation"
grep -Eq '^\* one  [0-9.]+, validation [0-9.]+$' out || fail "no legend"
grep -q '|.*\*' out || fail "no line"
[ "$(grep -o o out | wc -l)" -ge 2 ] || fail "no validation"
[ "$(wc -l <out)" = 23 ] || fail "it has not the height of a terminal of 24 rows"
[ "$(wc -L <out)" -le 79 ] || fail "it is wider than a terminal of 80 columns"
LC_ALL=C grep -q $'[\x80-\xff\e]' out && fail "more than ASCII where the locale has no more"
LC_ALL=C.UTF-8 plot 0 runs/one
says "│"
LC_ALL=C grep -q $'\xe2\xa0' out || fail "no braille where the locale is UTF-8"
LC_ALL=C.UTF-8 plot 0 runs/one --ascii
LC_ALL=C grep -q $'[\x80-\xff]' out && fail "--ascii is not obeyed"
COLUMNS=50 LINES=12 plot 0 runs/one
[ "$(wc -l <out) $(wc -L <out)" = "11 49" ] || fail "COLUMNS and LINES are not obeyed"
plot 0 runs/one --width 60 --height 10
[ "$(wc -l <out) $(wc -L <out)" = "10 60" ] || fail "--width and --height are not obeyed"
if command -v script >/dev/null; then # of util-linux: a terminal
    LC_ALL=C.UTF-8 script -qec "'$MUSTER' plot runs/one" /dev/null >out 2>err </dev/null
    grep -q $'\e\\[36m' out || fail "no colours on a terminal"
    NO_COLOR=1 LC_ALL=C.UTF-8 script -qec "'$MUSTER' plot runs/one" /dev/null >out 2>err </dev/null
    grep -q $'\e' out && fail "NO_COLOR is not obeyed"
fi

# All that can be drawn, over all that it can be drawn over. 20 steps of 32 sequences of 128 tokens; 6 N FLOPs each.
for y in loss train valid lr norm tok/s ms; do
    plot 0 runs/one --y $y
done
plot 0 runs/one --x tokens
grep -Eq '^ +0 +20000 +40000 +60000 +80000$' out || fail "81920 tokens"
plot 0 runs/one --x flops --height 12
grep -Eq ' 4e11$' out || fail "6 x 1e6 x 81920 FLOPs"
says " training FLOPs"
plot 0 runs/one --x time --log --log-x
says "time of the steps, in seconds, logarithmic"
plot 0 runs/one --from-step 15
grep -Eq '^ +15 .*20$' out || fail "it begins at step 15"

# What a run may look like: goes back to step 3, torn, damaged, without losses, with nothing.
record() { printf '{"step": %d, "loss": %s, "lr": 0.001, "step_ms": 1000, "tokens": %d%s}\n' "$1" "$2" $((100 * $1)) "${3:-}"; }
mkdir -p odd/back odd/nan odd/valid odd/empty odd/begun odd/bad odd/many
for s in 1 2 3 4 5 6; do record $s 9; done >odd/back/metrics.jsonl
{ for s in 4 5; do record $s 2.5; done; printf '{"step": 6, "loss": 1.'; } >>odd/back/metrics.jsonl
plot 0 odd/back --width 50 --height 9
silent
diff out - >&2 <<'PLOT' || fail "a run that went back"
loss in nats per token; o: validation
  |*************************
  |                         ****
5 +                             ****
  |                                 **************
  +------------+----------------------+-----------
               2                      4
                   optimizer steps
* back  2.5
PLOT
plot 0 odd/back --x time --height 9
says "time of the steps, in seconds"
grep -Eq '^ +1 +2 +3 +4 +5$' out || fail "five steps of a second each"
{ record 1 4; record 2 null; record 3 null; record 4 2 ', "valid_loss": 2.5'; } >odd/nan/metrics.jsonl
plot 0 odd/nan
has err "muster: odd/nan: 2 of 4 records have no value here (it was not finite, say)"
has out "* nan  2, validation 2.5"
{ record 1 null; record 2 null ', "valid_loss": 3.25'; record 4 null ', "valid_loss": 2.75'; } >odd/valid/metrics.jsonl
plot 0 odd/valid
silent
has out "* valid  validation 2.75"
{ record 1 4; echo 'what is this?'; record 2 3; } >odd/bad/metrics.jsonl
plot 0 odd/bad
has err "muster: warning: odd/bad/metrics.jsonl: 1 damaged line left out"
: >odd/empty/metrics.jsonl
echo '{}' >odd/begun/status.json
refuses 1 "there is nothing to draw: odd/empty has no values of 'loss': no step is recorded yet" "$MUSTER" plot odd/empty
refuses 1 "there is nothing to draw: odd/begun has no values of 'loss': no step is recorded yet" "$MUSTER" plot odd/begun
refuses 1 "there is nothing to draw: the runs have no values of 'loss': no step is recorded yet" "$MUSTER" plot odd/begun odd/empty
refuses 1 "there is nothing to draw: odd/back has no values of 'peak'" "$MUSTER" plot odd/back --y peak
refuses 1 "there is nothing to draw: odd/back has no values of 'loss' from the step given on" "$MUSTER" plot odd/back --from-step 7

# Several: by letters; each folder once; what has nothing is left out with a word; two of one name are told apart.
plot 0 odd/back odd/empty odd/nan odd/back/ odd/../odd/back
has err "muster: warning: odd/empty has nothing to draw: it has no records yet; it is left out"
has out "A back  2.5               B nan  2, validation 2.5"
plot 0 odd
grep -q 'left out$' err && grep -q 'empty' err && fail "a run without records in a folder is worth no line"
says "A back"
says "valid"
mkdir -p other/back
record 1 5 >other/back/metrics.jsonl
plot 0 odd/back other/back
says "A odd/back  2.5"
says "B other/back  5"
(cd odd/back && "$MUSTER" plot . >../../out) || fail "the folder where one stands"
says "* back  2.5"

# A sweep is its trials, in the order of numbers.
mkdir -p runs/sweep/trials/width{8,16,100}-s1
echo '{}' >runs/sweep/sweep.json
for n in 8 16 100; do for s in 1 2 3; do record $s $((9 - s)).$n; done >runs/sweep/trials/width$n-s1/metrics.jsonl; done
plot 0 runs/sweep
grep -q '^A width8-s1  6.8    B width16-s1  6.16  C width100-s1  6.1$' out || fail "the trials of a sweep"
mkdir runs/sweep/trials/params{1e+06,720000,1.44e+06}-s1
for n in 1e+06 720000 1.44e+06; do record 1 2 >runs/sweep/trials/params$n-s1/metrics.jsonl; done
plot 0 runs/sweep
[ "$(grep -o 'params[^ ]*' out | tr '\n' ' ')" = "params720000-s1 params1e+06-s1 params1.44e+06-s1 " ] || fail "the order of trials"
plot 0 runs
silent # the run beside the sweep, alone
says "* one"
for i in $(seq 50); do mkdir odd/many/r"$i" && record 1 "$i" >odd/many/r"$i"/metrics.jsonl; done
plot 0 odd/many
says "* r50"
[ "$(wc -l <out)" = 23 ] || fail "50 runs in 24 rows"
plot 0 odd/many --height 12
has out "and 17 more"

# Many records: a peak is seen, and it does not take long.
mkdir runs/long
awk 'BEGIN { for (s = 1; s <= 200000; s++) printf "{\"step\": %d, \"loss\": %s, \"grad_norm\": 0.123456789, \"lr\": 0.001, \"step_ms\": 45.7439, \"tokens_per_s\": 179084, \"peak_share\": null, \"tokens\": %d}\n", s, s == 77777 ? 90 : 2, s * 512 }' >runs/long/metrics.jsonl
plot 0 runs/long --smooth 1
grep -Eq '^80 \+ +\*$' out || fail "a peak of one step in 200,000"
plot 0 runs/long
grep -Eq '^80' out && fail "the running mean shows a single step"

# Files.
if command -v gnuplot >/dev/null; then
    plot 0 runs/one other/back --out two.svg --log
    silent
    grep -q '</svg>' two.svg || fail "no whole SVG"
    reads two.svg ">one<"
    reads two.svg "loss in nats per token, logarithmic"
    refuses 64 "two.svg is there already; --force replaces it; see 'muster plot --help'" "$MUSTER" plot runs/one --out two.svg
    plot 0 runs/one --out two.svg --force --width 700 --height 300
    grep -q 'width="700" height="300"' two.svg || fail "the size of an SVG"
    reads two.svg ">validation<"
    mkdir "it's %s \$x" && cp runs/one/metrics.jsonl "it's %s \$x"
    plot 0 "it's %s \$x" --out odd.PNG
    silent
    [ "$(head -c 4 odd.PNG | tail -c 3)" = PNG ] || fail "no PNG"
    plot 0 odd/many --out many.svg --y loss
    reads many.svg ">r50<"
    refuses 1 "there is nothing to draw: odd/empty has no values of 'loss': no step is recorded yet" "$MUSTER" plot odd/empty --out no.svg
    expect 1 "$MUSTER" plot runs/one --out none/a.svg
    grep -q '^muster: error: cannot create none/a.svg' err || fail "a folder that is not there"
fi
mkdir bin
printf '#!/bin/sh\necho half\necho "no such terminal" >&2\nexit 3\n' >bin/gnuplot
chmod +x bin/gnuplot
refuses 1 "no.png was not drawn: gnuplot ended with 3: no such terminal" env PATH="$PWD/bin:$PATH" "$MUSTER" plot runs/one --out no.png
refuses 1 "no.png needs gnuplot, which is not installed (Debian's package gnuplot-nox); without --out the picture is drawn in the terminal" \
    env PATH="$PWD/runs" "$MUSTER" plot runs/one --out no.png
[ -z "$(find . -name 'no.*')" ] || fail "a picture that failed left something"

# Mistakes.
hint="; see 'muster plot --help'"
refuses 64 "nothing was said to work on$hint" "$MUSTER" plot
refuses 1 "there is no runs/none; did you mean runs/one?" "$MUSTER" plot runs/one runs/none
refuses 1 "syn.cfg is a file; expected the folder of a run, of a sweep, or of runs (run.dir/NAME)" "$MUSTER" plot syn.cfg
refuses 1 "bin is not the folder of a run (it has no metrics.jsonl), nor of a sweep (no sweep.json), nor has it folders of runs in it; 'muster inspect' tells what it holds" \
    "$MUSTER" plot bin
refuses 1 "odd/back has no config.cfg, from which FLOPs follow; plot over --x step or tokens" "$MUSTER" plot odd/back --x flops
refuses 64 "--y los is not known; did you mean loss?$hint" "$MUSTER" plot runs/one --y los
refuses 64 "--y zzz is not known; expected one of loss, train, valid, bits, lr, norm, tok/s, ms, peak$hint" "$MUSTER" plot runs/one --y zzz
refuses 64 "--x hours is not known; expected one of step, tokens, flops, time$hint" "$MUSTER" plot runs/one --x hours
refuses 64 "--smooth 0: expected a number of records from 1 (as they are) on, or auto$hint" "$MUSTER" plot runs/one --smooth 0
refuses 64 "--out a.jpg: its end says what is drawn; expected a name that ends in .svg or .png$hint" "$MUSTER" plot runs/one --out a.jpg
refuses 64 "--force is of use with --out alone$hint" "$MUSTER" plot runs/one --force
plot 0 --help
says "--from-step"
finish
