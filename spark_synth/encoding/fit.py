"""Fit the plans of all tables: columns first, then what parents carry of their children, then the sequence codecs.

Reads the source tables; writes, below `work`, `rows/<table>` (rows in family order) and `frames/<table>` (the same
with degrees and family summaries) as Parquet, so that no later step parses the source or repeats a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import build_blooms
from spark_synth.encoding.codecs import MIN_BIN_ROWS, NumericCodec, fit_numeric
from spark_synth.encoding.columns import ColumnSettings, plan_columns
from spark_synth.encoding.derive import find_rules
from spark_synth.encoding.plan import DegreePlan, TablePlan
from spark_synth.encoding.profile import numeric_profiles, value_counts
from spark_synth.encoding.rows import (
    add_bases,
    attach,
    family_statistics,
    link_degrees,
    order_rows,
    summary_plans,
)
from spark_synth.encoding.views import quoted
from spark_synth.schema.graph import generation_order, owned_children
from spark_synth.schema.model import ForeignKey, Schema

T = TypeVar("T")
PARALLEL = 4  # tables worked on at the same time: fixed job costs overlap
SUMMARY_BINS = {"mean": 16, "spread": 8, "first": 32, "span": 32}
TIME_BIN_ROWS = 10  # when a family begins and ends ties it to its parent: finer bins than for values
MAX_SUMMARIES = 120  # statistics of one family at most
MAX_DEGREES = 4096  # distinct degrees kept in the histogram
MAX_CELLS = 1024  # cells of the time axis
MAX_BASELESS = 0.5  # share of rows without the owner's date up to which times may be counted from it
CURVE = 32  # points of the mean course of a long family


@dataclass
class Fitted:
    """Plans by table in generation order, filters of real keys and texts by table and column, and where frames are."""

    plans: dict[str, TablePlan]
    work: str
    blooms: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def frame(self, spark: SparkSession, table: str) -> DataFrame:
        """The rows of a table with positions, degrees and summaries."""
        return spark.read.parquet(f"{self.work}/frames/{table}")


def fit_database(
    spark: SparkSession,
    tables: Mapping[str, DataFrame],
    schema: Schema,
    owners: Mapping[str, ForeignKey | None],
    settings: Callable[[str], ColumnSettings],
    segment_rows: int,
    seed: int,
    work: str,
    note: Callable[[str], None],
) -> Fitted:
    """Plans of every table, fitted in Spark. `note` is told of each finished step."""
    order = generation_order(owners)
    plans: dict[str, TablePlan] = {}
    blooms: dict[str, dict[str, np.ndarray]] = {}

    kept = {t for t, v in schema.tables.items() if v.reference}

    def columns(t: str) -> None:
        derived = find_rules(tables[t], schema.table(t), owners[t], seed, kept)
        made = {d["column"] for d in derived if d["kind"] == "derived"}
        plans[t] = plan_columns(tables[t], t, schema, owners[t], settings(t), made)
        plans[t].derived = derived
        blooms[t] = build_blooms(tables[t], _filtered(plans[t]))
        note(f"columns of {t}")

    each(order, columns)
    rows: dict[str, DataFrame] = {}

    def ordered(t: str) -> None:
        rows[t] = _write(spark, _ordered(t, tables, plans, schema, seed), f"{work}/rows/{t}")

    each(order, ordered)

    def parents(t: str) -> None:
        frame = _with_children(t, rows, plans, schema, owners)
        frame = _write(spark, frame, f"{work}/frames/{t}")
        _fit_carried(frame, plans[t])
        _fit_time(rows[t], plans[t], _base_candidates(plans[t], plans, schema), segment_rows)
        plans[t].number()
        note(f"families of {t}")

    each(order, parents)
    for t in order:
        owner = plans[t].owner
        above = plans[owner.parent] if owner else None
        plans[t].context_cards = above.cards + above.context_cards if above else []
        carried = above.summaries if above else []
        plans[t].course = [s for s in carried if s.table == t and s.stat in ("first", "span")]
    return Fitted({t: plans[t] for t in order}, work, blooms)


def each(items: list[str], work: Callable[[str], T]) -> list[T]:
    """`work` on every item, several at a time; the first failure is raised after the others have ended."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(work, items))


def _filtered(plan: TablePlan) -> dict[str, int]:
    keys = [k.column for k in plan.keys if k.how == "pattern"]
    return dict.fromkeys(keys + [t.column for t in plan.texts], plan.rows)


def _write(spark: SparkSession, df: DataFrame, path: str) -> DataFrame:
    df.write.mode("overwrite").parquet(path)
    return spark.read.schema(df.schema).parquet(path)


def _ordered(
    t: str, tables: Mapping[str, DataFrame], plans: dict[str, TablePlan], schema: Schema, seed: int
) -> DataFrame:
    df = order_rows(tables[t], plans[t], schema.table(t).primary_key, seed)
    owner = plans[t].owner
    names = _base_candidates(plans[t], plans, schema)
    if owner and names:
        df = add_bases(df, plans[t], tables[owner.parent], plans[owner.parent], names)
    return df


def _base_candidates(plan: TablePlan, plans: Mapping[str, TablePlan], schema: Schema) -> list[str]:
    """Date columns of the owner, from which the first row's time may be counted."""
    if plan.owner is None or plan.time is None:
        return []
    if plan.time.type != "date" and not plan.time.type.startswith("timestamp"):
        return []
    types = plans[plan.owner.parent].columns
    derived = {d["column"] for d in plans[plan.owner.parent].derived if d["kind"] == "derived"}
    return [
        c
        for c, v in schema.table(plan.owner.parent).columns.items()
        if v.kind.value == "datetime" and c not in derived and (types[c] == "date" or types[c].startswith("timestamp"))
    ]


def _with_children(
    t: str,
    rows: Mapping[str, DataFrame],
    plans: Mapping[str, TablePlan],
    schema: Schema,
    owners: Mapping[str, ForeignKey | None],
) -> DataFrame:
    """The rows of `t` with __deg_<i> for every edge into it and __sum_<i> for every owned family; plans extended."""
    frame, plan = rows[t], plans[t]
    owned = {(c, fk.name) for c, fk in owned_children(t, owners)}
    for child, fk in schema.children(t):
        plan.referenced += [c for c in fk.parent_columns if c not in plan.referenced]
        mine = (child, fk.name) in owned
        if plan.reference and not mine:
            continue  # links into a reference table are codes of the linking row
        degree = f"__deg_{len(plan.degrees)}"
        empty: NumericCodec = None  # type: ignore[assignment]
        plan.degrees.append(DegreePlan(child, fk.name, empty, [], 0, False))
        rename = {"__d": degree}
        if mine:
            made = summary_plans(plans[child])[:MAX_SUMMARIES]
            first = len(plan.summaries)
            plan.summaries += [s for s, _ in made]
            owner = plans[child].owner
            assert owner is not None
            found = family_statistics(rows[child], owner, [a for _, a in made])
            rename |= {f"__s{i}": f"__sum_{first + i}" for i in range(len(made))}
        else:
            found = link_degrees(rows[child], fk.columns)
        frame = attach(frame, fk.parent_columns, found, rename).fillna(0, subset=[degree])
    return frame


def _fit_carried(frame: DataFrame, plan: TablePlan) -> None:
    """Codecs of degrees and summaries, from two aggregations."""
    degrees = {f"__deg_{i}": quoted(f"__deg_{i}") for i in range(len(plan.degrees))}
    summaries = {f"__sum_{i}": quoted(f"__sum_{i}") for i in range(len(plan.summaries))}
    profiles = numeric_profiles(frame, degrees | summaries)
    counts = value_counts(frame, degrees, MAX_DEGREES)
    for i, degree in enumerate(plan.degrees):
        profile, found = profiles[f"__deg_{i}"], counts[f"__deg_{i}"]
        degree.codec = fit_numeric(profile, found, 64)
        degree.histogram = sorted((int(v), n) for v, n in found)
        degree.total = round(profile.mean * profile.rows)
        degree.unique = max((d for d, _ in degree.histogram), default=0) <= 1
    for i, summary in enumerate(plan.summaries):
        rows = TIME_BIN_ROWS if summary.stat in ("first", "span") else MIN_BIN_ROWS
        summary.codec = fit_numeric(profiles[f"__sum_{i}"], None, SUMMARY_BINS.get(summary.stat, 8), rows)


def _fit_time(rows: DataFrame, plan: TablePlan, names: list[str], segment_rows: int) -> None:
    """Codecs of the first time and the gaps, the base of the first time, and the time axis."""
    time = plan.time
    if time is None:
        return
    start = F.col("__pos") == 0
    views = {"t": F.col("__t"), "first": F.when(start, F.col("__t")), "gap": F.col("__dt")}
    for b in names:
        views[f"base {b}"] = quoted(f"__base_{b}")
        views[f"since {b}"] = F.when(start, F.col("__t") - quoted(f"__base_{b}"))
    profiles = numeric_profiles(rows, {k: v.cast("double") for k, v in views.items()})
    first, whole = profiles["first"], profiles["t"]
    usable = [b for b in names if profiles[f"base {b}"].nulls < MAX_BASELESS * whole.rows]
    best = min(usable, key=lambda b: profiles[f"since {b}"].std, default=None)
    if best is not None and profiles[f"since {best}"].std < 0.7 * first.std:
        time.base, time.base_fill = best, round(profiles[f"base {best}"].mean)
        filled = F.when(start, F.col("__t") - F.coalesce(views[f"base {best}"], F.lit(time.base_fill)))
        since = numeric_profiles(rows, {"since": filled})["since"]
        time.first = _exact(fit_numeric(since, _few(rows, filled, since.distinct), 64))
    else:
        time.first = _exact(fit_numeric(first, _few(rows, views["first"], first.distinct), 128))
    time.delta = _exact(fit_numeric(profiles["gap"], _few(rows, views["gap"], profiles["gap"].distinct), 64))
    gaps = profiles["gap"].grid
    time.strict = bool(gaps) and gaps[0] > 0
    time.low = int(whole.grid[0])
    extent = int(whole.grid[-1]) - time.low + 1
    time.step = -(-extent // MAX_CELLS)
    time.cells = -(-extent // time.step)
    time.profile = _course(rows, segment_rows)


def _few(rows: DataFrame, view: Column, distinct: int) -> list[tuple[str, int]] | None:
    """All values of an integer view where they are few, else None."""
    if distinct > 140:
        return None
    return value_counts(rows, {"v": view.cast("bigint")}, 140)["v"]


def _exact(codec: NumericCodec) -> NumericCodec:
    """The codec of a sampled time: whole units; whether a row has one is not its business."""
    return NumericCodec(False, codec.special, codec.bins, 0)


def _course(rows: DataFrame, segment_rows: int) -> list[float]:
    """Mean share of the time span that has passed in each CURVE-th of a long family; empty if there is none."""
    long = rows.where((F.col("__n") > segment_rows) & F.col("__null").isNull())
    passed = (F.col("__t") - F.col("__t0")) / F.greatest(F.col("__t1") - F.col("__t0"), F.lit(1))
    part = F.floor(F.col("__pos") * CURVE / F.col("__n")).alias("part")
    found = {r["part"]: r["share"] for r in long.groupBy(part).agg(F.avg(passed).alias("share")).collect()}
    return [float(found[i]) for i in sorted(found)]
