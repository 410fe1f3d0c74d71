#!/usr/bin/env python3
"""The peer of bench-fit: the bootstrap of a parametric fit as one writes it with NumPy.

All replicates side by side in arrays of (replicates, points), Hoffmann et al.'s objective (a sum of
Huber's function of the difference of logarithms, delta 1e-3), minimised by reweighted Gauss-Newton
steps with Levenberg's damping, all from the optimum of the points as they are, until no replicate
gains a relative 1e-7 any more.

Usage: bench_fit_numpy.py POINTS.csv N-COLUMN C-COLUMN LOSS-COLUMN DROP-TOP REPLICATES THREADS
Prints a line of JSON: seconds, the parameters, their 95 % intervals, the mean objective.
"""
import csv
import json
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = sys.argv[7]
import numpy as np  # noqa: E402 (its threads are chosen above)

DELTA = 1e-3


def read(path, n, c, loss, drop):
    rows = sorted(csv.DictReader(open(path)), key=lambda row: float(row[loss]))
    rows = rows[: len(rows) - drop]
    size = np.array([float(row[n]) for row in rows])
    tokens = np.array([float(row[c]) for row in rows]) / (6 * size)
    return np.log(size), np.log(tokens), np.log([float(row[loss]) for row in rows])


def residuals(theta, x, y, z):
    """theta (R, 5): ln A, ln B, ln E, alpha, beta. Residuals (R, P) and their derivatives (R, P, 5)."""
    a = np.exp(theta[:, 0:1] - theta[:, 3:4] * x)
    b = np.exp(theta[:, 1:2] - theta[:, 4:5] * y)
    e = np.broadcast_to(np.exp(theta[:, 2:3]), a.shape)
    total = a + b + e
    slopes = np.stack([a, b, e, -a * x, -b * y], axis=2) / total[:, :, None]
    return np.log(total) - z, slopes


def objective(r, weight):
    size = np.abs(r)
    return (weight * np.where(size <= DELTA, r * r / 2, DELTA * (size - DELTA / 2))).sum(axis=1)


def minimise(theta, weight, x, y, z, gain=1e-7, most=600):
    damping = np.full(len(theta), 1e-3)
    r, slopes = residuals(theta, x, y, z)
    value = objective(r, weight)
    active = np.arange(len(theta))
    quiet = np.zeros(len(theta), int)
    for _ in range(most):
        w = weight[active] * np.minimum(1, DELTA / np.maximum(np.abs(r[active]), 1e-300))
        j = slopes[active]
        jw = j * w[:, :, None]
        hessian = np.einsum("rpi,rpj->rij", jw, j, optimize=True)
        gradient = np.einsum("rpi,rp->ri", jw, r[active])
        diagonal = np.einsum("rii->ri", hessian)
        hessian = hessian + np.eye(5) * (damping[active, None] * diagonal + 1e-15)[:, None, :]
        trial = theta[active] - np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        trial_r, trial_slopes = residuals(trial, x, y, z)
        trial_value = objective(trial_r, weight[active])
        better = trial_value < value[active]
        step = np.where(better, 1 - trial_value / value[active], 0)
        damping[active] = np.clip(damping[active] * np.where(better, 0.3, 10), 1e-12, 1e12)
        quiet[active] = np.where(step > gain, 0, quiet[active] + 1)
        won = active[better]
        theta[won], r[won], slopes[won], value[won] = (
            trial[better], trial_r[better], trial_slopes[better], trial_value[better])
        active = active[quiet[active] < 5]
        if not len(active):
            break
    return theta, value


def main():
    path, n, c, loss = sys.argv[1:5]
    drop, replicates = int(sys.argv[5]), int(sys.argv[6])
    begin = time.perf_counter()
    x, y, z = read(path, n, c, loss, drop)
    one = np.ones((1, len(x)))
    starts = np.array([[a, b, e, alpha, beta] for a in (0, 10, 20) for b in (0, 10, 20)
                       for e in (0, 1) for alpha in (0.2, 0.5, 1) for beta in (0.2, 0.5, 1)], float)
    found, value = minimise(starts, np.repeat(one, len(starts), axis=0), x, y, z)
    best = found[np.argmin(value)]
    draws = np.random.default_rng(1).integers(0, len(x), (replicates, len(x)))
    weight = np.stack([np.bincount(row, minlength=len(x)) for row in draws]).astype(float)
    theta, value = minimise(np.repeat(best[None], replicates, axis=0), weight, x, y, z)
    seconds = time.perf_counter() - begin
    natural = theta.copy()
    natural[:, :3] = np.exp(theta[:, :3])
    names = ["A", "B", "E", "alpha", "beta"]
    low, high = np.percentile(natural, [2.5, 97.5], axis=0)
    print(json.dumps({
        "seconds": seconds,
        "parameters": dict(zip(names, [*np.exp(best[:3]), *best[3:]])),
        "low95": dict(zip(names, low)),
        "high95": dict(zip(names, high)),
        "mean_objective": float(value.mean()),
        "numpy": np.__version__,
    }, default=float))


main()
