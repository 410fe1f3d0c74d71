#!/usr/bin/env python3
"""The optimum of the data-constrained law (Muennighoff et al. 2023, eq. 5 and 6) under C = 6 N D,
in 50 digits, for tests/unit/test_fit_recommend.c: budget, distinct tokens, N, D, loss.
Only Python's decimal (ran with 3.11)."""
from decimal import Decimal as D, getcontext

getcontext().prec = 50
E, A, B, ALPHA, BETA, R_D, R_N = map(
    D, ("1.8172", "482.01", "2085.43", ".3478", ".3658", "10", "10"))


def power(x, exponent):
    return (exponent * x.ln()).exp()


def worth(amount, distinct, r):
    if amount <= distinct:
        return amount
    return distinct + distinct * r * (1 - (-(amount / distinct - 1) / r).exp())


def loss(ln_n, c, unique):
    n = ln_n.exp()
    d = c / (6 * n)
    new = min(unique, d)
    size = power(ALPHA * A / (BETA * B) * power(new, BETA), 1 / ALPHA)
    return E + A * power(worth(n, size, R_N), -ALPHA) + B * power(worth(d, new, R_D), -BETA)


def best(c, unique, low=D(11), high=D(26), cells=300, h=D("1e-15")):
    grid = [low + (high - low) * i / cells for i in range(cells + 1)]
    least = min(range(1, cells), key=lambda i: loss(grid[i], c, unique))
    low, high = grid[least - 1], grid[least + 1]
    for _ in range(110):
        middle = (low + high) / 2
        if loss(middle + h, c, unique) < loss(middle - h, c, unique):
            low = middle
        else:
            high = middle
    return low


for c, unique in (("1e19", "1e8"), ("1e20", "1e9"), ("1e21", "2e9"), ("1e18", "1e9")):
    x = best(D(c), D(unique))
    print(c, unique, "%.13g %.13g %.13g" % (x.exp(), D(c) / 6 / x.exp(), loss(x, D(c), D(unique))))
