"""Distances between rows in memory: what is nearest to what, exactly, by brute force.

Rows are points in two ways: as Mami et al. (2022) have them for their score P, and by ranks, which no outlier shrinks.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spark_synth.evaluation.joins import Joined

ONE_HOT = 50  # categories of a column that have a dimension each; by ranks the rarer ones share SIGNS dimensions
SIGNS = 16
PERCENTILE = 5  # of what real rows have among themselves, below which a synthetic row is too near
SETTLED = 4000  # rows above which one cut into halves is enough for a percentile
CUTS = 5
_NULL = "\x1fnull"  # no \0: pandas compares text up to it only


@dataclass(frozen=True)
class Points:
    """float (n, D) of each frame, and the column that each of the D dimensions is of."""

    sides: list[np.ndarray]
    of: np.ndarray


def privacy_score(real: Joined, synth: Joined, seed: int = 0) -> dict[str, Any]:
    """`P`: the share of real rows whose nearest synthetic row is nearer, against their nearest real one, than `alpha`,
    the lowest PERCENTILE of two halves of the real rows to each other (Mami et al. 2022, equation 9). 0.05 is what
    chance gives. `blind`: alpha is 0, as real rows repeat themselves, and so is P whatever the synthetic rows are.

    Of few rows alpha depends on the cut into halves: it is the median over CUTS then.
    """
    a, b = standardised([real.rows, synth.rows], real)
    random, found = np.random.default_rng(seed), []
    for _ in range(1 if len(a) > SETTLED else CUTS):
        one, other = np.array_split(a[random.permutation(len(a))], 2)
        found.append(np.percentile(ratio(nearest(one, other), nearest(one, None)), PERCENTILE))
    alpha = float(np.nan_to_num(np.median(found)))
    share = (ratio(nearest(a, b), nearest(a, None)) < alpha).mean()
    return {"P": float(share), "alpha": alpha, "blind": alpha == 0}


def standardised(frames: list[pd.DataFrame], by: Joined) -> list[np.ndarray]:
    """Numbers standardised by the first frame, categories one-hot."""
    blocks: list[list[np.ndarray]] = []
    for c in by.numbers:
        mean, spread = frames[0][c].mean(), frames[0][c].std()
        spread = spread if spread > 0 else 1.0
        blocks.append([((f[c] - mean) / spread).fillna(0).clip(-1e6, 1e6).to_numpy()[:, None] for f in frames])
    for c in by.categories:
        filled = [f[c].astype(object).where(f[c].notna(), _NULL) for f in frames]
        kept = filled[0].value_counts().index[:ONE_HOT]
        blocks.append([np.eye(len(kept) + 1)[pd.Categorical(f, kept).codes] for f in filled])
    return [np.hstack(parts) for parts in zip(*blocks, strict=True)]


def ranked(frames: list[pd.DataFrame], by: Joined) -> Points:
    """Numbers as their rank (0 to 1) among those of `by`, so that one outlier shrinks nothing; two categories that
    differ are 1 apart, as in Gower's distance (1971); NULL differs from every value by about 1."""
    blocks: list[list[np.ndarray]] = []
    of: list[str] = []
    for c in by.numbers:
        known = np.sort(by.rows[c].dropna().to_numpy(float))
        values, counts = np.unique(known, return_counts=True)
        middle = (np.cumsum(counts) - counts / 2) / max(1, len(known))
        parts = []
        for f in frames:
            missing = f[c].isna().to_numpy()
            rank = np.interp(f[c].fillna(0).to_numpy(float), values, middle) if len(values) else np.zeros(len(f))
            parts.append(np.column_stack([np.where(missing, 0.5, rank), missing]))
        blocks.append(parts)
        of += [c] * 2
    for c in by.categories:
        kept = by.rows[c].value_counts(dropna=True).index[:ONE_HOT]
        parts = [_coded(f[c], kept) for f in frames]
        blocks.append(parts)
        of += [c] * parts[0].shape[1]
    sides = [np.hstack(parts) for parts in zip(*blocks, strict=True)]
    used = np.any([side.any(axis=0) for side in sides], axis=0)  # rare values and NULLs need not occur
    return Points([side[:, used] for side in sides], np.array(of)[used])


def nearest(points: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    """(n,): the distance to the nearest of `others`, or of the other `points`."""
    distance, _ = neighbours(points, others)
    return distance


def neighbours(points: np.ndarray, others: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) distances to the nearest of `others`, or of the other `points`, and (n,) where these are."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=1 if others is not None else 2, algorithm="brute").fit(
        points if others is None else others
    )
    distance, at = found.kneighbors(points)
    return np.where(distance[:, -1] < 1e-6, 0.0, distance[:, -1]), at[:, -1]


def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, 1 where both are 0: no nearer than its own twin."""
    with np.errstate(all="ignore"):
        return np.where((a == 0) & (b == 0), 1.0, a / b)


def _coded(values: pd.Series, kept: pd.Index) -> np.ndarray:
    """(n, D): common categories and NULL one-hot; others by signs of a checksum, so that any two are about as far apart
    as any two common ones."""
    missing = values.isna().to_numpy()
    codes = np.where(missing, len(kept), pd.Categorical(values, kept).codes)
    rare = codes < 0
    one_hot = np.zeros((len(values), len(kept) + 1))
    one_hot[np.flatnonzero(~rare), codes[~rare]] = np.sqrt(0.5)
    names = values.astype(object).where(rare, "").astype(str)
    sums = names.map({v: zlib.crc32(v.encode()) for v in names.unique()}).to_numpy(np.int64)
    signs = 2.0 * ((sums[:, None] >> np.arange(SIGNS)) & 1) - 1
    return np.hstack([one_hot, np.where(rare[:, None], signs, 0.0) * np.sqrt(0.5 / SIGNS)])
