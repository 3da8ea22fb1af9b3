"""Where the bars of a histogram begin and end: round widths, so that no single real value can be read off an edge."""

from __future__ import annotations

import math

import numpy as np

from spark_synth.evaluation.measures import Floats

TARGET = 24
_SECONDS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
_DAYS = (1, 2, 7, 14, 30, 91, 182, 365, 730, 1826, 3652, 9131, 18262, 36525)
_TIMES = tuple(float(s) for s in _SECONDS) + tuple(86400.0 * d for d in _DAYS)


def edges(quantiles: Floats, whole: bool, time: bool) -> Floats:
    """Edges of 1 to about 30 bars for these evenly spaced quantiles; the outermost bars hold what lies beyond."""
    if not len(quantiles):
        return np.zeros(0)
    low, high = (float(np.quantile(quantiles, q)) for q in (0.01, 0.99))
    if low == high:
        low, high = float(quantiles[0]), float(quantiles[-1])
    width = _width((high - low) / TARGET, whole, time)
    start = math.floor(low / width) * width
    count = max(1, math.floor((high - start) / width) + 1)
    return np.asarray(start + width * np.arange(count + 1), dtype=np.float64)


def _width(wanted: float, whole: bool, time: bool) -> float:
    if time:
        return next((t for t in _TIMES if t >= wanted), 86400.0 * 36525 * math.ceil(wanted / (86400.0 * 36525)))
    if wanted <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(wanted))
    width = next(m * scale for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * scale >= wanted * (1 - 1e-9))
    return max(1.0, float(math.ceil(width))) if whole else width


def degree_edges(highest: float) -> Floats:
    """Edges of the bars of a histogram of numbers of children: one bar a number while there are few of them."""
    width = max(1, math.ceil((highest + 1) / TARGET))
    return np.arange(0, math.ceil((highest + 1) / width) + 1, dtype=np.float64) * width
