"""Statistics of columns, computed in Spark in two jobs a table; what reaches the driver is bounded by columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

GRID = 512  # quantile steps kept per numeric column
MAX_DECIMALS = 6
SINGLE, DOUBLE = 1e-7, 1e-9  # how far numbers of either precision may be from what was meant, relative to their size
ValueCounts = list[tuple[str, int]]


@dataclass(frozen=True)
class NumericProfile:
    """rows, nulls and approximate distinct values of a column; its quantile grid, spread, decimals.

    decimals: fewest digits after the point that represent all values, None above MAX_DECIMALS.
    """

    rows: int
    nulls: int
    distinct: int
    grid: list[float]
    mean: float
    std: float
    decimals: int | None


def numeric_profiles(df: DataFrame, columns: Mapping[str, Column], steps: int = GRID) -> dict[str, NumericProfile]:
    """Profiles of double-valued expressions, in one aggregation over `df`; grids of `steps` + 1 points."""
    if not columns:
        return {}
    at = [i / steps for i in range(steps + 1)]
    names = list(columns)
    # One narrow aggregation by column number: a wide one, with an aggregate per column, takes longer to compile than
    # to run and fails to compile beyond some hundred columns.
    cells = F.posexplode(F.array(*[columns[n].cast("double") for n in names])).alias("c", "v")
    v = F.col("v")
    aggregates = [
        F.count(F.lit(1)).alias("rows"),
        F.count(v).alias("filled"),
        F.approx_count_distinct(v, 0.02).alias("distinct"),
        F.percentile_approx(v, at, max(10000, 10 * steps)).alias("grid"),
        F.avg(v).alias("mean"),
        F.stddev_pop(v).alias("std"),
        F.max(_digits(v)).alias("digits"),
    ]
    out = {}
    for row in df.select(cells).groupBy("c").agg(*aggregates).collect():
        digits = row["digits"]
        out[names[row["c"]]] = NumericProfile(
            rows=row["rows"],
            nulls=row["rows"] - row["filled"],
            distinct=row["distinct"],
            grid=list(row["grid"] or []),
            mean=row["mean"] or 0.0,
            std=row["std"] or 0.0,
            decimals=digits if digits is not None and digits <= MAX_DECIMALS else None,
        )
    return out


def value_counts(df: DataFrame, columns: Mapping[str, Column], top: int) -> dict[str, ValueCounts]:
    """The `top` commonest values of each expression as text, commonest first (ties by value); NULL left out."""
    if not columns:
        return {}
    names = list(columns)
    cells = F.posexplode(F.array(*[columns[n].cast("string") for n in names])).alias("c", "v")
    counted = df.select(cells).where(F.col("v").isNotNull()).groupBy("c", "v").count()
    order = Window.partitionBy("c").orderBy(F.desc("count"), F.asc("v"))
    kept = counted.withColumn("r", F.row_number().over(order)).where(F.col("r") <= top)
    out: dict[str, ValueCounts] = {n: [] for n in names}
    for row in sorted(kept.collect(), key=lambda r: r["r"]):
        out[names[row["c"]]].append((row["v"], row["count"]))
    return out


def _digits(v: Column) -> Column:
    """Digits after the decimal point of one value: 0..MAX_DECIMALS, or one more where none of these represent it.

    32.3800011 has two: it is 32.38 in single precision, as which many databases store and export amounts.
    """
    found = F.lit(MAX_DECIMALS + 1)
    for d in range(MAX_DECIMALS, -1, -1):
        scaled = v * (10**d)
        size = F.abs(scaled)
        # beyond a million units the seven digits of single precision say nothing of the last of them
        tolerance = size * F.when(size <= 1e6, SINGLE).otherwise(DOUBLE)
        found = F.when(F.abs(scaled - F.round(scaled)) < F.greatest(tolerance, F.lit(DOUBLE)), d).otherwise(found)
    return F.when(v.isNotNull(), found)
