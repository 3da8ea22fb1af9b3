"""Families before rows: how many children each parent has, which rows they are, and the blocks that draw them.

Degrees are drawn with the parents. Here they are set to the real distribution by rank, brought to the exact total by
rounding their running sum, and turned into key ranges: the prefix sum gives every child row its index, so keys are
known before any child is generated. Long families are cut into segments, which may be drawn by different tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf  # type: ignore[attr-defined]

from spark_synth.encoding.plan import DegreePlan, TablePlan

SUM_BLOCK = 4096  # rows whose degrees are summed together before the running sum over blocks
TASK_ROWS = 1_000_000  # rows that one task of a shuffle holds, about
RANKED_ROWS = 10_000  # rows of a table that is ranked one by one
GOLDEN = 0.6180339887498949


def exact_degrees(
    parents: DataFrame,
    degree: Column,
    plan: DegreePlan,
    total: int | None,
    real: bool,
    slack: float = 0.0,
    most: Column | None = None,
) -> tuple[DataFrame, int]:
    """`parents` with `size` (children) and `first` (index of the first child), and the sum of the sizes: `total`, or
    what the degrees add up to, if that is None.

    parents: has `__idx` from 0. degree: the drawn degree. real: the parents are real rows with real degrees, which
    are only scaled. slack: relative distance from `total` at which degrees are left as they are, since moving a total
    by a percent changes the degree of many parents by one. most: bigint, of each parent, None for any number.
    Uniqueness (at most one child each) is kept, then the total follows from the distribution.
    """
    drawn = parents.withColumn("__drawn", F.coalesce(degree, F.lit(0)).cast("bigint"))
    bounded = F.col("__drawn") if most is None else F.least("__drawn", most)
    if not real:
        barren = bounded if most is None else F.when(most > 0, bounded).otherwise(-1)  # rank before all others
        drawn = to_real_distribution(drawn.withColumn("__drawn", barren), plan.histogram)
    drawn = drawn.withColumn("__drawn", bounded)
    return running_total(drawn, "__drawn", None if plan.unique else total, slack)


def running_total(rows: DataFrame, column: str, total: int | None, slack: float = 0.0) -> tuple[DataFrame, int]:
    """`rows` with `first` (sum of `size` over smaller __idx) and `size`: `column` rounded so that it sums to `total`;
    and that sum.

    Rounding the scaled running sum keeps every size within one of its scaled value and zero at zero. None: as it is.
    """
    placed, sums = prefix_sums(rows, column)
    found = sum(sums.values())
    near = total is None or not found or abs(total - found) <= slack * total
    scale = 1.0 if near or total is None else total / found
    first, size = rounded(F.col("__start"), F.col(column), F.lit(scale))
    sized = placed.select("*", first.alias("first"), size.alias("size"))
    return sized.drop("__start", column), math.floor(found * scale + 0.5)


def rounded(start: Column, size: Column, scale: Column) -> tuple[Column, Column]:
    """bigint: where a row begins and its size, when a running sum (`start` before the row) is scaled and rounded."""
    first, end = [F.floor(x * scale + 0.5).cast("bigint") for x in (start, start + size)]
    return first, end - first


def prefix_sums(rows: DataFrame, column: str, group: str | None = None) -> tuple[DataFrame, dict[int, int]]:
    """`rows` with __start, the sum of `column` over smaller __idx, and the whole sum.

    group: an integer column, within whose values the sums are taken. The sums are by group, or that of 0 without one.
    """
    block, names = F.floor(F.col("__idx") / SUM_BLOCK), [group] if group else []
    counted = [F.sum(column).alias("__sum"), F.count(F.lit(1)).alias("__rows")]
    sums = rows.groupBy(*names, block.alias("__block")).agg(*counted)
    totals = sums.groupBy(*names).agg(F.sum("__sum").alias("n"), F.sum("__rows").alias("rows")).collect()
    before = Window.partitionBy(*names).orderBy("__block").rowsBetween(Window.unboundedPreceding, -1)
    base = F.coalesce(F.sum("__sum").over(before), F.lit(0)).alias("__base")
    cell = [*names, "__block"]
    inside = Window.partitionBy(*cell).orderBy("__idx").rowsBetween(Window.unboundedPreceding, -1)
    placed = spread(rows.withColumn("__block", block), cell, sum(r["rows"] or 0 for r in totals))
    placed = placed.join(sums.select(*cell, base), cell)
    start = F.col("__base") + F.coalesce(F.sum(column).over(inside), F.lit(0))
    placed = placed.withColumn("__start", start).drop("__block", "__base")
    return placed, {(r[group] if group else 0): r["n"] or 0 for r in totals}


def ranks(rows: DataFrame, group: str) -> tuple[DataFrame, dict[int, int]]:
    """`rows` with __start, how many with the same `group`, an integer column, have a smaller __idx; and how many rows
    each group has."""
    ranked, counts = prefix_sums(rows.withColumn("__one", F.lit(1).cast("bigint")), "__one", group)
    return ranked.drop("__one"), counts


def exact_units(parents: DataFrame, degree: Column, total: int) -> DataFrame:
    """`parents` with `size`, 0 or 1, in all `total`, or as many as there are parents.

    1 where `degree` is not 0, less some evenly chosen ones where these are too many; else also for some of the others.
    """
    drawn = parents.withColumn("__unit", F.least(F.coalesce(degree, F.lit(0)), F.lit(1)).cast("bigint"))
    ranked, counts = ranks(drawn, "__unit")
    ones, zeros = counts.get(1, 0), counts.get(0, 0)
    kept, added = min(total, ones), max(0, min(total - ones, zeros))
    rank, whole = F.col("__start"), "decimal(38,0)"

    def chosen(many: int, of: int) -> Column:
        share = [F.floor(x.cast(whole) * many / max(1, of)) for x in (rank, rank + 1)]
        return (share[1] > share[0]).cast("bigint")

    size = F.when(F.col("__unit") == 1, chosen(kept, ones)).otherwise(chosen(added, zeros))
    return ranked.withColumn("size", size).drop("__unit", "__start")


def spread(rows: DataFrame, columns: Sequence[str], count: int) -> DataFrame:
    """`rows`, about `count` of them, dealt out by columns so that no task holds more than TASK_ROWS of them, about.

    What the session's number of shuffle partitions gives a task grows with the rows.
    """
    return rows.repartition(-(-count // TASK_ROWS), *columns) if count > TASK_ROWS else rows


def segments(families: DataFrame, segment_rows: int, block_rows: int) -> DataFrame:
    """One row per segment: `start` (position in the family), `rows`, `segments`, `row` (first index), `block`."""
    count = F.ceil(F.col("size") / segment_rows)
    cut = families.where(F.col("size") > 0).withColumn("segments", count)
    cut = cut.withColumn("segment", F.explode(F.sequence(F.lit(0).cast("bigint"), F.col("segments") - 1)))
    start = F.col("segment") * segment_rows
    cut = cut.withColumn("start", start).withColumn("row", F.col("first") + start)
    cut = cut.withColumn("rows", F.least(F.lit(segment_rows).cast("bigint"), F.col("size") - F.col("start")))
    return cut.withColumn("block", F.floor(F.col("row") / block_rows)).drop("first")


def ownerless(spark: SparkSession, rows: int, family: int, first: int, block_rows: int) -> DataFrame:
    """Segments of rows without an owner: families of `family` rows with indices from `first`."""
    count = -(-rows // family)
    row = F.lit(first) + F.col("id") * family
    size = F.least(F.lit(family).cast("bigint"), F.lit(first + rows) - row)
    zero = F.lit(0).cast("bigint")
    made = spark.range(count).select(
        F.lit(-1).cast("bigint").alias("__idx"),
        size.alias("size"),
        F.lit(1).cast("bigint").alias("segments"),
        zero.alias("segment"),
        zero.alias("start"),
        row.alias("row"),
        size.alias("rows"),
    )
    return made.withColumn("block", F.floor(F.col("row") / block_rows))


def to_real_distribution(drawn: DataFrame, histogram: Sequence[tuple[int, int]]) -> DataFrame:
    """Map drawn degrees (__drawn) to real ones of the same rank; ties come in an order without a pattern.

    histogram: real degrees, and how many rows have each. As many rows as the real table has get exactly its degrees.
    """
    total = drawn.count()
    if total <= RANKED_ROWS:
        ranked = drawn.withColumn("__rank", F.row_number().over(Window.orderBy("__drawn", F.xxhash64("__idx"))) - 1)
    else:
        ranked = _ranked(drawn)
    real = np.array([d for d, _ in histogram], dtype=np.int64)
    weights = np.array([n for _, n in histogram], dtype=float)
    real_ends = np.cumsum(weights) / weights.sum()

    @pandas_udf("bigint")  # type: ignore[call-overload,untyped-decorator]
    def mapped(rank: pd.Series) -> pd.Series:
        found = np.searchsorted(real_ends, (rank.to_numpy() + 0.5) / total, side="right").clip(max=len(real) - 1)
        return pd.Series(real[found])

    return ranked.withColumn("__drawn", mapped("__rank")).drop("__rank")


def as_in_clusters(rows: DataFrame, plan: TablePlan) -> DataFrame:
    """`rows` (with __context) with __deg_0.. set, by rank within their cluster, to the real degrees of that cluster, as
    far as the plan of their table has these."""
    known = {f"__deg_{i}": d for i, d in enumerate(plan.degrees) if d.by_code}
    if not plan.code or not known:
        return rows
    inside = Window.partitionBy("__cluster")
    rows = rows.withColumn("__cluster", F.col("__context").getItem(plan.code.at).cast("int"))
    rows = rows.withColumn("__of", F.count(F.lit(1)).over(inside))
    for name, degree in known.items():
        rank = F.row_number().over(inside.orderBy(name, F.xxhash64("__idx"))) - 1
        rows = rows.withColumn("__rank", rank).withColumn(name, _of_cluster(degree, name))
    return rows.drop("__cluster", "__of", "__rank")


def _of_cluster(plan: DegreePlan, name: str) -> Column:
    """bigint: the real degree at a row's rank (__rank, of __of) in its cluster; as drawn where this has none."""
    sizes = np.array([len(d) for d in plan.by_code], dtype=np.int64)
    before, real = np.cumsum(sizes) - sizes, np.array([d for ds in plan.by_code for d in ds], dtype=np.int64)

    @pandas_udf("bigint")  # type: ignore[call-overload,untyped-decorator]
    def mapped(cluster: pd.Series, rank: pd.Series, of: pd.Series, drawn: pd.Series) -> pd.Series:
        at = cluster.to_numpy()
        place = (2 * rank.to_numpy() + 1) * sizes[at] // (2 * of.to_numpy())
        found = real[(before[at] + place).clip(max=len(real) - 1)]
        return pd.Series(np.where(sizes[at] > 0, found, drawn.to_numpy()))

    out: Column = mapped("__cluster", "__rank", "__of", name)
    return out


def _ranked(drawn: DataFrame) -> DataFrame:
    """`drawn` with __rank, the place of a row by __drawn, without a task that holds all rows of one degree."""
    placed, counted = ranks(drawn, "__drawn")
    values = np.array(sorted(counted), dtype=np.int64)
    sizes = np.array([counted[v] for v in values.tolist()], dtype=np.int64)
    before, factors = np.cumsum(sizes) - sizes, np.array([scattering(n) for n in sizes.tolist()], dtype=np.int64)

    @pandas_udf("bigint")  # type: ignore[call-overload,untyped-decorator]  # 64 bits: 3.8 billion rows of one degree
    def rank(degree: pd.Series, place: pd.Series) -> pd.Series:
        at = np.searchsorted(values, degree.to_numpy())
        return pd.Series(before[at] + place.to_numpy() * factors[at] % sizes[at])

    return placed.withColumn("__rank", rank("__drawn", "__start")).drop("__start")


def scattering(size: int) -> int:
    """A factor by which numbers modulo `size` are permuted so that neighbours come to lie far apart."""
    factor = max(1, int(size * GOLDEN))
    while size and math.gcd(factor, size) != 1:
        factor += 1
    return factor
