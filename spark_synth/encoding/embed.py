"""Where the rows at both ends of a join table lie by whom they are linked to: a truncated SVD of the adjacency.

Rows with common neighbours lie close together, so clusters of these places are the blocks of a stochastic block model.
Normalised and regularised as in Qin and Rohe (NeurIPS 2013), so that hubs do not make the axes and rows of few links
stay near the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd

from spark_synth.encoding.views import quoted

AXES = 12
MAX_EDGES = 1_000_000  # edges that the driver looks at; the places of all rows follow from these
FEWEST = 1.5  # links per row below which neighbours say nothing
FIXED = 1 << 20  # places are summed as whole multiples of 1 / FIXED: the same sum in whatever order
PARTS = 1 << 20


@dataclass(frozen=True)
class Places:
    """Node (64-bit hash of its key), p0..: the places of the rows at either end, for `axes` axes."""

    left: DataFrame
    right: DataFrame
    axes: int


def node(columns: Sequence[str]) -> Column:
    """The number by which a row is known here."""
    return F.xxhash64(*[quoted(c).cast("string") for c in columns])


def embed(rows: DataFrame, left: Sequence[str], right: Sequence[str], seed: int) -> Places | None:
    """Places of the targets of two foreign keys of `rows`, None where links say nothing about them."""
    edges = rows.dropna(subset=[f"`{c}`" for c in (*left, *right)])
    edges = edges.select(node(left).alias("left"), node(right).alias("right"))
    found, whole = _bounded(edges, seed)
    if not len(found):
        return None
    at_left, lefts = pd.factorize(found["left"], sort=True)
    at_right, rights = pd.factorize(found["right"], sort=True)
    if len(found) < FEWEST * max(len(lefts), len(rights)):
        return None
    places = _decompose(at_left, at_right, (len(lefts), len(rights)))
    if places is None:
        return None
    sides = [_frame(rows, n.to_numpy(), p) for n, p in zip((lefts, rights), places, strict=True)]
    axes = places[0].shape[1]
    if not whole:
        sides[0] = _neighbours(edges, "right", sides[1], axes)
        sides[1] = _neighbours(edges, "left", sides[0], axes)
    return Places(sides[0], sides[1], axes)


def _bounded(edges: DataFrame, seed: int) -> tuple[pd.DataFrame, bool]:
    """Up to about MAX_EDGES edges, and whether these are all: those of some rows at the left, then some of theirs."""
    count = edges.count()
    sample = edges
    for key in (["left"], ["left", "right"]):
        if count > MAX_EDGES:
            share = F.pmod(F.xxhash64(*key, F.lit(seed)), F.lit(PARTS))
            sample = sample.where(share < int(PARTS * MAX_EDGES / count))
            count = sample.count()
    return sample.toPandas(), sample is edges


def _decompose(left: np.ndarray, right: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """float64 (L, A), (R, A): places of both sides, on the axes that a random graph of these degrees has not."""
    counts = [np.bincount(x, minlength=n).astype(float) for x, n in zip((left, right), shape, strict=True)]
    scale = [1 / np.sqrt(c + c.mean()) for c in counts]
    weights = scale[0][left] * scale[1][right]
    matrix = csr_matrix((weights, (left, right)), shape=shape)
    axes = min(AXES + 1, *shape)
    u, s, v = randomized_svd(matrix, n_components=axes, n_iter=6, random_state=0)
    noise = sum(1 / np.sqrt(2 * c.mean()) for c in counts)  # the largest value of chance alone, about
    kept = [k for k in range(1, axes) if s[k] > noise]
    if not kept:
        return None
    return (u[:, kept] * s[kept] * scale[0][:, None], v.T[:, kept] * s[kept] * scale[1][:, None])


def _frame(rows: DataFrame, nodes: np.ndarray, places: np.ndarray) -> DataFrame:
    scaled = places / np.sqrt(np.square(places).sum(1).mean())
    columns = {f"p{i}": column for i, column in enumerate(scaled.T)}
    return rows.sparkSession.createDataFrame(pd.DataFrame({"node": nodes, **columns}))


def _neighbours(edges: DataFrame, by: str, places: DataFrame, axes: int) -> DataFrame:
    """The mean place of every node's neighbours: edges join their end `by` with `places`."""
    other = "left" if by == "right" else "right"
    whole = [F.round(F.col(f"p{i}") * FIXED).cast("bigint") for i in range(axes)]
    known = places.select(F.col("node").alias(by), *[w.alias(f"p{i}") for i, w in enumerate(whole)])
    sums = edges.join(known, by).groupBy(F.col(other).alias("node"))
    mean = [(F.sum(f"p{i}") / F.count(F.lit(1)) / FIXED).alias(f"p{i}") for i in range(axes)]
    return sums.agg(*mean)
