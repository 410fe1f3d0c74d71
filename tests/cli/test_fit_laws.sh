#!/usr/bin/env bash
# muster fit: each law from runs that follow it, and odd points of every kind: the law's numbers come back, or a reason does.
# What is expected is the law's own parameters, or was computed by SciPy 1.17 (bounded scalar minimisation along the budget).
. "$(dirname "$0")/common.sh"
fit() { "$MUSTER" fit --bootstrap 0 "$@"; }
# rows HEAD PROGRAM: a CSV file; PROGRAM is awk, with the laws below; row(...) prints numbers in full.
rows() {
    echo "$1"
    awk 'function row(a, b, c, d, text) {
             text = sprintf("%.17g,%.17g", a, b)
             if (c != "") text = text sprintf(",%.17g", c)
             if (d != "") text = text sprintf(",%.17g", d)
             print text
         }
         function chinchilla(n, d) { return 1.8 + 480 / n ^ .35 + 2100 / d ^ .37 }
         function worth(x, u, r) { return x <= u ? x : u + u * r * (1 - exp(-(x / u - 1) / r)) }
         # Muennighoff et al. 2023: E 1.87, A 521, B 1488, alpha .3526, beta .3672, R_D 15.4, R_N 5.3
         function constrained(n, d, u,   best) {
             best = (.3526 * 521 / (.3672 * 1488) * u ^ .3672) ^ (1 / .3526)
             return 1.87 + 521 / worth(n, best, 5.3) ^ .3526 + 1488 / worth(d, u, 15.4) ^ .3672
         }
         BEGIN { '"$2"' }'
}
# shows PARAMETER VALUE: the first estimate in that parameter's row of the table, to all the digits of VALUE.
shows() {
    local got
    got=$(awk -v name="$1" '$1 == name && NF > 3 { print $2; exit }' out)
    [ "$(printf '%.'$((${#2} - 2))'g' "$got" 2>err)" = "$(printf '%.'$((${#2} - 2))'g' "$2")" ] ||
        fail "$1 is $got, expected $2"
}
# within WORDS FIRST NUMBER TOLERANCE: in the row that begins with FIRST, in the part of the table that a line beginning with
# WORDS opens, some cell is NUMBER within a relative TOLERANCE.
within() {
    awk -v words="$1" -v first="$2" -v number="$3" -v tolerance="$4" '
        index($0, words) { inside = 1 }
        inside && $1 == first {
            for (k = 2; k <= NF; k++)
                if ($k + 0 && ($k - number) ^ 2 <= (tolerance * number) ^ 2) found = 1
            exit
        }
        END { exit !found }' out || fail "$1 $2: no $3"
}
refuses_all() {
    expect 1 "${@:2}"
    grep -qF -- "$1" err || fail "no '$1'"
}

# Repeated tokens: told as distinct tokens or as epochs.
constrained='for (u = 1e8; u < 1e11; u *= 4) for (n = 1e7; n < 2e10; n *= 4) for (e = 1; e <= 60; e = e * 2 + 1)'
rows N,D,unique,loss "$constrained row(n, u * e, u, constrained(n, u * e, u))" >unique.csv
rows N,D,epochs,loss "$constrained row(n, u * e, e, constrained(n, u * e, u))" >epochs.csv
for file in unique.csv epochs.csv; do
    expect 0 fit $file --law data-constrained --target-flops 1e18,1e20,1e22 --unique-tokens 1e9
    shows E 1.87000
    shows A 521.000
    shows B 1488.00
    shows alpha .352600
    shows beta .367200
    shows R_D 15.4000
    shows R_N 5.30000
    within "By the parametric method" 1e18 1.30444e8 1e-5
    within "By the parametric method" 1e20 9.50158e8 1e-5
    within "By the parametric method" 1e22 7.96161e9 1e-5
done
rows N,D,unique,loss "$constrained row(n, u * e, 2 * u * e, 3)" >more.csv
refuses_all "line 2: column 'unique': 200000000 distinct tokens; expected at most the 100000000 of training" fit more.csv --law data-constrained
rows N,D,loss "$constrained row(n, u * e, constrained(n, u * e, u))" >fresh.csv
expect 0 fit fresh.csv --law data-constrained
reads out "0 points saw tokens more than once: R_D and R_N need at least 4"

# One exponent; one variable.
rows N,D,loss 'for (n = 1e7; n < 5e9; n *= 2.5) for (m = 5; m < 700; m *= 4)
    row(n, m * n, 1.7 + 400 / n ^ .34 + 1900 / (m * n) ^ .34)' >ratio.csv
expect 0 fit ratio.csv --law over-training
shows E 1.70000
shows B 1900.00
shows alpha .340000
within "How the optimum scales" parametric 0.5 1e-6
rows N,D,loss 'for (k = 0; k < 12; k++) row(1e6 * 2 ^ k, 1e11, 1.7 + 60 / (1e6 * 2 ^ k) ^ .25)' >n.csv
expect 0 fit n.csv --law power-n
shows A 60.0000
shows alpha .250000
reads out "a law of one variable has no optimum: it does not say what the other one is worth"
rows N,D,loss 'for (k = 0; k < 12; k++) row(1e9, 1e8 * 2 ^ k, 1.7 + 200 / (1e8 * 2 ^ k) ^ .3)' >d.csv
expect 0 fit d.csv --law power-d
shows alpha .300000
refuses_all "the points have 1 value of N (parameters): an offset and an exponent need at least 3" fit d.csv
rows C,D,loss 'for (k = 0; k < 14; k++) { c = 1e15 * 3 ^ k; row(c, sqrt(c), 1.7 + 200 / c ^ .12) }' >c.csv
expect 0 fit c.csv --law power-c --target-flops 1e24
shows E 1.70000
within "By the parametric method" 1e24 1.96365 1e-5 # 1.7 + 200 / 1e24^.12

# FLOPs with attention: 2 layers, context 64, the ladder of widths 8 to 96.
{
    echo N,D,C,loss,layers,width,heads,context,vocab
    awk 'BEGIN {
        for (c = 1e11; c < 4e12; c *= sqrt(10))
            for (k = split("8 16 24 32 48 64 96", width, " "); k > 0; k--) {
                w = width[k]
                n = 2 * (12 * w * w + 13 * w) + 258 * w
                d = c / (6 * n + 12 * 2 * 64 * w)
                printf "%d,%.17g,%.17g,%.17g,2,%d,%d,64,256\n", n, d, c, 1.1 + 25 / n ^ .33 + 180 / d ^ .36, w, w / 8
            }
    }' </dev/null
} >toy.csv
expect 0 fit toy.csv --target-flops 1e11,3e12 --out toy
shows alpha .330000
tr -d '\n ' <toy/fit.json | grep -q '"flops":{"kind":"6N+12LdT","count":"nonemb+head"' || fail "FLOPs without attention"
within "By the parametric method" 1e11 10702.4 1e-5
within "By the parametric method" 3e12 65041.5 1e-5
within "Under other counting conventions" nonemb 6280.85 1e-4
within "Under other counting conventions" nonemb+head 10860.8 1e-4

# Odd points.
iso='for (c = 1e18; c < 2e20; c *= 10) for (k = -3; k <= 3; k++) { n = .1 * sqrt(c) * 2 ^ k; d = c / 6 / n;'
rows N,D,loss "$iso row(n, d, 2.5) }" >equal.csv
refuses_all "all losses are 2.5: there is nothing to explain" fit equal.csv
rows N,D,loss,weight "$iso row(n, d, chinchilla(n, d), 0) }" >weightless.csv
refuses_all "none is a final loss with a weight" fit weightless.csv
rows N,D,loss 'for (n = 1e7; n < 2e10; n *= 2) row(n, 20 * n, chinchilla(n, 20 * n))' >one_ratio.csv
refuses_all "N and D move together" fit one_ratio.csv
rows N,D,loss "$iso row(n, d, k == 0 && c < 2e18 ? 1e9 : chinchilla(n, d)) }" >absurd.csv
expect 0 fit absurd.csv
shows alpha .350
expect 0 fit absurd.csv --drop-top 1 --objective squares
shows alpha .350000
rows N,D,loss,weight "$iso row(n, d, chinchilla(n, d), (k % 2) ? 1e-9 : 1e9) }" >weights.csv
expect 0 fit weights.csv
shows beta .370000
rows N,D,loss "$iso row(n, d, 1e-6 * chinchilla(n, d)) }" >small.csv
expect 0 fit small.csv --target-flops 1,1e40
shows alpha .350000
rows N,D,loss 'for (n = 1; n < 2e15; n *= 30) for (d = 10; d < 2e15; d *= 100) row(n, d, chinchilla(n, d))' >wide.csv
expect 0 fit wide.csv
shows beta .370000
rows N,D,loss 'for (b = 0; b < 80; b++) for (k = -3; k <= 3; k++) {
    c = 1e17 * 10 ^ (6 * b / 79); n = .1 * sqrt(c) * 2 ^ k; d = c / 6 / n; row(n, d, chinchilla(n, d)) }' >budgets.csv
expect 0 fit budgets.csv
reads out "do not gather at up to 64 values that 3 or more sizes share"
rows N,D,loss,trunk "$iso row(n, d, chinchilla(n, d) * (1 + .003 * (k % 3)), 7) }" >trunk.csv
expect 0 "$MUSTER" fit trunk.csv --bootstrap 50
tr -s '\n ' '  ' <out | grep -q 'disagree beyond' && fail "one trunk makes methods disagree"

# Loss curves: the envelope reads all moments, the law the last ones only.
rows run,N,D,loss 'for (k = 0; k < 10; k++) for (m = 0; m < 60; m++) {
    n = 1e7 * 2.2 ^ k; d = 1e8 * 1.13 ^ m * 2.2 ^ (k / 2); row(k, n, d, chinchilla(n, d)) }' >curves.csv
expect 0 fit curves.csv --curve run --out curves
tr -d '\n ' <curves/fit.json | grep -q '"selection":{"used":10,' || fail "not 10 final losses"
within "How the optimum scales" envelope .5139 .05
finish
