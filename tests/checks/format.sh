#!/usr/bin/env bash
# Is every C, C++ and CUDA file as clang-format would write it, and every script without a finding of shellcheck?
# Usage: format.sh SOURCE-FOLDER
set -euo pipefail
cd "$1"
if ! command -v clang-format >/dev/null || ! command -v shellcheck >/dev/null; then
    echo "skipped: clang-format or shellcheck is not installed (scripts/setup --tests)"
    exit 77
fi
status=0
find orchestrator kernels worker tests \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
    xargs -0 clang-format --dry-run -Werror ||
    { echo "to mend it: clang-format -i FILE"; status=1; }
# Scripts are known by their first line.
mapfile -t scripts < <(grep -rlE '^#!(/usr)?/bin/(env )?(ba)?sh' scripts tests .ci)
shellcheck --severity=warning -x --source-path=SCRIPTDIR "${scripts[@]}" || status=1
exit "$status"
