"""Copies of real rows among synthetic ones, counted over all rows in Spark by hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.evaluation.attacks import of_both
from spark_synth.schema.names import quote

NEAR = 0.01  # of the spread of a number: a near copy differs by less than that in every number, and in nothing else
COMMON = 5  # real rows that are alike
GRIDS = 4  # shifted against each other, so that two near rows seldom fall into two cells in each
SIDES = ("one", "other", "synth")


def count_copies(rows: DataFrame, side: str, spreads: Mapping[str, float], seed: int) -> dict[str, Any] | None:
    """`exact` and `near`: of the rows of all sides, those that are copied, as `of_both` has them, with `share`, that of
    synthetic rows which are a copy of any real row. Real rows repeat each other, too, so risk is what is beyond that;
    and what COMMON real rows or more share tells of none of them, so only copies of rarer ones count as one.

    rows: values in the form of `values_of`, and a column `side` of 0 and 1 (the halves of the real rows) and 2 (the
    synthetic ones). spreads: of every number. Near rows are those that fall into one cell of a grid of NEAR spreads in
    one of GRIDS (Indyk and Motwani, 1998): what is found is near, and little is missed where it is much nearer.
    """
    values = [c for c in rows.columns if c != side]
    shifts = np.random.default_rng(seed).random((GRIDS, len(values)))
    plain = [F.col(quote(c)) + F.lit(0.0) if c in spreads else F.col(quote(c)) for c in values]  # -0.0 is 0.0
    keys = [_hash([_text(v) for v in plain], 0)]
    for k, shift in enumerate(shifts):
        keys.append(_hash([_cell(c, spreads, float(s)) for c, s in zip(values, shift, strict=True)], k + 1))
    counts = [F.sum((F.col(side) == i).cast("bigint")).alias(name) for i, name in enumerate(SIDES)]
    hashed = rows.select(side, keys[0].alias("row"), F.array(*keys[1:]).alias("cells"))
    distinct = hashed.groupBy("row").agg(F.first("cells").alias("cells"), *counts)
    cells = distinct.select("row", *SIDES, F.posexplode("cells").alias("grid", "cell"))
    window = Window.partitionBy("grid", "cell")
    there = {f"near_{s}": F.sum(s).over(window) for s in SIDES[:2]}
    near = cells.select("row", *SIDES, *[v.alias(n) for n, v in there.items()])
    best = near.groupBy("row").agg(*[F.first(s).alias(s) for s in SIDES], *[F.max(n).alias(n) for n in there])
    found = best.agg(*[F.sum(s).alias(f"rows_{s}") for s in SIDES], *_matches()).first()
    if found is None or not all(found[f"rows_{s}"] for s in SIDES):
        return None
    sizes = {s: int(found[f"rows_{s}"]) for s in SIDES}
    out: dict[str, Any] = {"rows": {"real": sizes["one"] + sizes["other"], "synth": sizes["synth"]}}
    for how in ("exact", "near"):
        attacks = [found[f"{how}_synth_{half}"] / sizes["synth"] for half in SIDES[:2]]
        controls = [found[f"{how}_other_one"] / sizes["other"], found[f"{how}_one_other"] / sizes["one"]]
        share = found[f"{how}_synth_any"] / sizes["synth"]
        tries = min(sizes.values()) / 2
        out[how] = {"share": share, **of_both(attacks, controls, (tries, tries))}
    return out


def _matches() -> list[SparkColumn]:
    """How many rows of a side have a copy in one half, in the other, or in any."""
    made = []
    for how, within in (("exact", ""), ("near", "near_")):
        rows = [F.col(f"{within}{half}") for half in SIDES[:2]]
        rare = rows[0] + rows[1] < COMMON
        one, other = ((n > 0) & rare for n in rows)
        pairs = {("synth", "one"): one, ("synth", "other"): other, ("synth", "any"): rows[0] + rows[1] > 0}
        pairs |= {("other", "one"): one, ("one", "other"): other}
        made += [F.sum(F.when(t, F.col(s)).otherwise(0)).alias(f"{how}_{s}_{of}") for (s, of), t in pairs.items()]
    return made


def _cell(column: str, spreads: Mapping[str, float], shift: float) -> SparkColumn:
    value = F.col(quote(column))
    if column not in spreads:
        return _text(value)
    return _text(F.floor(value / F.lit(NEAR * spreads[column]) + F.lit(shift)))


def _text(value: SparkColumn) -> SparkColumn:
    """Hashes pass over NULL, so it is a text of its own."""
    return F.coalesce(value.cast("string"), F.lit("\0"))


def _hash(values: list[SparkColumn], salt: int) -> SparkColumn:
    return F.xxhash64(F.lit(salt), *values)
