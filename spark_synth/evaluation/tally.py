"""One pass over the rows that counts everything the metrics need, real and synthetic together.

Each task adds its Arrow batches into one vector of counts and sums per side and emits the cells that are not zero;
Spark sums them. What reaches the driver is bounded by the plan, not by the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.measures import Floats

_CELLS = pa.schema([("side", pa.int32()), ("cell", pa.int64()), ("value", pa.float64())])
_MOMENTS = 6  # n, sum x, sum y, sum xx, sum yy, sum xy


@dataclass(frozen=True)
class Axis:
    """A column as the pass sees it: one double a row. Categories come as 1..n for the n commonest real values, 0 for
    all others; NaN is NULL."""

    name: str
    number: bool
    quantiles: Floats = field(default_factory=lambda: np.zeros(0))  # of the real values, evenly spaced, ascending
    bars: Floats = field(default_factory=lambda: np.zeros(0))  # histogram edges
    top: tuple[str, ...] = ()
    mean: float = 0.0
    spread: float = 1.0

    @cached_property
    def grid(self) -> Floats:
        """Distinct real quantiles, between which values are counted."""
        return np.unique(self.quantiles)

    @cached_property
    def cuts(self) -> Floats:
        """Inner deciles of the real column."""
        return np.unique(np.quantile(self.quantiles, np.arange(1, 10) / 10)) if len(self.quantiles) else np.zeros(0)

    def codes(self, values: Floats, levels: int) -> NDArray[np.int64]:
        """Values as 0..levels-1, the last one for rare categories, and `levels` for NULL."""
        known = ~np.isnan(values)
        filled = np.where(known, values, 0.0)
        if self.number:
            found = np.searchsorted(self.cuts, filled, side="right")
        else:
            found = np.where(filled > 0, np.minimum(filled.astype(np.int64) - 1, levels - 1), levels - 1)
        return np.where(known, found, levels)


@dataclass(frozen=True)
class Plan:
    """What to count: over all rows the distribution of numbers, over picked rows how columns go together."""

    axes: tuple[Axis, ...]
    levels: int
    shapes: bool = False
    tables: tuple[tuple[int, int], ...] = ()  # contingency of two axes
    groups: tuple[tuple[int, int], ...] = ()  # a number (second) by a category (first)
    left: tuple[int, ...] = ()  # moments of each left number with each right number
    right: tuple[int, ...] = ()

    @cached_property
    def places(self) -> dict[tuple[str, int, int], slice]:
        """Where each part lies in the vector."""
        sizes: dict[tuple[str, int, int], int] = {("rows", 0, 0): 2}
        for i, axis in enumerate(self.axes):
            if self.shapes and axis.number and len(axis.grid):
                sizes["cells", i, 0] = 2 * len(axis.grid) + 1
                sizes["bars", i, 0] = len(axis.bars) - 1
        sizes |= {("table", i, j): (self.levels + 1) ** 2 for i, j in self.tables}
        sizes |= {("group", i, j): 3 * (self.levels + 1) for i, j in self.groups}
        sizes["moments", 0, 0] = _MOMENTS * len(self.left) * len(self.right)
        ends = np.cumsum(list(sizes.values()))
        return {k: slice(int(e) - n, int(e)) for (k, n), e in zip(sizes.items(), ends, strict=True)}

    @property
    def size(self) -> int:
        """Length of the vector."""
        return max(int(s.stop) for s in self.places.values())

    def add(self, vector: Floats, values: Floats, picked: NDArray[np.bool_]) -> None:
        """Add rows (a matrix, one column an axis) to the vector."""
        vector[self.places["rows", 0, 0]] += (len(values), picked.sum())
        for part, i, _ in self.places:
            if part == "cells":
                self._add_shape(vector, i, values[:, i])
        if picked.any():
            self._add_pairs(vector, values[picked])

    def _add_shape(self, vector: Floats, i: int, values: Floats) -> None:
        axis, values = self.axes[i], values[~np.isnan(values)]
        # even cells lie between two points of the grid, odd ones are the points themselves
        cell = np.searchsorted(axis.grid, values, "left") + np.searchsorted(axis.grid, values, "right")
        vector[self.places["cells", i, 0]] += np.bincount(cell, minlength=2 * len(axis.grid) + 1)
        bars = len(axis.bars) - 1
        bar = np.clip(np.searchsorted(axis.bars, values, "right") - 1, 0, bars - 1)
        vector[self.places["bars", i, 0]] += np.bincount(bar, minlength=bars)

    def _add_pairs(self, vector: Floats, values: Floats) -> None:
        coded = {i for pair in self.tables for i in pair} | {i for i, _ in self.groups}
        codes = {i: self.axes[i].codes(values[:, i], self.levels) for i in coded}
        width = self.levels + 1
        for i, j in self.tables:
            counts = np.bincount(codes[i] * width + codes[j], minlength=width**2)
            vector[self.places["table", i, j]] += counts
        centre = np.array([a.mean for a in self.axes])
        scaled = (values - centre) / np.array([a.spread for a in self.axes])
        for i, j in self.groups:
            known = ~np.isnan(values[:, j])
            group, x = codes[i][known], scaled[known, j]
            sums = [np.bincount(group, w, minlength=width) for w in (None, x, x * x)]
            vector[self.places["group", i, j]] += np.concatenate(sums)
        if self.left and self.right:
            vector[self.places["moments", 0, 0]] += self._moments(scaled)

    def _moments(self, scaled: Floats) -> Floats:
        a, b = scaled[:, list(self.left)], scaled[:, list(self.right)]
        has_a, has_b = (~np.isnan(a)).astype(float), (~np.isnan(b)).astype(float)
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        parts = (has_a.T @ has_b, a.T @ has_b, has_a.T @ b, (a * a).T @ has_b, has_a.T @ (b * b), a.T @ b)
        return np.concatenate([p.ravel() for p in parts])


class Counts:
    """The vectors of both sides, read by part. Side 0 is real, side 1 synthetic."""

    def __init__(self, plan: Plan, vectors: Floats) -> None:
        self.plan, self.vectors = plan, vectors

    def rows(self, picked: bool) -> list[int]:
        """Rows of both sides, all or those picked for pairs."""
        start = self.plan.places["rows", 0, 0].start
        return [int(v) for v in self.vectors[:, start + picked]]

    def part(self, name: str, i: int, j: int = 0) -> Floats:
        """One part, a row a side."""
        return self.vectors[:, self.plan.places[name, i, j]]

    def table(self, i: int, j: int) -> Floats:
        """Contingency of two axes: side, first, second; the last level is NULL."""
        width = self.plan.levels + 1
        return self.part("table", i, j).reshape(2, width, width)

    def group(self, i: int, j: int) -> Floats:
        """Side, then count, sum and squares, then category without NULL."""
        return self.part("group", i, j).reshape(2, 3, -1)[:, :, :-1]

    def moments(self) -> Floats:
        """Side, moment, left, right."""
        return self.part("moments", 0).reshape(2, _MOMENTS, len(self.plan.left), len(self.plan.right))


def count(rows: DataFrame, plan: Plan) -> Counts:
    """Run the plan over `rows`: columns side (0 or 1), pick (boolean) and a0, a1, ... (doubles, one an axis)."""

    def add_up(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        vectors = np.zeros((2, plan.size))
        for batch in batches:
            side = batch.column(0).to_numpy(zero_copy_only=False)
            picked = batch.column(1).to_numpy(zero_copy_only=False).astype(bool)
            columns = [c.to_numpy(zero_copy_only=False).astype(float) for c in batch.columns[2:]]
            values = np.stack(columns, axis=1) if columns else np.zeros((len(side), 0))
            for s in (0, 1):
                if (mine := side == s).any():
                    plan.add(vectors[s], values[mine], picked[mine])
        sides, cells = np.nonzero(vectors)
        yield pa.RecordBatch.from_arrays(
            [pa.array(sides, pa.int32()), pa.array(cells, pa.int64()), pa.array(vectors[sides, cells])], schema=_CELLS
        )

    cells = rows.mapInArrow(add_up, "side int, cell long, value double")
    summed = cells.groupBy("side", "cell").agg(F.sum("value").alias("value")).toPandas()
    vectors = np.zeros((2, plan.size))
    vectors[summed["side"], summed["cell"]] = summed["value"]
    return Counts(plan, vectors)
