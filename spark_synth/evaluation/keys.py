"""Keys: uniqueness, values copied from the real data, orphans, and the number of children of each parent."""

from __future__ import annotations

from typing import Any

import numpy as np
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation import bins, measures
from spark_synth.evaluation.columns import Role, as_text, identity, leading, led_to, role
from spark_synth.evaluation.contents import bars_plot, in_fives
from spark_synth.evaluation.measures import Floats
from spark_synth.evaluation.profile import both
from spark_synth.schema.model import ForeignKey, Table

_EXACT_DEGREES = 10_000  # above it numbers of children are rounded to 3 digits, so that few reach the driver


def evaluate_identities(real: DataFrame, synth: DataFrame, table: Table) -> dict[str, dict[str, int]]:
    """Per column that identifies (keys, links, texts), and under "" for the primary key, in one Spark job:
    `distinct` values and `rows` that are not NULL on both sides, `copied` and `repeated` synthetic rows."""
    names = [c for c in table.columns if role(table, c) in (Role.KEY, Role.LINK, Role.TEXT)]
    sets = {n: (n,) for n in names} | ({"": table.primary_key} if table.primary_key else {})
    if not sets:
        return {}
    cells = [
        F.struct(F.lit(i).alias("c"), identity([as_text(n) for n in columns]).alias("v"))
        for i, columns in enumerate(sets.values())
    ]
    melted = F.explode(F.array(*cells))
    rows = both(real, synth, {"cell": (melted, melted)}).select("side", "cell.c", "cell.v.a", "cell.v.b")
    values = (
        rows.where("a is not null")
        .groupBy("c", "a", "b")
        .agg(F.count(F.when(F.col("side") == 0, 1)).alias("r"), F.count(F.when(F.col("side") == 1, 1)).alias("s"))
    )
    figures = values.groupBy("c").agg(
        F.count(F.when(F.col("r") > 0, 1)).alias("real_distinct"),
        F.count(F.when(F.col("s") > 0, 1)).alias("synth_distinct"),
        F.sum("r").alias("real_rows"),
        F.sum("s").alias("synth_rows"),
        F.sum(F.when(F.col("r") > 0, F.col("s")).otherwise(0)).alias("copied"),
        F.sum(F.greatest(F.col("s") - 1, F.lit(0))).alias("repeated"),
    )
    found = {r["c"]: r.asDict() for r in figures.collect()}
    empty = dict.fromkeys(("real_distinct", "synth_distinct", "real_rows", "synth_rows", "copied", "repeated"), 0)
    return {n: {k: int(v) for k, v in found.get(i, empty).items() if k != "c"} for i, n in enumerate(sets)}


def evaluate_degrees(
    child: tuple[DataFrame, DataFrame], parent: tuple[DataFrame, DataFrame], fk: ForeignKey, scale: float
) -> dict[str, Any]:
    """Orphans, NULL shares and degree distribution of one foreign key, in one Spark job.

    Real rows have orphans only where these are kept: `kept_orphans` then has the shares of either side, None otherwise.
    `scale` is how many times more children a synthetic parent has by design (the ratio, where parents were kept).
    """
    sides = []
    for i in (0, 1):
        sides.append(_keys(child[i], i, leading(fk, parent[i], fk.columns), is_child=True))
        sides.append(_keys(parent[i], i, led_to(fk, fk.columns), is_child=False))
    keys = sides[0].unionByName(sides[1]).unionByName(sides[2]).unionByName(sides[3])
    families = keys.groupBy("side", "a", "b").agg(F.max("parent").alias("parent"), F.sum("child").alias("children"))
    digits = F.pow(F.lit(10.0), F.floor(F.log10(F.col("children"))) - 2)
    size = F.when(F.col("children") > _EXACT_DEGREES, F.round(F.col("children") / digits) * digits)
    sizes = families.groupBy(
        "side", F.col("a").isNull().alias("null"), "parent", F.coalesce(size, F.col("children")).alias("size")
    ).agg(F.count(F.lit(1)).alias("families"), F.sum("children").alias("children"), F.max("children").alias("largest"))
    found = sizes.collect()
    total = [sum(r["children"] for r in found if r["side"] == i) for i in (0, 1)]
    nulls = [sum(r["children"] for r in found if r["side"] == i and r["null"]) for i in (0, 1)]
    lost = [sum(r["children"] for r in found if r["side"] == i and not r["null"] and not r["parent"]) for i in (0, 1)]
    degrees = [[r for r in found if r["side"] == i and r["parent"] and not r["null"]] for i in (0, 1)]
    return {
        "orphans": lost[1],
        "kept_orphans": [n / t if t else 0.0 for n, t in zip(lost, total, strict=True)] if lost[0] else None,
        "nulls": [n / t if t else 0.0 for n, t in zip(nulls, total, strict=True)],
        "degree": _degree(degrees, scale),
    }


def _keys(df: DataFrame, side: int, columns: list[SparkColumn], is_child: bool) -> DataFrame:
    key = identity([c.cast("string") for c in columns])
    return df.select(
        F.lit(side).alias("side"),
        F.lit(int(not is_child)).alias("parent"),
        F.lit(int(is_child)).cast("long").alias("child"),
        key["a"].alias("a"),
        key["b"].alias("b"),
    )


def _degree(found: list[list[Any]], scale: float) -> dict[str, Any]:
    sizes = [np.array([r["size"] for r in side], dtype=float) / s for side, s in zip(found, (1.0, scale), strict=True)]
    families = [np.array([r["families"] for r in side], dtype=float) for side in found]
    children = [sum(r["children"] for r in side) for side in found]
    points: Floats = np.unique(np.concatenate(sizes))
    spread = [_at(points, s, f) for s, f in zip(sizes, families, strict=True)]
    total = spread[0] + spread[1]
    if not len(points):
        return {"ks": None, "mean": [None, None], "max": [None, None], "scale": scale, "plot": None}
    # a long tail shares the last bar
    highest = float(points[np.searchsorted(np.cumsum(total), 0.995 * total.sum())])
    edges = bins.degree_edges(highest)
    bar = np.clip(np.searchsorted(edges, points, "right") - 1, 0, len(edges) - 2)
    bars = np.stack([np.bincount(bar, s, minlength=len(edges) - 1) for s in spread]).astype(np.float64)
    bars[0] = in_fives(bars[0])
    return {
        "ks": measures.ks(spread[0], spread[1]),
        "mean": [c / f.sum() if f.sum() else None for c, f in zip(children, families, strict=True)],
        "max": [max((int(r["largest"]) for r in side), default=None) for side in found],
        "scale": scale,
        "plot": bars_plot(edges, bars, "children"),
    }


def _at(points: Floats, sizes: Floats, families: Floats) -> Floats:
    return np.bincount(np.searchsorted(points, sizes), families, minlength=len(points)).astype(np.float64)
