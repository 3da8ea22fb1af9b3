"""First look at a table: row and NULL counts, quantiles of real numbers, the common real categories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.evaluation import bins
from spark_synth.evaluation.columns import Role, as_length, as_number, as_text, picked, role
from spark_synth.evaluation.tally import Axis
from spark_synth.schema.model import Kind, Table
from spark_synth.schema.names import quote

POINTS = 401  # real quantiles: a KS distance counted on them over all rows is too small by about 1/400 at most
TOP = 30  # categories told apart; the others count together


@dataclass
class Shares:
    """A categorical column: common values with their counts on both sides, what is left, and the total variation."""

    values: list[tuple[str, int, int]] = field(default_factory=list)
    other: tuple[int, int] = (0, 0)
    distance: float | None = None


@dataclass
class Profile:
    """What the first look found, and the axes for the second."""

    rows: list[int]
    known: dict[str, list[int]]  # non-NULL values, real and synthetic
    axes: dict[str, Axis]
    shares: dict[str, Shares]


def both(real: DataFrame, synth: DataFrame, columns: dict[str, tuple[SparkColumn, SparkColumn]]) -> DataFrame:
    """Rows of both sides under `side` (0 real, 1 synthetic), with the expressions given for each side."""
    sides = [
        df.select(F.lit(i).alias("side"), *[pair[i].alias(name) for name, pair in columns.items()])
        for i, df in enumerate((real, synth))
    ]
    return sides[0].unionByName(sides[1])


def look(real: DataFrame, synth: DataFrame, table: Table, sample_rows: int) -> Profile:
    """Profile one table in at most three Spark jobs: counts, quantiles, categories."""
    rows, known = _known(real, synth, list(table.columns))
    numbers = [c for c in table.columns if role(table, c) in (Role.NUMBER, Role.TEXT) and known[c][0]]
    axes = _number_axes(real.where(picked(table, sample_rows / max(1, rows[0]))), table, numbers)
    shares = _shares(real, synth, [c for c in table.columns if role(table, c) is Role.CATEGORY], known)
    axes |= {c: Axis(name=c, number=False, top=tuple(v for v, _, _ in s.values)) for c, s in shares.items()}
    return Profile(rows, known, axes, shares)


def number(df: DataFrame, table: Table, name: str) -> SparkColumn:
    """The number that stands for a column: its value, or the length of a text."""
    return as_length(name) if role(table, name) is Role.TEXT else as_number(df, name, table.columns[name].kind)


def _known(real: DataFrame, synth: DataFrame, names: list[str]) -> tuple[list[int], dict[str, list[int]]]:
    """Rows of both sides, and how many of them are not NULL, per column."""
    columns = {f"c{i}": (F.col(quote(n)).isNotNull(),) * 2 for i, n in enumerate(names)}
    counts = [F.count(F.when(F.col(c), 1)).alias(c) for c in columns]
    rows = both(real, synth, columns).groupBy("side").agg(F.count(F.lit(1)).alias("rows"), *counts)
    found = {r["side"]: r.asDict() for r in rows.collect()}
    first, second = found.get(0, {}), found.get(1, {})
    known = {n: [first.get(f"c{i}", 0), second.get(f"c{i}", 0)] for i, n in enumerate(names)}
    return [first.get("rows", 0), second.get("rows", 0)], known


def _number_axes(sample: DataFrame, table: Table, names: list[str]) -> dict[str, Axis]:
    """Quantiles, mean and spread of the sampled real rows, taken by one task that sees the whole sample."""
    if not names:
        return {}

    def quantiles(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = list(batches)
        seen = pa.Table.from_batches(parts) if parts else None
        for i in range(len(names)):
            x = seen.column(i).drop_null().to_numpy().astype(float) if seen else np.zeros(0)
            points = np.quantile(x, np.linspace(0, 1, POINTS), method="nearest") if len(x) else x
            figures = [float(x.mean()), float(x.std()), float((x == np.floor(x)).all())] if len(x) else [0.0, 1.0, 0.0]
            cells = [pa.array([i]), pa.array([points.tolist()], pa.list_(pa.float64())), pa.array([figures])]
            yield pa.RecordBatch.from_arrays(cells, ["i", "points", "figures"])

    columns = [number(sample, table, n).alias(f"x{i}") for i, n in enumerate(names)]
    whole_sample = sample.select(*columns).repartition(1)
    made = whole_sample.mapInArrow(quantiles, "i long, points array<double>, figures array<double>")
    axes = {}
    for row in sorted(made.collect(), key=lambda r: r["i"]):
        name, points = names[row["i"]], np.array(row["points"], dtype=np.float64)
        mean, spread, whole = row["figures"]
        time = table.columns[name].kind is Kind.DATETIME
        bars = bins.edges(points, bool(whole), time)
        axes[name] = Axis(name, number=True, quantiles=points, bars=bars, mean=mean, spread=spread or 1.0)
    return axes


def _shares(real: DataFrame, synth: DataFrame, names: list[str], known: dict[str, list[int]]) -> dict[str, Shares]:
    """Exact shares of every value on both sides, reduced in Spark to the commonest values and a total variation."""
    if not names:
        return {}
    melted = F.explode(F.array(*[F.struct(F.lit(i).alias("c"), as_text(n).alias("v")) for i, n in enumerate(names)]))
    values = both(real, synth, {"cell": (melted, melted)}).select("side", "cell.c", "cell.v").where("v is not null")
    counts = values.groupBy("c", "v").agg(
        F.count(F.when(F.col("side") == 0, 1)).alias("r"), F.count(F.when(F.col("side") == 1, 1)).alias("s")
    )
    totals = [F.array(*[F.lit(float(max(1, known[n][side]))) for n in names])[F.col("c")] for side in (0, 1)]
    common = Window.partitionBy("c").orderBy(F.desc("r"), F.asc("v"))
    placed = counts.select(
        "c",
        "v",
        "r",
        "s",
        F.abs(F.col("r") / totals[0] - F.col("s") / totals[1]).alias("d"),
        # values that only the synthetic side has never take a place
        F.when(F.col("r") > 0, F.least(F.row_number().over(common), F.lit(TOP + 1))).otherwise(TOP + 1).alias("place"),
    )
    found = placed.groupBy("c", "place").agg(
        F.first(F.when(F.col("place") <= TOP, F.col("v")), ignorenulls=True).alias("v"),
        *[F.sum(x).alias(x) for x in ("r", "s", "d")],
    )
    out = {n: Shares() for n in names}
    distance = dict.fromkeys(names, 0.0)
    for row in sorted(found.collect(), key=lambda r: (r["c"], r["place"])):
        name = names[row["c"]]
        distance[name] += row["d"] / 2
        if row["place"] <= TOP:
            out[name].values.append((row["v"], row["r"], row["s"]))
        else:
            out[name].other = (row["r"], row["s"])
    for name, shares in out.items():
        shares.distance = min(1.0, distance[name]) if all(known[name]) else None
    return out
