"""Pairs: a number that keeps near another one of its row, and is better coded as the difference (encoding.near)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from spark_synth.encoding.derive_sample import MIN_ROWS, Sample, surprise

NEAR = 0.5  # spread of a difference, as a share of the spread of the number itself, that makes it worth coding
BEST = 1.2  # spread of the difference, as a multiple of what the best line leaves: no other slope may do better
_DIGITS = 6  # of a difference, beyond which it is noise


def near_pairs(sample: Sample, derived: Collection[str]) -> dict[str, str]:
    """Columns that may be coded as their difference to an earlier column of the table, and that column.

    derived: columns that rules compute; they are neither.
    """
    names = [c for c in sample.numbers if c not in derived]
    out = {}
    for i, c in enumerate(names):
        if c not in sample.targets:
            continue
        spreads = {b: s for b in names[:i] if (s := _spread(sample, c, b)) is not None}
        if spreads:
            out[c] = min(spreads, key=lambda b: spreads[b])
    return out


def _spread(sample: Sample, column: str, base: str) -> float | None:
    """Spread of the difference, where it says more than the column itself: narrower at large and in its middle, its
    values no rarer, and known wherever the column is."""
    own, other = sample.numbers[column], sample.numbers[base]
    present = ~np.isnan(own)
    values = own[present]
    difference = np.round(values - other[present], _DIGITS)
    if len(values) < MIN_ROWS or np.isnan(difference).any():
        return None
    if _evidence(difference) > _evidence(values):
        return None
    found, counts = np.unique(values, return_counts=True)
    usual = values == found[counts.argmax()]  # often a stand-in for what was not recorded, on both sides
    values, difference, other = values[~usual], difference[~usual], other[present][~usual]
    if len(values) < MIN_ROWS:
        return None
    spread = float(difference.std())
    if not values.std() or not other.std() or spread > BEST * _unexplained(values, other):
        return None
    return spread if spread < NEAR * values.std() and _middle(difference) <= _middle(values) else None


def _unexplained(values: np.ndarray, other: np.ndarray) -> float:
    """Spread of what is left of the values when they are predicted by a line."""
    return float(values.std() * np.sqrt(max(0.0, 1 - np.corrcoef(values, other)[0, 1] ** 2)))


def _middle(values: np.ndarray) -> float:
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)


def _evidence(values: np.ndarray) -> float:
    """Nats that a value tells on average."""
    return float(surprise(np.unique(values, return_inverse=True)[1]).mean())
