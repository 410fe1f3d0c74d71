#!/usr/bin/env bash
# README and CONTRIBUTING name files and folders: is each of them there? Usage: check_docs.sh SOURCE-FOLDER
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
done < <(grep -ohP '(?<=`)[a-z0-9_]+\.(c|h|def|cpp|cu|cuh)(?=`)' README.md | sort -u)
[ "$status" = 0 ] && echo "every file that is named exists"
exit "$status"
