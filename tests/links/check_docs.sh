#!/usr/bin/env bash
# README and CONTRIBUTING name files and folders: is each of them there? And README stays a tour. Usage: check_docs.sh SOURCE-FOLDER
set -euo pipefail
cd "$1"
status=0
while read -r path; do
    if [ ! -e "$path" ]; then
        echo "README.md or CONTRIBUTING.md names $path, which is not there"
        status=1
    fi
done < <(grep -ohP '(?<![\w/-])(orchestrator|worker|kernels|scripts|configs|tests)/[A-Za-z0-9_][A-Za-z0-9_./-]*[A-Za-z0-9_/]' README.md CONTRIBUTING.md |
    sort -u)
while read -r name; do
    if [ -z "$(find orchestrator worker kernels tests -name "$name" -print -quit)" ]; then
        echo "README.md names $name, and there is no such file"
        status=1
    fi
done < <(grep -ohP '(?<![\w/.-])[a-z0-9_]+\.(c|h|def|cpp|cu|cuh)\b' README.md | sort -u)
# A newcomer reads README from end to end: it stays a tour, and each room of the code has a line in it.
if [ "$(wc -l <README.md)" -gt 400 ]; then
    echo "README.md has more than 400 lines: what is too detailed for a tour goes to orchestrator/help/"
    status=1
fi
if LC_ALL=C.UTF-8 grep -nE '^.{121,}' README.md; then
    echo "README.md: these lines are longer than 120 columns"
    status=1
fi
for room in orchestrator/*/ worker/*/ kernels/*/; do
    if ! grep -qE "(^|[^a-z_])$(basename "$room")/" README.md; then
        echo "README.md has no word about $room"
        status=1
    fi
done
[ "$status" = 0 ] && echo "every file that is named exists"
exit "$status"
