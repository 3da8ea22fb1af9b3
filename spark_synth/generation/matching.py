"""Rows and stubs meet inside clusters: exact degrees on both sides, no cross join, no task that a hub fills.

Every target row with degree d offers d stubs. Rows and stubs are numbered inside their cluster; as many of either side
as the other has get a slot of the cluster, and what is left over meets in the order of the clusters, where neighbours
are alike. It is evenly spread, in runs where the rows of a family may have the same target, so that few families are
torn apart. Inside a cluster row r takes stub (a r + b) mod M with a near M times the golden ratio and coprime to M, so
that the siblings of a family take stubs that lie far apart. Both sides meet in one equi-join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.generation.degrees import prefix_sums, scattering, spread
from spark_synth.generation.seeds import stream

RUN = 16  # rows of a cluster, next to each other, that go to another cluster together
PIECE = 1024  # stubs of one target that are numbered together
WIDE = "decimal(38,0)"
NARROW = 3_000_000_000  # rows of a cluster whose products still fit 64 bits, which are five times as fast


@dataclass(frozen=True)
class Cells:
    """int64 (K,) each: rows and stubs of every cluster, and how many of them meet inside it."""

    rows: np.ndarray
    stubs: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """Slots of each cluster."""
        return np.minimum(self.rows, self.stubs)

    @property
    def begin(self) -> np.ndarray:
        """The first slot of each cluster."""
        return _before(self.inside)

    def left(self, side: np.ndarray) -> np.ndarray:
        """The first slot of what each cluster has left of a side: `rows` or `stubs`."""
        begin: np.ndarray = self.inside.sum() + _before(side - self.inside)
        return begin


def match(
    rows: DataFrame, targets: DataFrame, clusters: int, seed: int, keys: Sequence[str], once: bool = True
) -> DataFrame:
    """`rows` with `keys` of the target row that each is linked to, __slot (from 0), and __low and __span, the slots of
    its cluster.

    rows: __idx, unique, and __cell, a cluster from 0, NULL for rows that want no target; they keep NULL.
    targets: __idx, __cell, `size` (stubs, in all as many as there are rows that want one) and `keys`. once: whether the
    rows of a family must have different targets.
    """
    wanting = rows.where("__cell IS NOT NULL").withColumn("__one", F.lit(1).cast("bigint"))
    placed, asked = _ranked(wanting, "__one", clusters)
    offered, stubs = _ranked(targets, "size", clusters)
    cells = Cells(asked, stubs)
    count = int(asked.sum())
    mine = _slot(F.col("__rank"), cells, cells.rows, seed, 1 if once else RUN)
    known = placed.withColumn("__slot", mine).drop("__rank", "__one")
    theirs = _slot(F.col("__stub"), cells, cells.stubs, None)
    found = numbered(offered, ["__cell", *keys], count).select(theirs.alias("__slot"), *keys)
    joined = spread(known, ["__slot"], count).join(spread(found, ["__slot"], count), "__slot", "left")
    low, span = _of(cells.begin), _of(np.maximum(cells.inside, 1))
    made = joined.withColumn("__low", low).withColumn("__span", span)
    return made.unionByName(rows.where("__cell IS NULL"), allowMissingColumns=True)


def _ranked(rows: DataFrame, weight: str, clusters: int) -> tuple[DataFrame, np.ndarray]:
    """`rows` with __rank, the sum of `weight` over the rows of the same cluster before it; its sum by cluster."""
    placed, sums = prefix_sums(rows, weight, "__cell")
    totals = np.zeros(clusters, dtype=np.int64)
    totals[list(sums)] = list(sums.values())
    return placed.withColumnRenamed("__start", "__rank"), totals


def _slot(rank: Column, cells: Cells, side: np.ndarray, seed: int | None, run: int = 1) -> Column:
    """The slot of the row or stub with that rank in its cluster; seed: permutes the slots of the cluster; run: how many
    next to each other are left over."""
    left = side - cells.inside
    runs = np.minimum(-(-left // run), cells.inside).clip(min=1)  # as many parts, each with a run at its end
    wide = _wide(side)
    part = _quotient((rank + 1).cast(wide) * _of(runs) - 1, _of(side), wide)
    over, after = _share(part, left, runs, wide), _share(part + 1, left, runs, wide)
    end = _share(part + 1, side, runs, wide) - after
    place = F.least(rank - over, end).cast("bigint")
    slot = place if seed is None else _permuted(place, cells.inside, seed)
    return F.when(place < end, _of(cells.begin) + slot).otherwise(_of(cells.left(side)) + rank - place)


def _wide(sizes: np.ndarray) -> str:
    """The type that holds the product of two numbers up to these."""
    return "bigint" if int(sizes.max(initial=0)) < NARROW else WIDE


def _share(part: Column, whole: np.ndarray, runs: np.ndarray, wide: str) -> Column:
    """How much of `whole` lies in the first parts."""
    return _quotient(part.cast(wide) * _of(whole), _of(runs), wide)


def _quotient(a: Column, b: Column, wide: str) -> Column:
    """The whole part; unlike floor(a / b) it is exact for any size."""
    return F.call_function("div", a, b.cast(wide))


def _permuted(place: Column, sizes: np.ndarray, seed: int) -> Column:
    """A bijection of 0..size-1 in every cluster."""
    factors, shifts = np.ones(len(sizes), dtype=np.int64), np.zeros(len(sizes), dtype=np.int64)
    for c, size in enumerate(sizes.tolist()):
        factors[c], shifts[c] = scattering(size), stream(seed, "slots", c) % max(1, size)
    wide = _wide(sizes)
    at = place.cast(wide) * _of(factors) + _of(shifts)
    return F.pmod(at, _of(np.maximum(sizes, 1)).cast(wide)).cast("bigint")


def _of(values: np.ndarray) -> Column:
    """The value of the row's cluster. One expression, since thousands of literals take Python a minute to make."""
    return F.expr(f"array({', '.join(f'{int(v)}L' for v in values)})").getItem(F.col("__cell"))


def _before(values: np.ndarray) -> np.ndarray:
    sums: np.ndarray = np.cumsum(values) - values
    return sums


def numbered(ranked: DataFrame, keys: list[str], count: int) -> DataFrame:
    """(__stub, `keys`): each target once for every number from __rank to __rank + size - 1; about `count` in all.

    Large degrees are cut into pieces that are dealt out to all tasks, so that a hub neither fills nor delays one.
    """
    last = F.col("__rank") + F.col("size") - 1
    starts = F.explode(F.sequence(F.col("__rank"), last, F.lit(PIECE).cast("bigint"))).alias("__stub")
    pieces = ranked.where(F.col("size") > 0).select(starts, last.alias("__last"), *keys)
    pieces = spread(pieces, ["__stub"], count)
    inside = F.sequence(F.col("__stub"), F.least(F.col("__last"), F.col("__stub") + PIECE - 1))
    return pieces.select(F.explode(inside).alias("__stub"), *keys)
