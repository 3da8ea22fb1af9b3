"""Rows under one owner in their order: what a row keeps of the one before it, and how far events are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.evaluation import measures
from spark_synth.evaluation.columns import as_number, row_hash
from spark_synth.evaluation.contents import bars_plot, in_fives
from spark_synth.evaluation.measures import Floats
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.schema.names import quote

LEAST_MEAN = 1.5  # rows of a family on average, below which there is no sequence
LEAST_ROWS = 20
STEPS = 4.0  # cells of a doubling of the gap between two events
MOST_BARS = 24
TAILS = (0.005, 0.995)  # shares of the times between events that the outermost bars begin at
KINDS = ("lag1", "lag1_within", "icc")


def evaluate_sequence(
    real: DataFrame, synth: DataFrame, schema: Schema, table: str, fk: ForeignKey, most_columns: int
) -> dict[str, Any] | None:
    """How alike the sequences of a table under its owners are; None where it has no time, or rarely two rows.

    `columns`: by number the autocorrelation of rows that follow each other (`lag1`), that of what is off the mean of
    the family (`lag1_within`), and the share of the variance between families (`icc`), [real, synthetic]; their mean
    absolute differences as `<kind>_mad`; `gap_ks`: KS distance of the times between events, in quarters of a doubling,
    and `gaps`, their histogram, edges in seconds.
    """
    spec = schema.table(table)
    times = [c for c in spec.value_columns() if spec.columns[c].kind is Kind.DATETIME]
    numbers = [c for c in spec.value_columns() if spec.columns[c].kind is Kind.NUMERIC][:most_columns]
    if not times:
        return None
    found = [_side(frame, schema, table, fk, times[0], numbers) for frame in (real, synth)]
    if found[0]["rows"] < LEAST_MEAN * max(1, found[0]["families"]):
        return None
    columns = {}
    for i, c in enumerate(numbers):
        each = {k: [side["columns"][i][k] for side in found] for k in KINDS}
        if each["lag1"][0] is not None:
            columns[c] = each
    gaps = [side["gaps"] for side in found]
    cells = sorted({cell for gap in gaps for cell in gap})
    counts = [np.array([gap.get(cell, 0) for cell in cells], dtype=np.float64) for gap in gaps]
    return {
        "order": times[0],
        **{f"{k}_mad": measures.mean(_difference(v[k]) for v in columns.values()) for k in KINDS},
        "gap_ks": measures.ks(counts[0], counts[1]),
        "gaps": _histogram(np.array(cells), np.stack(counts)) if all(c.sum() for c in counts) else None,
        "columns": columns,
    }


def _histogram(cells: NDArray[np.int64], counts: Floats) -> dict[str, Any]:
    """Times between events as at most MOST_BARS bars, each as many doublings wide; the outermost hold what lies beyond,
    and real rows are counted in fives. cells (n,): where they lie; counts (side, n)."""
    spread = np.cumsum((counts / counts.sum(axis=1, keepdims=True)).mean(axis=0))
    first, last = (int(cells[np.searchsorted(spread, q)]) for q in TAILS)
    join = math.ceil((last - first + 1) / MOST_BARS)
    n = (last - first) // join + 1
    place = np.clip((cells - first) // join, 0, n - 1)
    bars = np.stack([np.bincount(place, side, minlength=n) for side in counts]).astype(np.float64)
    bars[0] = in_fives(bars[0])
    edges = 2.0 ** ((first + join * np.arange(n + 1)) / STEPS) - 1
    return bars_plot(edges, bars, "gap")


def _difference(pair: list[float | None]) -> float | None:
    """Where the synthetic column has none, as a constant one, it counts as 0."""
    return None if pair[0] is None else abs(pair[0] - (pair[1] or 0.0))


def _side(
    frame: DataFrame, schema: Schema, table: str, fk: ForeignKey, order: str, numbers: list[str]
) -> dict[str, Any]:
    keys = [F.col(quote(c)).cast("string").alias(f"k{i}") for i, c in enumerate(fk.columns)]
    tie = row_hash(schema.table(table)).alias("tie")
    values = [as_number(frame, c, Kind.NUMERIC).alias(f"x{i}") for i, c in enumerate(numbers)]
    names = [f"k{i}" for i in range(len(keys))]
    rows = frame.select(*keys, as_number(frame, order, Kind.DATETIME).alias("t"), tie, *values).dropna(
        subset=["t", *names]
    )
    family = Window.partitionBy(*names)
    ordered = family.orderBy("t", "tie")
    following = f"OVER (PARTITION BY {', '.join(names)} ORDER BY t, tie)"
    parts: list[SparkColumn] = [(F.lead("t").over(ordered) - F.col("t")).alias("gap")]
    parts.append(F.when(F.row_number().over(ordered) == 1, 1).alias("first"))
    for i in range(len(numbers)):
        parts.append(F.avg(f"x{i}").over(family).alias(f"m{i}"))
        parts.append(F.expr(f"lead(x{i}) IGNORE NULLS {following}").alias(f"n{i}"))
    told = rows.select("*", *parts)
    sums = [F.count(F.lit(1)).alias("rows"), F.count("first").alias("families")]
    for i in range(len(numbers)):
        x, after, mean = F.col(f"x{i}"), F.col(f"n{i}"), F.col(f"m{i}")
        there = x.isNotNull()
        sums += [
            F.corr(x, after).alias(f"lag1_{i}"),
            F.corr(F.when(there, x - mean), after - mean).alias(f"lag1_within_{i}"),
            (F.var_samp(F.when(there, mean)) / F.var_samp(x)).alias(f"icc_{i}"),
            F.count(x).alias(f"count_{i}"),
        ]
    cell = F.floor(F.log2(F.col("gap") + 1) * STEPS).alias("cell")
    gaps = {
        int(r["cell"]): int(r["n"])
        for r in told.dropna(subset=["gap"]).groupBy(cell).agg(F.count("*").alias("n")).collect()
    }
    row = told.agg(*sums).collect()[0]
    enough = [row[f"count_{i}"] >= LEAST_ROWS for i in range(len(numbers))]
    columns = [{k: _known(row[f"{k}_{i}"]) if enough[i] else None for k in KINDS} for i in range(len(numbers))]
    return {"rows": row["rows"], "families": row["families"], "gaps": gaps, "columns": columns}


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def sequence_figures(tables: Mapping[str, Any]) -> dict[str, float | None]:
    """Means over the sequences of a database."""
    found = [fk["sequence"] for v in tables.values() for fk in v["fk"].values() if fk.get("sequence")]
    return {k: measures.mean(s[k] for s in found) for k in (*(f"{k}_mad" for k in KINDS), "gap_ks")}
