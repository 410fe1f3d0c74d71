#!/usr/bin/env bash
# The fit that has been published: Epoch's 245 points of Hoffmann et al. 2022, as fitted by Besiroglu et al. 2024 (arXiv 2404.10102).
# The points have no stated licence and do not come with Muster: looked for in $MUSTER_SHARED/data, else beside the checkout.
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
points=${MUSTER_SHARED:-$MUSTER_SOURCE/../shared}/data/epoch_chinchilla.csv
if [ ! -r "$points" ]; then
    echo "skipped: there is no $points"
    exit 77
fi

# near WHAT GOT EXPECTED TOLERANCE: relative.
near() {
    awk -v g="$2" -v e="$3" -v t="$4" 'BEGIN { d = g / e - 1; exit !(d <= t && d >= -t) }' ||
        fail "$1 is $2, expected $3 within $4"
}
# agrees OBJECTIVE PARAMETER EXPECTED: to one unit of the last digit that EXPECTED has, four of them or more.
agrees() {
    local got digits=${3#*.}
    got=$(member fit/fit.json law estimates "$1" theta "$2")
    awk -v g="$got" -v e="$3" -v n="${#digits}" 'BEGIN { d = (g - e) * 10 ^ n; exit !(d <= 1 && d >= -1) }' ||
        fail "$2 by $1 is $got, expected $3"
}

# The paper leaves out the 5 points of the highest loss. 4000 replicates, as it has.
expect 0 "$MUSTER" fit "$points" --drop-top 5 --out fit
for row in 'huber A 477.83' 'huber B 2143.42' 'huber E 1.81722' 'huber alpha .34731' 'huber beta .36717' \
    'absolute A 482.01' 'absolute B 2085.43' 'absolute E 1.8169' 'absolute alpha .3478' 'absolute beta .3659'; do
    # shellcheck disable=SC2086 # three words
    agrees $row
done
near 'the sum of Huber'"'"'s function' "$(member fit/fit.json law estimates huber objective)" .00101827402 1e-8
for row in 'alpha .317 .373' 'beta .331 .415' 'E 1.769 1.871'; do
    read -r name low high <<<"$row"
    near "the low end of $name" "$(member fit/fit.json law parameters "$name" estimate low95)" "$low" .03
    near "the high end of $name" "$(member fit/fit.json law parameters "$name" estimate high95)" "$high" .03
done

# An outlier policy moves the answer, and is reported with what it changed.
near 'beta of all 245 points' "$(member fit/fit.json law undropped theta beta)" .453 1e-3
grep -q -- '--drop-top 5' out || fail "the table does not tell of the points that were dropped"
expect 0 "$MUSTER" fit "$points" --bootstrap 0 --out all
near 'beta without --drop-top' "$(member all/fit.json law estimates huber theta beta)" .453 1e-3
finish
