"""What gives synthetic rows away, drawn: the values of one feature on both sides, as far as they may be shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spark_synth.evaluation import bins
from spark_synth.evaluation.contents import NAMED, NAMED_ROWS, bars_plot, categories_plot, coarse, in_fives

QUANTILES = 101  # of the real values, from which the axis is made


def feature_plot(values: pd.Series, real: np.ndarray, kind: str) -> dict[str, Any] | None:
    """The plot of a feature as charts.chart draws it; None where too few real rows have a value.

    values: of the rows of both sides, numbers (datetime: seconds since 1970) or text; real: bool (n,), which rows are
    real; kind: numeric, datetime or category. No bar and no category tells of fewer than NAMED_ROWS real rows.
    """
    known = values.notna().to_numpy()
    sides = [values[known & real], values[known & ~real]]
    if len(sides[0]) < NAMED_ROWS:
        return None
    return _categories(*sides) if kind == "category" else _bars([s.to_numpy(float) for s in sides], kind)


def _bars(sides: list[np.ndarray], kind: str) -> dict[str, Any]:
    whole = bool((sides[0] == np.floor(sides[0])).all())
    at = bins.edges(np.quantile(sides[0], np.linspace(0, 1, QUANTILES)), whole, kind == "datetime")
    bars = np.stack([np.histogram(s.clip(at[0], at[-1]), at)[0] for s in sides]).astype(np.float64)
    return bars_plot(*coarse(at, bars), kind)


def _categories(real: pd.Series, synth: pd.Series) -> dict[str, Any]:
    counts = real.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    named = counts[counts >= NAMED_ROWS].index[:NAMED]
    counted = [np.asarray(s.value_counts().reindex(named, fill_value=0), dtype=np.float64) for s in (real, synth)]
    rest = [float((~s.isin(named)).sum()) for s in (real, synth)]
    ours, theirs = [*in_fives(counted[0]), rest[0]], [*counted[1], rest[1]]
    return categories_plot([str(v) for v in named], ours, theirs, [sum(ours), sum(theirs)])
