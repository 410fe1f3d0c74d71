#!/usr/bin/env bash
# muster fit: files of points as people have them, the command line, and every mistake in either.
. "$(dirname "$0")/common.sh"
# points HEAD ROW: 25 points of L = 1.8 + 480 / N^.35 + 2100 / D^.37, with @N, @D, @C, @L of each put into ROW.
points() {
    echo "$1"
    awk -v row="$2" 'BEGIN {
        for (n = 1e8; n < 2e10; n *= 3)
            for (d = 2e9; d < 2e11; d *= 3) {
                text = row
                gsub("@N", sprintf("%.17g", n), text)
                gsub("@D", sprintf("%.17g", d), text)
                gsub("@C", sprintf("%.17g", 6 * n * d), text)
                gsub("@L", sprintf("%.17g", 1.8 + 480 / n ^ .35 + 2100 / d ^ .37), text)
                print text
            }
    }'
}
fit() { "$MUSTER" fit --bootstrap 0 "$@"; }

# Files as they come: any two of N, D, C; heads, units, separators, pipes. The table is the same.
points N,D,loss '@N,@D,@L' >plain.csv
expect 0 fit plain.csv
[ -s out ] || fail "no table"
[ -s err ] && fail "there is something to say of a plain file"
points "Model Size,Training FLOP,loss" '@N,@C,@L' >sizes.csv
expect 0 fit sizes.csv
expect 0 fit - <sizes.csv
expect 0 fit <(cat sizes.csv)
points 'Tokens;Compute;"Validation Loss"' '@D;@C;@L' >semicolons.csv
expect 0 fit semicolons.csv
has err "muster: semicolons.csv: cells are separated by semicolons"
{
    printf '\xef\xbb\xbf# collected by hand\r\n'
    points 'Params (B),tokens_M,val_loss,train_loss' '@N,@D,@L,9' |
        awk -F, -v OFS=, 'NR > 1 { $1 = sprintf("%.17g", $1 / 1e9); $2 = sprintf("%.17g", $2 / 1e6) } { print $0 "\r" }'
} >units.csv
expect 0 fit units.csv
has err "muster: units.csv: parameters: 'Params (B)' is in units of 1e9"
has err "muster: units.csv: training tokens: 'tokens_M' is in units of 1e6"
has err "muster: units.csv: loss: 'val_loss' was taken before 'train_loss'; --loss names another"
has err "muster: units.csv: lines left out because they begin with #: 1"

# A sweep's own results, without any option.
head=trial,trunk,seed,status,params_nonemb_head,params_nonemb,params_all,layers,width,heads,context,vocab,tokens,flops,loss
points $head 't,k@N,1,done,@N,1,2,2,8,1,64,256,@D,@C,@L' >results.csv
echo t,k9,1,diverged,1,1,1,2,8,1,64,256,5,6, >>results.csv
expect 0 fit results.csv
has err "muster: results.csv: parameters: 'params_nonemb_head' was taken before 'params_nonemb' and 1 more; --n names another"
grep -q trunk out || fail "the table does not say that trunks are the clusters"

# Spreadsheets with decimal commas, exports of trackers with paths for names and one row a logging step.
points 'Model size [B];Tokens (B);Loss' '@NB;@D;@L' | awk -F';' -v OFS=';' 'NR > 1 {
    $1 = sprintf("%.12gB", $1 / 1e9); $2 = sprintf("%.12g", $2 / 1e9); gsub(/\./, ",") } { print }' >commas.csv
expect 0 fit commas.csv
has err "muster: commas.csv: commas in 'Model size [B]' are read as decimal commas"
has err "muster: commas.csv: commas in 'Loss' are read as decimal commas"
points Name,_step,model/num_params,train/tokens_seen,train/flops_total,eval.loss,lr 'run @N,@D,@N,@D,@C,@L,0.1' >history.csv
expect 0 fit history.csv
has err "muster: history.csv: rows of one 'Name' are moments of one loss curve; --curve '' makes them points of their own"
has err "muster: history.csv: columns that are not used: '_step', 'lr'"
expect 0 fit history.csv --curve ''
grep -q curve err && fail "somebody who said that there are no curves is asked again"
cut -d, -f2- history.csv >nameless.csv
expect 0 fit nameless.csv
has err "muster: nameless.csv: rows are taken for final losses of runs of their own, though there is a column of training steps;\
 if they are moments of curves, --curve names the column of runs"
{
    points N,D,loss,lr '@N,@D,@L,1'
    points N,D,loss,lr '@N,@D,9,2' | tail -n +2
} >rates.csv
expect 0 fit rates.csv
has err "muster: rates.csv: columns that are not used: 'lr'"
has err "muster: rates.csv: 50 of 50 final losses share their N and D with others: is there a hyperparameter among the columns\
 that are not used? Then keep the best of each"

# Columns: missing, doubtful, unknown, twice.
printf 'a,b,c\n1,2,3\n' >abc.csv
refuses 64 "abc.csv: no column looks like the loss; name it with --loss; the columns are 'a', 'b', 'c'" fit abc.csv
refuses 64 "--n: abc.csv has no column 'bb'; did you mean 'b'?" fit abc.csv --n bb
refuses 64 "--loss: abc.csv has no column 'perplexity'; its columns are 'a', 'b', 'c'" fit abc.csv --loss perplexity
printf 'N,loss\n1,2\n' >half.csv
refuses 64 "half.csv: two of parameters, training tokens and training FLOPs are needed, and only 'N' was found;\
 name another with --d or --c, or fit a law of it alone with --law power-n; the columns are 'N', 'loss'" fit half.csv
points N,params,D,loss '@N,@N,@D,@L' >both.csv
refuses 64 "both.csv: both 'N' and 'params' could be the parameters; say which with --n" fit both.csv
expect 0 fit both.csv --n params
printf 'N,D,loss,loss\n1,2,3,4\n' >twice.csv
refuses 64 "twice.csv: two columns are called 'loss'; rename one" fit twice.csv
printf 'N,D,val_ppl\n1e9,1e10,12\n' >ppl.csv
refuses 64 "ppl.csv: 'val_ppl' looks like a perplexity; the loss is its natural logarithm: add a column of that" fit ppl.csv
refuses 64 "half.csv: this law is of training tokens, and no column looks like that; name it with --d; the columns are 'N',\
 'loss'" fit half.csv --law power-d
printf '1,2,3\n4,5,6\n' >headless.csv
refuses 64 "headless.csv: the first row looks like numbers; a row of names is needed (a line that begins with # is a\
 comment)" fit headless.csv
printf 'N,D,Loss (bits)\n1,2,3\n' >bits.csv
refuses 64 "bits.csv: 'Loss (bits)' looks like the loss, in a unit that is not known here; losses are in nats a token, or\
 name a column with --loss" fit bits.csv
refuses 64 "plain.csv: 6N+12LdT needs columns of layers, width, context and vocabulary; name them with --layers, --width,\
 --context, --vocab" fit plain.csv --flops 6N+12LdT

# Rows: each bad one by line, column and value; nothing is written. With --skip-bad the others are fitted.
cp plain.csv bad.csv
cat >>bad.csv <<'EOF'
1e9,1e10,diverged
1e9,0,3
1e9,3
"1,000",1e10,3
1e9,"1e10"x,3
1e9,1e10,"3
EOF
refuses 1 "bad.csv: 6 of 31 rows are bad: mend, or leave out with --skip-bad" fit bad.csv --out never
[ -e never ] && fail "bad points leave a folder"
has err "muster: error: bad.csv:27: column 'loss': 'diverged' is no number; expected a number above 0"
has err "muster: error: bad.csv:28: column 'D': '0'; expected a number above 0"
has err "muster: error: bad.csv:29: the row has 2 cells; expected 3, as in the head"
has err "muster: error: bad.csv:30: column 'N': '1,000' is doubtful, between decimals and thousands; numbers are written\
 1.5, 1500 or 1.5e3; expected a number above 0"
has err 'muster: error: bad.csv:31: the row has a quote inside a cell; a cell with quotes is written "so ""so"""'
has err "muster: error: bad.csv:32: the row has a quote that is never closed"
expect 0 fit bad.csv --skip-bad
has err "muster: warning: bad.csv:28: column 'D': '0'; expected a number above 0"
{
    cat plain.csv
    yes 1,2,nan | head -n 30
} >worse.csv
refuses 1 "worse.csv: and 10 bad rows more" fit worse.csv
[ "$(grep -c 'is no number' err)" = 20 ] || fail "not 20 rows are told"
points N,D,loss '@N,@D,nan' >nan.csv
for skip in '' --skip-bad; do
    # shellcheck disable=SC2086
    refuses 1 "nan.csv: all 25 rows are bad in the same way; line 2: column 'loss': 'nan' is no number; expected a number\
 above 0; mend the column, or name another with --loss" fit nan.csv $skip
    [ "$(wc -l <err)" -lt 5 ] || fail "what is the same in all rows is said more than once"
done
printf 'N,D,loss\n1e9,0,3\n1e9,1e10\n' >none.csv
refuses 1 "none.csv: no row is left to fit: of 2 rows 2 are bad and 0 not done" fit none.csv
printf 'Params (B),D,loss\n97M,1e9,3\n0.2B,1e9,3\n' >unit.csv
refuses 1 "unit.csv:2: column 'Params (B)': '97M' names another unit than the head of its column: mend one of them; expected a\
 number above 0" fit unit.csv
points run,N,D,loss 'r@N,@N,@D,@L' >curves.csv
expect 0 fit curves.csv --curve run
echo r100000000,2e8,9e12,2 >>curves.csv
refuses 1 "curves.csv:27: has 200000000 parameters, and 100000000 in line 6 of the same curve; expected one size" \
    fit curves.csv --curve run

# No points at all.
: >empty.csv
refuses 1 "empty.csv is empty; expected a row of names and rows of numbers" fit empty.csv
echo N,D,loss >names.csv
refuses 1 "names.csv has a head and no rows" fit names.csv
refuses 1 "cannot open nowhere.csv: No such file or directory" fit nowhere.csv
refuses 64 ". is no folder of a sweep: it has no sweep.json; expected one, or a CSV file of points" fit .
printf '\xff\xfeN\0,\0' >wide.csv
refuses 1 "wide.csv is written in UTF-16; save it as UTF-8" fit wide.csv

# The command line.
see="; see 'muster fit --help'"
refuses 64 "nothing was said to work on$see" "$MUSTER" fit
refuses 64 "--law: there is no 'chinchila'; did you mean 'chinchilla'?$see" fit plain.csv --law chinchila
refuses 64 "--law: there is no 'x'; expected one of chinchilla, over-training, data-constrained, power-n, power-d,\
 power-c$see" fit plain.csv --law x
refuses 64 "--objective: 'mean'; expected huber, absolute or squares$see" fit plain.csv --objective mean
refuses 64 "--flops: '6ND'; expected 6N or 6N+12LdT$see" fit plain.csv --flops 6ND
refuses 64 "--target-flops: 'lots' is no budget; expected FLOPs from 1 to 1e40, as in 1e21,1e22$see" fit plain.csv --target-flops 1e21,lots
refuses 64 "--target-flops: more than 32 budgets$see" fit plain.csv --target-flops "$(seq -s, 33)"
refuses 64 "--unique-tokens: 'lots' is no number of tokens; expected one of at least 1, as in 7e9 or 7B$see" \
    fit plain.csv --unique-tokens lots
expect 0 fit plain.csv --unique-tokens 7B --threads 0
expect 0 "$MUSTER" fit --help
awk 'length > 80 { exit 1 }' out || fail "the help is wider than 80 columns"
has out "Exit codes are in 'muster --help'."
refuses 64 "--drop-top: '-1' is not an integer from 0 to 1000000$see" fit plain.csv --drop-top -1
expect 64 fit plain.csv --shape nonsense
expect 64 fit plain.csv --out ''

# What is written, and that it is said.
expect 0 fit plain.csv --target-flops 1e22,1e21 --out a/b
has out "written: a/b/fit.json, a/b/report.html"
[ -s a/b/fit.json ] && [ -s a/b/report.html ] || fail "a file is missing"
[ "$(ls a/b | wc -l)" = 2 ] || fail "more than two files: $(ls a/b)"
refuses 1 "cannot make folder plain.csv: a file of that name is there" fit plain.csv --out plain.csv/x
if [ -w /dev/full ]; then
    "$MUSTER" fit --bootstrap 0 plain.csv >/dev/full 2>err
    [ $? = 1 ] || fail "a table into a full disk succeeds"
    has err "muster: error: cannot write to standard output: No space left on device"
fi
# Numbers that no run has, and budgets that nobody pays.
printf 'params,tokens,loss\n1e7,1e9,3\n1e7,1e99,3\n' >absurd.csv
expect 1 "$MUSTER" fit absurd.csv
grep -qF "absurd.csv:3: column 'tokens': '1e99'; expected a number from 1e-60 to 1e+60" err || fail "1e99 tokens are taken"
for list in 1e50 0 '' ','; do
    expect 64 "$MUSTER" fit absurd.csv --target-flops "$list"
done
expect 64 "$MUSTER" fit absurd.csv --bootstrap 1000000
finish
