#!/usr/bin/env bash
# Builds everything with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the unit and property tests there.
# Warnings are the plain build's to refuse: some of gcc's depend on how it optimizes.
# Usage: sanitizers.sh SOURCE-FOLDER BUILD-FOLDER JOBS
set -euo pipefail
source=$1 build=$2 jobs=$3
cmake -S "$source" -B "$build" -G Ninja -DMUSTER_SANITIZE=ON -DMUSTER_WERROR=OFF
cmake --build "$build" --parallel "$jobs"
ctest --test-dir "$build" -L 'unit|property|sim' --output-on-failure --no-tests=error --parallel "$jobs"
