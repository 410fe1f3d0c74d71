#!/usr/bin/env bash
# muster fit from a file to its report: sweeps, loss curves, outliers, refusals; the table on the terminal, fit.json, report.html.
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
schema=$MUSTER_SOURCE/orchestrator/report/fit.schema.json
if ! /usr/bin/python3 -c 'import jsonschema' 2>/dev/null; then
    echo "not validated by the schema: /usr/bin/python3 has no jsonschema"
    schema=
fi
fit() { "$MUSTER" fit --bootstrap 400 "$@"; }
# noise: awk's function that gives the next of a fixed row of numbers, of mean 0 and sd 1, nearly normal.
# shellcheck disable=SC2016 # awk
noise='function noise(   i, sum) {
    for (i = 0; i < 12; i++) { state = (state * 16807 + 12345) % 2147483647; sum += state / 2147483647 }
    return sum - 6
}'
# between WHAT GOT LOW HIGH
between() { awk -v g="$2" -v l="$3" -v h="$4" 'BEGIN { exit !(g >= l && g <= h) }' || fail "$1 is $2, expected $3 to $4"; }
# is_readable: the table fits a terminal.
is_readable() {
    awk 'length($0) > 100 || / $/ { bad = 1 } END { exit bad || NR > 100 }' out ||
        fail "the table has lines over 100 columns, spaces at their ends, or over 100 lines"
}
# is_whole FOLDER: fit.json as its schema says; a page that is all there, loads nothing and runs nothing.
is_whole() {
    [ -z "$schema" ] || /usr/bin/python3 - "$schema" "$1/fit.json" <<'PY' >valid 2>&1 || fail "$1/fit.json: $(cat valid)"
import json, sys, jsonschema
jsonschema.Draft202012Validator(json.load(open(sys.argv[1]))).validate(json.load(open(sys.argv[2])))
PY
    grep -q '<!DOCTYPE html>' "$1/report.html" || fail "$1/report.html is no page"
    [ "$(tail -c 8 "$1/report.html")" = "</html>" ] || fail "$1/report.html has no end"
    grep -qiE '<script|<link|<iframe|@import|src=|url\((["'"'"']?)[^#"'"'"']|href=["'"'"'][^#]' "$1/report.html" &&
        fail "$1/report.html loads or runs something"
    sed 's/xmlns\(:xlink\)\?="[^"]*"//g' "$1/report.html" | grep -qi 'https\?://' && fail "$1/report.html has an address to load"
    if command -v gnuplot >/dev/null; then
        grep -q 'Pictures are missing' "$1/report.html" && fail "$1/report.html: pictures are missing"
        [ "$(grep -c '<svg' "$1/report.html")" -ge "$2" ] || fail "$1/report.html has less than $2 pictures"
    fi
}

# A toy sweep's results: 8 widths, trunks cooled down at three budgets, two seeds at the smallest. Bytes of text: L=2, heads of 8.
sweep() {
    awk "$noise"' BEGIN {
        state = 7
        print "trial,trunk,seed,status,params_nonemb_head,params_nonemb,params_all,layers,width,heads,context,vocab,tokens,flops,loss"
        split("8 16 24 32 48 64 80 96", width); split("1e11 3e11 1e12", budget)
        for (seed = 1; seed <= 2; seed++)
            for (i = 1; i <= 8; i++) {
                d = width[i]; shared = .004 * noise()
                nonemb = 24 * d * d + 28 * d; head = nonemb + 256 * d; all = head + 64 * d
                for (b = 1; b <= (seed == 1 ? 3 : 1); b++) {
                    token = 6 * head + 12 * 2 * d * 64
                    D = int(budget[b] / token / 64 + .5) * 64
                    loss = (1.2 + 30 / head ^ .35 + 120 / D ^ .37) * exp(shared + .003 * noise())
                    printf "t%d,%d-%d,%d,%s,%d,%d,%d,2,%d,%d,64,256,%d,%.17g,%.6f\n", trial, d, seed, seed,
                        trial++ == 5 ? "diverged" : "done", head, nonemb, all, d, d / 8, D, token * D, loss
                }
            }
    }'
}
# The best size of that law at 1e12 FLOPs, by trying widths: between those that can be built, too.
best() {
    awk 'BEGIN {
        for (d = 8; d < 300; d += .01) {
            n = 24 * d * d + 28 * d + 256 * d; D = 1e12 / (6 * n + 1536 * d)
            loss = 1.2 + 30 / n ^ .35 + 120 / D ^ .37
            if (!best || loss < best) { best = loss; at = n }
        }
        print at
    }'
}
sweep >results.csv
expect 0 fit results.csv --out sweep --threads 1
is_readable
is_whole sweep 6
for text in "each of the 16 values of column 'trunk' is a cluster" \
    'Models are built as the points'"'"' are: 2 layers, heads of 8, context 64, vocabulary 256.' \
    'N leaves out the embeddings, but not the output head. FLOPs of training on a token: 6 N + 12 L d T' \
    "Rows that are no final results (column 'status'), left out: 1 (1 'diverged')." \
    'runs of equal N and D and other seeds' 'With 1e12 FLOPs train' 'Under other counting conventions'; do
    reads out "$text"
done
reads out 'written: sweep/fit.json, sweep/report.html'
reads sweep/report.html "Noted while reading: parameters: &#39;params_nonemb_head&#39; was taken before"
n=$(value sweep/fit.json "x['scaling']['parametric']['targets'][0]['n']['value']")
between "the best N at 1e12 FLOPs over the true one" "$(awk -v n="$n" -v b="$(best)" 'BEGIN { print n / b }')" .8 1.25
between "the number of conventions" "$(value sweep/fit.json "len(x['conventions'])")" 6 6
between "the number of notes" "$(value sweep/fit.json "len(x['input']['notes'])")" 1 1
[ "$(value sweep/fit.json "x['options']['rule_source'], x['options']['count']")" = "('points', 'nonemb+head')" ] ||
    fail "fit.json does not say where rule and count came from"
mv out one.txt
expect 0 fit results.csv --out four --threads 4
cmp sweep/fit.json four/fit.json || fail "fit.json depends on the number of threads"
diff <(head -n -1 one.txt) <(head -n -1 out) || fail "the table depends on the number of threads"

# Loss curves of 12 sizes: Hoffmann's first approach, and end points for the law. Two exponents are nearly one: .3658 / .7136 = .513.
awk "$noise"' BEGIN {
    state = 11
    print "curve,N,D,loss"
    for (i = 0; i < 12; i++)
        for (k = 0; k < 40; k++) {
            n = 1e7 * 2 ^ i; d = 2e8 * 1.25 ^ k * 1.5 ^ i
            if (d > (40 + 30 * (i % 3)) * n) break
            printf "r%d,%.10g,%.10g,%.6f\n", i, n, d, (1.8172 + 482.01 / n ^ .3478 + 2085.43 / d ^ .3658) * exp(.001 * noise())
        }
}' >curves.csv
expect 0 fit curves.csv --out curves
is_readable
is_whole curves 5
reads out 'Envelope: the lowest of all loss curves'
reads out 'The IsoFLOP method is refused: no budgets to be seen'
between "the envelope's exponent" "$(value curves/fit.json "x['scaling']['envelope']['a']['value']")" .43 .59
between "the number of curves" "$(value curves/fit.json "x['input']['curves']")" 12 12

# Outliers that are dropped: every point is in the budget that it was trained with.
awk 'BEGIN {
    print "Model Size,Training FLOP,loss"
    print "1e8,1e19,9"; print "2e8,1e20,8"
    for (b = 0; b < 5; b++)
        for (s = -3; s <= 3; s++) {
            c = 1e19 * 10 ^ (b / 2); n = .11 * c ^ .51 * 2 ^ s; d = c / (6 * n)
            printf "%.8g,%.8g,%.6f\n", n, c, 1.8172 + 482.01 / n ^ .3478 + 2085.43 / d ^ .3658
        }
}' >outliers.csv
expect 0 fit outliers.csv --drop-top 2 --out dropped --target-flops 1e21,1e24
is_readable
is_whole dropped 6
reads out '(--drop-top 2): lines 2, 3.'
reads out 'none dropped'
reads out "Warnings ! 1e24 FLOPs is 1e3 times the largest budget fitted"
reads dropped/report.html 'and they agree within their intervals. Warnings: 1.'
between "points in the wrong budget" "$(value dropped/fit.json "sum(not .9 < p['c'] / x['isoflop']['budgets'][p['budget']]['c'] < 1.1
    for p in x['points'] if p['budget'] is not None)")" 0 0
between "points in a budget" "$(value dropped/fit.json "sum(p['budget'] is not None for p in x['points'])")" 35 35

# On a terminal prose is as wide as it, tables up to 100 columns; a file gets 100 columns whatever COLUMNS says.
on_terminal() {
    /usr/bin/python3 - "$@" <<'PY'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
text = b""
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    text += part
os.waitpid(pid, 0)
print(max(len(line) for line in text.decode().replace("\r", "").split("\n") if line.startswith(("  - ", "  The "))))
PY
}
for width in 40:54-60 72:66-72 90:84-90 300:94-100; do
    got=$(env -u COLUMNS bash -c "$(declare -f on_terminal)"'; on_terminal "$@"' - "${width%%:*}" "$MUSTER" fit outliers.csv --bootstrap 0)
    range=${width#*:}
    between "the widest line of prose on ${width%%:*} columns" "$got" "${range%-*}" "${range#*-}"
done
between "the widest line of prose with COLUMNS=80" "$(COLUMNS=80 on_terminal 72 "$MUSTER" fit outliers.csv --bootstrap 0)" 74 80
expect 0 fit outliers.csv
cp out hundred.txt
expect 0 env COLUMNS=60 "$MUSTER" fit outliers.csv --bootstrap 400
cmp hundred.txt out || fail "COLUMNS changes what a file gets"

# Who waits for gnuplot is told so.
mkdir slow
printf '#!/bin/sh\nexec sleep 5.5\n' >slow/gnuplot
chmod +x slow/gnuplot
expect 0 env PATH="$folder/slow:$PATH" "$MUSTER" fit outliers.csv --bootstrap 0 --out slow
reads err "waiting for gnuplot to draw the report's pictures, 30 s at most"

# What supports no fit is refused by each method, with what would be needed; and nothing is written.
{
    echo N,D,loss
    awk 'BEGIN { for (n = 1e8; n < 5e9; n *= 2) printf "%.8g,%.8g,%.6f\n", n, 20 * n, 1.8 + 480 / n ^ .35 + 2100 / (20 * n) ^ .37 }'
} >six.csv
expect 1 fit six.csv --out refused
reads err 'muster: error: these points support no fit parametric: N and D move together (one D/N, or one budget)'
reads err 'IsoFLOP: no budgets to be seen'
reads err 'envelope: needs loss curves'
[ -s out ] && fail "a table without a fit"
[ -e refused ] && fail "a report without a fit"
sed '4s/,[^,]*$/,none/' outliers.csv >bad.csv
expect 1 fit bad.csv --out refused
reads err "bad.csv:4: column 'loss': 'none' is no number"
expect 64 fit outliers.csv --loss perplexity --out refused
expect 64 fit outliers.csv --target-flops 1e21,lots --out refused
reads err "--target-flops: 'lots' is no budget; expected FLOPs from 1 to 1e40, as in 1e21,1e22"
expect 1 fit missing.csv --out refused
[ -e refused ] && fail "a report of a bad input"
expect 1 fit outliers.csv --out six.csv/folder
finish
