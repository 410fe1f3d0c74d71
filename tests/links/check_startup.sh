#!/usr/bin/env bash
# `muster` starts without MPI: a library that it needs costs every command its loading (libmpi and what it brings: 50 ms).
set -euo pipefail
muster=$1
needed=$(LC_ALL=C ldd "$muster" | awk '{ print $1 }')
case $needed in
*libc.so*) ;;
*) echo "ldd says nothing of $muster" >&2 && exit 1 ;;
esac
if found=$(grep -E '^lib(mpi|open-pal|pmix|prrte|cuda|nccl)' <<<"$needed"); then
    printf '%s\n' "$muster needs, of which only muster-rank may know:" "$found" \
        "(a verb marked HERE in orchestrator/cli/verbs.h reaches code that calls MPI)" >&2
    exit 1
fi
