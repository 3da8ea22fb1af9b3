"""Fit the plans of all tables: columns first, then what parents carry of their children, then the sequence codecs.

Reads the source tables; writes, below `work`, `rows/<table>` (rows in family order) and `frames/<table>` (the same
with degrees and family summaries) and, for tables whose rows take part in links, `coded/<table>` (the same with the
code of the row) as Parquet, so that no later step parses the source or repeats a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import build_blooms
from spark_synth.encoding.codecs import MIN_BIN_ROWS, NumericCodec, fit_numeric
from spark_synth.encoding.columns import ColumnSettings, plan_columns
from spark_synth.encoding.copies import add_same, find_copies
from spark_synth.encoding.depth import Write, depths
from spark_synth.encoding.derive import find_rules, sort_rules
from spark_synth.encoding.embed import node
from spark_synth.encoding.fit_codes import coded_tables, neighbours, with_codes
from spark_synth.encoding.fit_time import fit_time
from spark_synth.encoding.join_plan import BlockPlan
from spark_synth.encoding.orphans import context_width, fit_orphans
from spark_synth.encoding.plan import DegreePlan, LinkPlan, TablePlan
from spark_synth.encoding.profile import numeric_profiles, value_counts
from spark_synth.encoding.rows import (
    add_bases,
    attach,
    deeper_plans,
    order_rows,
    statistics_by_key,
    summary_plans,
)
from spark_synth.encoding.sets import plan_set
from spark_synth.encoding.views import key_text, quoted
from spark_synth.schema.graph import generation_order, links, owned_children, owners_last
from spark_synth.schema.joins import Join, before_values
from spark_synth.schema.model import ForeignKey, Schema

T = TypeVar("T")
PARALLEL = 4  # tables worked on at the same time: fixed job costs overlap
SUMMARY_BINS = {"mean": 16, "spread": 8, "first": 32, "span": 32}
TIME_BIN_ROWS = 10  # when a family begins and ends ties it to its parent: finer bins than for values
MAX_SUMMARIES = 120  # statistics of one family at most
LINK_SUMMARIES = 24  # statistics of the rows that link to one at most
MAX_DEGREES = 4096  # distinct degrees kept in the histogram


@dataclass
class Fitted:
    """Plans by table in generation order, filters of real keys and texts by table and column, and where frames are."""

    plans: dict[str, TablePlan]
    work: str
    blooms: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    def frame(self, spark: SparkSession, table: str) -> DataFrame:
        """The rows of a table with positions, degrees and summaries, and __code if they have codes."""
        return spark.read.parquet(f"{self.work}/{'coded' if self.plans[table].code else 'frames'}/{table}")


def fit_database(
    spark: SparkSession,
    tables: Mapping[str, DataFrame],
    schema: Schema,
    owners: Mapping[str, ForeignKey | None],
    joins: Mapping[str, Join],
    settings: Callable[[str], ColumnSettings],
    segment_rows: int,
    seed: int,
    work: str,
    note: Callable[[str], None],
) -> Fitted:
    """Plans of every table, fitted in Spark. `note` is told of each finished step."""
    order = generation_order(schema, owners, before_values(joins))
    plans: dict[str, TablePlan] = {}
    blooms: dict[str, dict[str, np.ndarray]] = {}

    kept = {t for t, v in schema.tables.items() if v.reference}

    def columns(t: str) -> None:
        rules, near = find_rules(tables[t], schema.table(t), owners[t], seed, kept)
        copies = find_copies(tables, t, schema, _sources(schema, t, owners[t]))
        plans[t] = plan_columns(tables[t], t, schema, owners[t], settings(t), rules, near, copies)
        plans[t].derived = sort_rules(plans[t].derived)
        blooms[t] = build_blooms(tables[t], _filtered(plans[t])) | fit_orphans(tables, schema, plans[t])
        note(f"columns of {t}")

    each(order, columns)
    rows: dict[str, DataFrame] = {}

    def ordered(t: str) -> None:
        rows[t] = _write(spark, _ordered(t, tables, plans, schema, seed), f"{work}/rows/{t}")

    each(order, ordered)

    frames: dict[str, DataFrame] = {}

    def parents(t: str) -> None:
        frame = _with_children(t, rows, frames, plans, schema, owners)
        frames[t] = _write(spark, frame, f"{work}/frames/{t}")
        _fit_carried(frames[t], plans[t])
        fit_time(rows[t], plans[t], _base_candidates(plans[t], plans, schema), segment_rows)
        note(f"families of {t}")

    for level in owners_last(owners):
        each(level, parents)
    _fit_codes(spark, rows, plans, seed, work, note)
    for t in order:
        plans[t].sets = [plan_set(plans[j], plans) for j, join in joins.items() if join.first and join.link.parent == t]
        plans[t].number(plans)
    for t in order:
        owner = plans[t].owner
        above = plans[owner.parent] if owner else None
        plans[t].context_cards = context_width(owner, above) if owner and above else []
        carried = above.summaries if above else []
        plans[t].course = [s for s in carried if s.table == t and s.stat in ("first", "span")]
        if owner and above:
            counted = next(d for d in above.degrees if (d.table, d.edge) == (t, owner.name))
            owner.families = sum(n for d, n in counted.histogram if d)
    fitted = Fitted({t: plans[t] for t in order}, work, blooms)
    for t, join in joins.items():
        if join.edges != "neural":
            plans[t].blocks = fit_blocks(spark, fitted, t, alone=join.edges == "configuration")
    return fitted


def each(items: list[str], work: Callable[[str], T]) -> list[T]:
    """`work` on every item, several at a time; the first failure is raised after the others have ended."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(work, items))


def _sources(schema: Schema, table: str, owner: ForeignKey | None) -> list[ForeignKey]:
    """The foreign keys whose targets are generated before the rows of a table: its owner and its early links."""
    if schema.table(table).reference:
        return []
    early = [fk for fk in links(schema.table(table), owner) if not fk.cut and fk.parent != table]
    return [*([owner] if owner else []), *(fk for fk in early if not schema.table(fk.parent).reference)]


def _filtered(plan: TablePlan) -> dict[str, int]:
    keys = [k.column for k in plan.keys if k.how == "pattern"]
    return dict.fromkeys(keys + [t.column for t in plan.texts], plan.rows)


def _write(spark: SparkSession, df: DataFrame, path: str) -> DataFrame:
    df.write.mode("overwrite").parquet(path)
    return spark.read.schema(df.schema).parquet(path)


def _ordered(
    t: str, tables: Mapping[str, DataFrame], plans: dict[str, TablePlan], schema: Schema, seed: int
) -> DataFrame:
    df = add_same(order_rows(tables[t], plans[t], schema.table(t).primary_key, seed), tables, plans[t])
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
    frames: Mapping[str, DataFrame],
    plans: Mapping[str, TablePlan],
    schema: Schema,
    owners: Mapping[str, ForeignKey | None],
) -> DataFrame:
    """The rows of `t` with __deg_<i> for every edge into it and __sum_<i> for every owned family; plans extended.

    frames: of the tables that it owns."""
    frame, plan = rows[t], plans[t]
    owned = {(c, fk.name) for c, fk in owned_children(t, owners)}
    for child, fk in schema.children(t):
        plan.referenced += [c for c in fk.parent_columns if c not in plan.referenced]
        mine = (child, fk.name) in owned
        if fk.implied:
            continue
        if plan.reference and not mine:
            continue  # links into a reference table are codes of the linking row
        degree = f"__deg_{len(plan.degrees)}"
        empty: NumericCodec = None  # type: ignore[assignment]
        plan.degrees.append(DegreePlan(child, fk.name, empty, [], 0, False))
        late = any(k.name == fk.name and k.late for k in plans[child].links)
        most = 0 if late else MAX_SUMMARIES if mine else LINK_SUMMARIES
        made = summary_plans(plans[child], fk.name, mine)[:most]
        if mine:
            families = {(c, key.name) for c, key in owned_children(child, owners)}
            made += deeper_plans(plans[child], families)[: min(LINK_SUMMARIES, MAX_SUMMARIES - len(made))]
        first = len(plan.summaries)
        plan.summaries += [s for s, _ in made]
        rename = {"__d": degree} | {f"__s{i}": f"__sum_{first + i}" for i in range(len(made))}
        found = statistics_by_key((frames if mine else rows)[child], fk.columns, [a for _, a in made])
        frame = attach(frame, fk.parent_columns, found, rename).fillna(0, subset=[degree])
    return frame


def _fit_codes(
    spark: SparkSession,
    rows: Mapping[str, DataFrame],
    plans: dict[str, TablePlan],
    seed: int,
    work: str,
    note: Callable[[str], None],
) -> None:
    """Codes of all tables whose rows take part in links, written with their frames."""
    linking = [t for t, p in plans.items() if any(not k.late for k in p.matched)]
    found = [place for places in each(linking, lambda t: neighbours(rows[t], plans[t], seed)) for place in places]
    coded = coded_tables(plans)

    def code(t: str) -> None:
        mine = [place for place in found if place[0].parent == t]
        copied = {c for p in plans.values() for k in p.matched if k.parent == t for _, c in k.copies}
        frame = with_codes(spark.read.parquet(f"{work}/frames/{t}"), plans[t], mine, copied, seed)
        for n, link in enumerate(plans[t].matched):
            if link.parent == t:
                frame = _with_levels(frame, link, n, lambda df, name: _write(spark, df, f"{work}/levels/{t}/{name}"))
        frame = _write(spark, frame, f"{work}/coded/{t}")
        _fit_follows(frame, plans[t])
        note(f"codes of {t}")

    each(coded, code)
    for plan in plans.values():
        for link in plan.matched:
            target = plans[link.parent].code
            assert target is not None
            link.clusters = target.clusters


def _with_levels(frame: DataFrame, link: LinkPlan, number: int, write: Write) -> DataFrame:
    """The frame with __level<number>, how deep each row lies by a self reference, if that can be told."""
    found = depths(frame, link, write)
    if found is None:
        return frame
    by_node, link.levels = found
    level = by_node.select(F.col("__node").alias("__lies"), F.col("__depth").alias(f"__level{number}"))
    return frame.join(level, node(link.parent_columns) == F.col("__lies")).drop("__lies")


def _fit_follows(frame: DataFrame, plan: TablePlan) -> None:
    """What follows from the code of a row where each has its own (at most encoding.clusters.ALONE rows)."""
    assert plan.code is not None
    if plan.code.clusters < plan.rows:
        return
    names = [f"__deg_{i}" for i in range(len(plan.degrees))] + [f"__sum_{i}" for i in range(len(plan.summaries))]
    inside = [(n, k) for n, k in enumerate(plan.matched) if k.levels]
    keys = [(node(k.columns).alias(f"__to{n}"), node(k.parent_columns).alias(f"__is{n}")) for n, k in inside]
    levels = [quoted(f"__level{n}") for n, _ in inside]
    named = [key_text([quoted(c) for c in k.columns]).isNotNull().alias(f"__named{n}") for n, k in inside]
    numbers = [quoted(n).cast("double").alias(n) for n in names]
    rows = frame.select("__code", *numbers, *levels, *named, *[c for pair in keys for c in pair]).toPandas()
    rows = rows.sort_values("__code", ignore_index=True)
    codes = [d.codec.encode(rows[f"__deg_{i}"].to_numpy(float)) for i, d in enumerate(plan.degrees)]
    for n, link in inside:
        to = rows[f"__to{n}"].map(rows.set_index(f"__is{n}")["__code"]) + int(link.nullable)
        code = to.where(rows[f"__level{n}"] > 0, 0).mask(rows[f"__named{n}"] & to.isna(), link.codes - 1).fillna(0)
        codes += [rows[f"__level{n}"].to_numpy(), code.to_numpy()]
    codes += [s.codec.encode(rows[f"__sum_{i}"].to_numpy(float)) for i, s in enumerate(plan.summaries)]
    plan.code.follows = np.stack(codes, axis=1).astype(int).tolist() if codes else []


def fit_blocks(spark: SparkSession, fitted: Fitted, table: str, alone: bool) -> BlockPlan:
    """The edges of a join table by the codes at both ends; alone: by that of the link only."""
    plan = fitted.plans[table]
    owner, (link,) = plan.owner, plan.matched
    assert owner is not None
    rows, by = spark.read.parquet(f"{fitted.work}/rows/{table}"), fitted.plans[owner.parent].code
    for edge, name in ((owner, "__from"), (link, "__to")):
        keys = [quoted(c).alias(f"{name}{i}") for i, c in enumerate(edge.parent_columns)]
        found = fitted.frame(spark, edge.parent).select(*keys, F.col("__code").alias(name))
        rows = rows.join(found, [quoted(c) == F.col(f"{name}{i}") for i, c in enumerate(edge.columns)], "left")
    assert by is not None
    lost = F.when(key_text([quoted(c) for c in link.columns]).isNull(), 0).otherwise(link.codes - 1)
    code = F.coalesce(F.col("__to") + int(link.nullable), lost).alias("__to")
    counts = np.zeros((by.clusters, link.codes), dtype=int)
    for r in rows.where("__from IS NOT NULL").groupBy("__from", code).count().collect():
        counts[r["__from"], r["__to"]] += r["count"]
    return BlockPlan(-1, [counts.sum(0).tolist()]) if alone else BlockPlan(by.at, counts.tolist())


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
        profile = profiles[f"__sum_{i}"]
        most, rows = SUMMARY_BINS.get(summary.stat, 8), TIME_BIN_ROWS
        if summary.stat not in ("first", "span"):
            most, rows = min(most, max(4, round((profile.rows - profile.nulls) ** (1 / 3)))), MIN_BIN_ROWS
        summary.codec = fit_numeric(profile, None, most, rows)
