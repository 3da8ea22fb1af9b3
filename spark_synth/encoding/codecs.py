"""Column codecs: values to small integer codes and back, fitted from Spark statistics, stored as JSON.

A codec never keeps rows: numbers keep a quantile grid, categories those above the rare threshold.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from spark_synth.encoding.profile import NumericProfile, ValueCounts

MIN_BIN_ROWS = 25
TAIL_ROWS = 10  # of a part of a bin that was too wide
FEATURES = 6  # cosines that tell the place of an ordered code
NULL = 0  # the code of NULL in a nullable column


def ordered_features(places: np.ndarray) -> np.ndarray:
    """float64 (K, FEATURES): cosines of the places (K,) in [0, 1], by which neighbours are alike."""
    cosines: np.ndarray = np.cos(np.pi * np.asarray(places, dtype=float)[:, None] * np.arange(1, FEATURES + 1))
    return cosines


@dataclass
class NumericCodec:
    """Numbers as one code: NULL, exact values that are frequent, or quantile bins.

    special: frequent values, each a code of its own (zeros, sentinels, round numbers; all values if they are few).
    bins: for each bin the quantile grid inside it; decoding interpolates there, so marginals keep their shape.
    decimals: digits after the point in the real data (0 for integers); None keeps full precision.
    """

    nullable: bool
    special: list[float] = field(default_factory=list)
    bins: list[list[float]] = field(default_factory=list)
    decimals: int | None = None

    @property
    def card(self) -> int:
        """Number of codes, at least 1."""
        return max(1, int(self.nullable) + len(self.special) + len(self.bins))

    def features(self) -> np.ndarray:
        """float64 (card, FEATURES): cosines of each code's place in the order of values; zero for NULL."""
        values = [*self.special, *(b[len(b) // 2] for b in self.bins)]
        rank = np.argsort(np.argsort(values, kind="stable"), kind="stable") / max(1, len(values) - 1)
        return np.concatenate([np.zeros((self.card - len(rank), FEATURES)), ordered_features(rank)])

    def lowest(self) -> np.ndarray:
        """float64 (card,): the smallest value of each code, NaN for NULL."""
        return self._ends(0)

    def highest(self) -> np.ndarray:
        """float64 (card,): the largest value of each code, NaN for NULL."""
        return self._ends(-1)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Codes int64 (n,) of float64 values (n,), NaN for NULL. Unseen values go to the nearest bin or value."""
        values = np.asarray(values, dtype=np.float64)
        missing = np.isnan(values)
        filled = np.where(missing, 0.0, values)
        codes = self._bin(filled) if self.bins else self._nearest_special(filled)
        if self.special and self.bins:
            special = np.asarray(self.special)
            at = np.searchsorted(special, filled).clip(0, len(special) - 1)
            codes = np.where(special[at] == filled, at, codes + len(special))
        codes = codes + int(self.nullable)
        return np.where(missing, NULL, codes).astype(np.int64)

    def decode(self, codes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Values float64 (n,), NaN for NULL; `uniform` float64 (n,) places each value inside its bin."""
        index = np.asarray(codes) - int(self.nullable)
        out = np.full(len(index), np.nan)
        exact = (index >= 0) & (index < len(self.special))
        out[exact] = np.asarray(self.special, dtype=float)[index[exact]]
        binned = index >= len(self.special)
        if self.bins and binned.any():
            out[binned] = self._inside(index[binned] - len(self.special), uniform[binned])
        return out

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"codec": "numeric", **asdict(self)}

    def _ends(self, at: int) -> np.ndarray:
        ends = [*[math.nan] * int(self.nullable), *self.special, *(b[at] for b in self.bins)]
        return np.array(ends or [0.0], dtype=float)

    def _bin(self, values: np.ndarray) -> np.ndarray:
        uppers = np.array([b[-1] for b in self.bins[:-1]])
        return np.searchsorted(uppers, values, side="left")

    def _nearest_special(self, values: np.ndarray) -> np.ndarray:
        if not self.special:
            return np.zeros(len(values), dtype=np.int64)
        special = np.asarray(self.special)
        middles = (special[1:] + special[:-1]) / 2
        return np.searchsorted(middles, values)

    def _inside(self, at: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        width = max(len(b) for b in self.bins)
        grid = np.array([b + [b[-1]] * (width - len(b)) for b in self.bins], dtype=float)
        last = np.array([len(b) - 1 for b in self.bins])[at]
        place = uniform * last
        low = np.minimum(place.astype(int), np.maximum(last - 1, 0))
        high = np.minimum(low + 1, last)
        share = place - low
        values = grid[at, low] * (1 - share) + grid[at, high] * share
        out: np.ndarray = values if self.decimals is None else np.round(values, self.decimals)
        return out


@dataclass
class CategoricalCodec:
    """Categories as one code: NULL, kept categories, and one code for all rare ones.

    Rare categories are never emitted: their code decodes to kept ones, the rarest of them most often, so that what is
    unusual in the real rows stays unusual.
    """

    nullable: bool
    categories: list[str]
    counts: list[float]
    other: bool = False

    @property
    def card(self) -> int:
        """Number of codes, at least 1."""
        return max(1, int(self.nullable) + len(self.categories) + int(self.other))

    def features(self) -> np.ndarray:
        """float64 (card, 0): categories have no order."""
        return np.zeros((self.card, 0))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Codes int64 (n,) of text values (n,), None for NULL."""
        series = pd.Series(values, dtype=object)
        at = pd.Index(self.categories, dtype=object).get_indexer(pd.Index(series))
        missing = series.isna().to_numpy()
        unseen = len(self.categories) if self.other else 0
        codes = np.where(at >= 0, at, unseen) + int(self.nullable)
        return np.where(missing, NULL, codes).astype(np.int64)

    def decode(self, codes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Text values object (n,), None for NULL."""
        index = np.asarray(codes) - int(self.nullable)
        if self.other and self.categories:
            weights = 1 / np.asarray(self.counts)
            cumulative = np.cumsum(weights) / weights.sum()
            substitute = np.searchsorted(cumulative, uniform, side="right").clip(max=len(self.categories) - 1)
            index = np.where(index == len(self.categories), substitute, index)
        table = np.array([*self.categories, None], dtype=object)
        index = np.where((index < 0) | (index >= len(self.categories)), len(self.categories), index)
        out: np.ndarray = table[index]
        return out

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"codec": "categorical", **asdict(self)}


Codec = NumericCodec | CategoricalCodec


def codec_from_json(data: dict[str, Any]) -> Codec:
    """The codec written by `to_json`."""
    fields = {k: v for k, v in data.items() if k != "codec"}
    return NumericCodec(**fields) if data["codec"] == "numeric" else CategoricalCodec(**fields)


def fit_numeric(
    profile: NumericProfile,
    counts: ValueCounts | None,
    max_bins: int,
    bin_rows: int = MIN_BIN_ROWS,
    widest: float = math.inf,
) -> NumericCodec:
    """A codec for a numeric column.

    counts: all distinct values where they are few (then each is a code), else None.
    Bins hold at least `bin_rows` rows each, so a small table gets few and coarse ones. One that is wider than `widest`
    spreads of the column, as those of a long tail are, is cut further while its parts hold TAIL_ROWS rows.
    """
    nullable = profile.nulls > 0
    filled = profile.rows - profile.nulls
    if filled == 0:
        return NumericCodec(nullable=True)
    bins = int(np.clip(filled // bin_rows, 4, max_bins))
    if counts is not None and len(counts) <= max_bins:
        return NumericCodec(nullable, sorted(float(v) for v, _ in counts), decimals=profile.decimals)
    grid = np.asarray(profile.grid)
    values, runs = np.unique(grid, return_counts=True)
    heavy = runs >= max(3, (len(grid) - 1) // (2 * max_bins))
    if heavy.sum() > max_bins // 2:
        heavy &= runs >= np.sort(runs)[-(max_bins // 2)]
    rest = grid[~np.isin(grid, values[heavy])]
    if len(rest) < 2:
        rest = np.array([grid[0], grid[-1]])
    bins = max(2, min(bins, len(rest) // 4 or 1))
    cuts = np.unique(np.linspace(0, len(rest) - 1, bins + 1).astype(int))
    least = max(1, math.ceil(TAIL_ROWS * len(grid) / filled))
    width = widest * profile.std if profile.std else math.inf
    ends = zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    cuts = np.array([0, *(e for a, b in ends for e in _cut(rest, a, b, width, least))])
    pieces = [rest[a : b + 1].tolist() for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    return NumericCodec(nullable, values[heavy].tolist(), pieces, profile.decimals)


def _cut(values: np.ndarray, first: int, last: int, width: float, least: int) -> list[int]:
    """Where the parts of an interval of ascending values end, none wider than `width` unless it has few values."""
    if last - first < 2 * least or values[last] - values[first] <= width:
        return [last]
    middle = int(np.searchsorted(values, (values[first] + values[last]) / 2))
    middle = min(max(middle, first + least), last - least)
    return _cut(values, first, middle, width, least) + _cut(values, middle, last, width, least)


def fit_categorical(
    counts: ValueCounts, rows: int, nulls: int, max_categories: int, threshold: int
) -> CategoricalCodec:
    """A codec for a categorical column from its most frequent values and their counts."""
    kept = [(v, float(n)) for v, n in counts if n >= threshold][:max_categories]
    covered = sum(n for _, n in kept)
    return CategoricalCodec(
        nullable=nulls > 0,
        categories=[v for v, _ in kept],
        counts=[n for _, n in kept],
        other=covered < rows - nulls,
    )
