"""The formulas of the report, on small arrays of counts and sums. No Spark here: every one can be checked by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STRONG = 0.1  # real associations above it are expected to survive
MIN_ROWS = 10  # an association over fewer complete rows says nothing


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are there; None where there are none."""
    found = [v for v in values if v is not None and np.isfinite(v)]
    return float(np.mean(found)) if found else None


def ks(real: Floats, synth: Floats) -> float | None:
    """Kolmogorov-Smirnov distance of two histograms over the same ordered cells; None where either is empty."""
    if not real.sum() or not synth.sum():
        return None
    return float(np.abs(np.cumsum(real) / real.sum() - np.cumsum(synth) / synth.sum()).max())


def total_variation(real: Floats, synth: Floats) -> float | None:
    """Half the summed difference of two tables of counts, each as shares; None where either is empty."""
    if not real.sum() or not synth.sum():
        return None
    return float(np.abs(real / real.sum() - synth / synth.sum()).sum() / 2)


def pearson(n: Floats, sx: Floats, sy: Floats, sxx: Floats, syy: Floats, sxy: Floats) -> Floats:
    """Correlations from sums over complete rows, elementwise; NaN for fewer than 2 rows or a constant side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        vx, vy = sxx / n - (sx / n) ** 2, syy / n - (sy / n) ** 2
        # the sums are of standardised values, so a variance this small is rounding error of a constant
        spread = np.where((n > 1) & (vx > 1e-9) & (vy > 1e-9), np.sqrt(np.abs(vx * vy)), np.nan)
        return np.asarray(np.clip((sxy / n - sx * sy / n**2) / spread, -1.0, 1.0), dtype=np.float64)


def correlation_ratio(n: Floats, s: Floats, ss: Floats) -> float | None:
    """How much of a number its category explains (adjusted eta), from counts, sums and squares per category."""
    used = n > 0
    n, s, ss = n[used], s[used], ss[used]
    rows, levels = n.sum(), len(n)
    if rows < MIN_ROWS or levels < 2:
        return None
    total = float(ss.sum() - s.sum() ** 2 / rows)
    if total <= 1e-9 * rows:
        return None
    between = float((s**2 / n).sum() - s.sum() ** 2 / rows)
    unexplained = (1 - between / total) * (rows - 1) / max(1.0, rows - levels)
    return float(np.sqrt(min(1.0, max(0.0, 1 - unexplained))))


def cramers_v(table: Floats) -> float | None:
    """Cramer's V of a contingency table with Bergsma's correction for bias."""
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    n = float(table.sum())
    r, k = table.shape
    if n < MIN_ROWS or min(r, k) < 2:
        return None
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
    phi2 = max(0.0, float(((table - expected) ** 2 / expected).sum()) / n - (r - 1) * (k - 1) / (n - 1))
    side = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi2 / max(1e-9, side))))


def auc_spread(auc: float, positive: int, negative: int) -> float:
    """The standard error of an AUC of so many rows of either kind (Hanley and McNeil, 1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    rest = (positive - 1) * (q1 - auc**2) + (negative - 1) * (q2 - auc**2)
    return float(np.sqrt(max(0.0, auc * (1 - auc) + rest) / (positive * negative)))


def mutual_information(table: Floats) -> float | None:
    """Mutual information of a contingency table over the geometric mean of both entropies: 0 where the two tell nothing
    of each other, 1 where one is the other."""
    n = float(table.sum())
    if n < MIN_ROWS:
        return None
    p = table / n
    a, b = p.sum(1), p.sum(0)
    entropies = [-float((v[v > 0] * np.log(v[v > 0])).sum()) for v in (a, b)]
    if min(entropies) <= 0:
        return None
    there = p > 0
    information = float((p[there] * np.log(p[there] / np.outer(a, b)[there])).sum())
    return max(0.0, information / float(np.sqrt(entropies[0] * entropies[1])))


def kept_share(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Of the real associations above STRONG, the share that is neither lost nor exceeded: 1 if all are as strong, with
    the same sign, in the synthetic rows. pairs: (real, synthetic); None where no real one is strong."""
    strong = [(abs(r), abs(r - s)) for r, s in pairs if abs(r) > STRONG]
    return sum(max(0.0, r - d) for r, d in strong) / sum(r for r, _ in strong) if strong else None
