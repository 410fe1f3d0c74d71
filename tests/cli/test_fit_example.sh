#!/usr/bin/env bash
# The example that comes with Muster: runs of a law that its first line tells. Whoever tries `muster fit` gets that law back.
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
points=$MUSTER_SOURCE/configs/example-points.csv

expect 0 "$MUSTER" fit "$points" --target-flops 1e21 --out fit
/usr/bin/python3 - <<'PY' >"$folder/out" 2>&1 || fail "the law of the example is not within the intervals"
import json
fit = json.load(open("fit/fit.json"))
truth = {"E": 1.7, "A": 400, "B": 2000, "alpha": .34, "beta": .37}
for name, value in truth.items():
    x = fit["law"]["parameters"][name]["estimate"]
    assert x["low95"] < value < x["high95"], (name, value, x)
n = (.34 * 400 / (.37 * 2000)) ** (1 / .71) * (1e21 / 6) ** (.37 / .71)
target = fit["scaling"]["parametric"]["targets"][0]
assert target["n"]["low95"] < n < target["n"]["high95"], (n, target)
assert abs(fit["noise"]["sd"] / .003 - 1) < .5, fit["noise"] # 14 degrees of freedom: sd of the sd 19 %
PY
finish
