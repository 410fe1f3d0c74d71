#!/usr/bin/env bash
# The topics of `muster help`, and that they say what is: each test, verb, option and key that they name exists.
. "$(dirname "$0")/common.sh"

expect 0 "$MUSTER" help topics
for file in "$MUSTER_SOURCE"/orchestrator/help/*.md; do
    name=$(basename "$file" .md)
    grep -q "^  $name  *[A-Z]" out || fail "help topics does not list $name"
done
topics=$(awk '{ print $1 }' out | xargs)
[ "$(wc -l <out)" -le "$(find "$MUSTER_SOURCE"/orchestrator/help -name '*.md' | wc -l)" ] || fail "a topic's title takes more than a line"

: >all
for topic in $topics; do
    expect 0 "$MUSTER" help "$topic"
    [ "$(wc -l <out)" -ge 10 ] || fail "help $topic says next to nothing"
    ! grep -nE '^(#|- $)|\{[a-z]+\}' out || fail "help $topic: marks are left in the text"
    ! grep -v '^    ' out | awk 'length > 80 { print; found = 1 } END { exit !found }' || fail "help $topic: wider than 80 columns"
    cat out >>all
done
# README is held to the same from here on.
cat "$MUSTER_SOURCE/README.md" >>all
# Words of code: what follows 'muster ' is a verb, a topic or a placeholder; options exist where they are given.
"$MUSTER" --help >verbs
for topic in $topics; do
    tr -s " " "\n" <verbs | grep -qx "$topic" || fail "muster --help does not name the topic $topic"
done
while read -r verb; do
    grep -q "^  $verb  " verbs || [ "$verb" = help ] || grep -qx "$verb" <<<"${topics// /$'\n'}" || fail "the topics or README name 'muster $verb', which is no verb"
done < <(grep -oE '(^|[^a-z/])muster [a-z]+' all | awk '{ print $NF }' | grep -vE '^(and|is|was|of)$' | sort -u)
while read -r verb option; do
    "$MUSTER" "$verb" --help | grep -q -- "$option" || fail "the topics or README name 'muster $verb $option'"
done < <(grep -oE 'muster [a-z]+ [^`#]*' all |
    awk '{ for (i = 3; i <= NF; i++) if ($i ~ /^--[a-z-]+$/) print $2, $i }' | sort -u)
# Keys, as group.key outside of file names.
"$MUSTER" config >keys
while read -r key; do
    grep -qF "$key" keys || fail "the topics or README name the key $key"
done < <(grep -ohE '\b(run|model|data|batch|optim|eval|device|checkpoint)\.[a-z_]+' "$MUSTER_SOURCE"/{README.md,orchestrator/help/*.md} |
    grep -vE '\.(svg|csv|json|jsonl|cfg|h)$' | sort -u)
# Every key is in the topic of configurations.
expect 0 "$MUSTER" help config
[ "$(grep -cE '^  [a-z_]+\.[a-z_.0-9]+ ' out)" = "$(grep -cE '^  [a-z_]+\.[a-z_.0-9]+ ' keys)" ] || fail "help config does not list every key"
# Each promise has a test that is there.
ctest --test-dir "$MUSTER_BUILD" -N >tests 2>&1
while read -r name; do
    grep -qE ": $name\$" tests || fail "help promises names the test $name, which is not there"
done < <(grep -oE '\b(mpi|unit|cli|property|sim)-[a-z_]+' "$MUSTER_SOURCE/orchestrator/help/promises.md" | sort -u)
expect 0 "$MUSTER" help recovery
for code in 0 1 64 75 78; do
    grep -qE "^ +$code  " out || fail "help recovery does not tell exit code $code"
done
refuses 64 "there is no verb or topic 'recvery'; did you mean 'recovery'?" "$MUSTER" help recvery
finish
