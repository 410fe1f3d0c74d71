#!/usr/bin/env python3
"""Fits L = E + A/N^alpha + B/D^beta the classic way: L-BFGS from each of 4,500 starts (the grid of
Hoffmann et al. 2022, arXiv 2203.15556, section D.2, as Besiroglu et al. 2024, arXiv 2404.10102, ran
it), with SciPy. Needs numpy and scipy; run by hand, never in CI.

  fit_lbfgs.py [EPOCH.csv]    writes fit_sets.csv (points made here, noise and all) and
                              fit_lbfgs.json (the minima found) beside itself: what
                              tests/unit/test_fit_parametric_oracle.c compares with. EPOCH.csv:
                              Besiroglu et al.'s points, of which only results are kept

The objective is a sum over ln residuals: of Huber's function with delta 1e-3, of halved squares, and of
absolute values (where no gradient method arrives: Nelder-Mead from the best minima of the other two).
"""
import csv
import itertools
import json
import multiprocessing
import pathlib
import platform
import sys

import numpy as np
import scipy
from scipy.optimize import minimize

HERE = pathlib.Path(__file__).parent
DELTA = 1e-3
GRID = list(itertools.product([0, .5, 1, 1.5, 2], [0, .5, 1, 1.5, 2], [-1, -.5, 0, .5, 1],
                              [0, 5, 10, 15, 20, 25], [0, 5, 10, 15, 20, 25]))  # alpha, beta, e, a, b

# name: points, truth (E, A, B, alpha, beta), noise
SETS = {
    "plain": (240, (1.7, 400, 1500, .34, .28), lambda g, n: .01 * g.standard_normal(n)),
    "loud": (120, (1.9, 900, 400, .38, .26), lambda g, n: .04 * g.standard_normal(n)),
    "outliers": (200, (1.5, 300, 3000, .33, .36),
                 lambda g, n: .004 * g.standard_normal(n) + .25 * (g.random(n) < .08)),
    "few": (14, (1.8, 500, 1200, .35, .30), lambda g, n: .01 * g.standard_normal(n)),
    "unlike": (60, (2.0, 20000, 90, .55, .20), lambda g, n: .002 * g.standard_normal(n)),
    "heavy-tails": (160, (1.6, 120, 9000, .27, .44), lambda g, n: .006 * g.standard_t(2, n)),
    "no-offset": (50, (0.0, 60, 40, .16, .13), lambda g, n: .02 * g.standard_normal(n)),
}


def make(name):
    n, (e, a, b, alpha, beta), noise = SETS[name]
    g = np.random.default_rng(list(name.encode()))
    c = 10 ** g.uniform(18, 22, n)
    size = np.sqrt(c / 120) * np.exp(g.uniform(-2.2, 2.2, n))
    d = c / (6 * size)
    return size, d, (e + a / size**alpha + b / d**beta) * np.exp(noise(g, n))


def huber(r):
    psi = np.clip(r, -DELTA, DELTA)
    return psi * (r - psi / 2), psi


def squares(r):
    return r * r / 2, r


def residuals(p, ln_n, ln_d, ln_l):
    a, b, e, alpha, beta = p
    terms = np.stack([a - alpha * ln_n, b - beta * ln_d, np.full_like(ln_n, e)])
    top = terms.max(axis=0)
    parts = np.exp(terms - top)
    total = parts.sum(axis=0)
    return np.log(total) + top - ln_l, parts / total


def objective(p, rho, scale, ln_n, ln_d, ln_l):
    r, share = residuals(p, ln_n, ln_d, ln_l)
    value, psi = rho(r)
    return scale * value.sum(), scale * np.array(
        [psi @ share[0], psi @ share[1], psi @ share[2], -(psi * share[0]) @ ln_n, -(psi * share[1]) @ ln_d])


def natural(p):
    a, b, e, alpha, beta = p
    return [float(v) for v in (np.exp(e), np.exp(a), np.exp(b), alpha, beta)]


def classic(rho, scale, data):
    ends = []
    for alpha, beta, e, a, b in GRID:
        with np.errstate(over="ignore", invalid="ignore"):
            end = minimize(objective, [a, b, e, alpha, beta], args=(rho, scale, *data), jac=True, method="L-BFGS-B",
                           options={"maxiter": 1000, "maxfun": 3000, "ftol": 1e-14, "gtol": 1e-9, "maxcor": 10})
        if np.isfinite(end.fun):
            ends.append((float(end.fun) / scale, end.x))
    return sorted(ends, key=lambda end: end[0])


def absolute_from(starts, data):
    def total(p):
        return np.abs(residuals(p, *data)[0]).sum()
    best = None
    for x in starts:
        for _ in range(6):  # a simplex that has collapsed is spread again
            end = minimize(total, x, method="Nelder-Mead",
                           options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-13, "fatol": 1e-15, "adaptive": True})
            x = end.x
        if best is None or end.fun < best[0]:
            best = float(end.fun), x
    return best


def run(job):
    name, (n, d, loss) = job
    data = np.log(n), np.log(d), np.log(loss)
    out = {"points": len(n)}
    starts = []
    for kind, rho, scale in (("huber", huber, 1e5), ("squares", squares, 1e3)):
        ends = classic(rho, scale, data)
        best = ends[0][0]
        out[kind] = {"objective": best, "theta": natural(ends[0][1]), "starts": len(GRID),
                     "starts_within_1e-6": sum(value <= best * (1 + 1e-6) for value, _ in ends)}
        starts += [x for _, x in ends[:3]]
    value, x = absolute_from(starts, data)
    out["absolute"] = {"objective": value, "theta": natural(x)}
    print(name, json.dumps(out), flush=True)
    return name, out


def main():
    jobs = []
    with open(HERE / "fit_sets.csv", "w", newline="") as f:
        f.write("set,n,d,loss\n")
        for name in SETS:
            n, d, loss = (np.array([float(f"{v:.10g}") for v in column]) for column in make(name))
            for row in zip(n, d, loss):
                f.write(name + "".join(f",{v:.10g}" for v in row) + "\n")
            jobs.append((name, (n, d, loss)))
    if len(sys.argv) > 1:
        with open(sys.argv[1], newline="") as f:
            rows = [(float(r["Model Size"]), float(r["Training FLOP"]), float(r["loss"])) for r in csv.DictReader(f)]
        for name, drop in (("epoch-240", 5), ("epoch-245", 0)):
            n, c, loss = np.array(sorted(rows, key=lambda row: row[2])[:len(rows) - drop]).T
            jobs.append((name, (n, c / (6 * n), loss)))
    with multiprocessing.Pool(2) as pool:
        results = dict(pool.imap_unordered(run, sorted(jobs, key=lambda job: -len(job[1][0]))))
    with open(HERE / "fit_lbfgs.json", "w") as f:
        json.dump({"made_by": "tests/oracle/fit_lbfgs.py",
                   "versions": {"python": platform.python_version(), "numpy": np.__version__,
                                "scipy": scipy.__version__},
                   "delta": DELTA,
                   "sets": {name: results[name] for name, _ in jobs}}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
