#!/usr/bin/env bash
# Builds everything with AddressSanitizer and UndefinedBehaviorSanitizer, and runs the unit and property tests there.
# Usage: sanitizers.sh SOURCE-FOLDER BUILD-FOLDER JOBS
set -euo pipefail
source=$1 build=$2 jobs=$3
cmake -S "$source" -B "$build" -G Ninja -DMUSTER_SANITIZE=ON -DMUSTER_WERROR=ON
cmake --build "$build" --parallel "$jobs"
ctest --test-dir "$build" -L 'unit|property|sim' --output-on-failure --no-tests=error --parallel "$jobs"
