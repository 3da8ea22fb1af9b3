"""Fit the plans of all tables: columns first, then what parents carry of their children, then the sequence codecs.

Reads the source tables; writes, below `work`, `rows/<table>` (rows in family order), `frames/<table>` (the same with
degrees and family summaries), for tables whose rows own clustered families, `clustered/<table>` (the same with their
clusters), for tables whose rows take part in links, `coded/<table>` (the same with the code of the row) as Parquet, so
that no later step parses the source or repeats a window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from spark_synth.encoding.at_once import each, written
from spark_synth.encoding.bloom import build_blooms
from spark_synth.encoding.codecs import MIN_BIN_ROWS, NumericCodec, fit_numeric
from spark_synth.encoding.columns import ColumnSettings, plan_columns
from spark_synth.encoding.copies import add_same, find_copies
from spark_synth.encoding.derive import find_rules, sort_rules
from spark_synth.encoding.fit_codes import fit_blocks, fit_codes
from spark_synth.encoding.fit_time import fit_time
from spark_synth.encoding.orphans import context_width, fit_orphans
from spark_synth.encoding.plan import CLUSTER, DegreePlan, TablePlan
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
from spark_synth.encoding.skeletons import add_clusters
from spark_synth.encoding.totals import fit_totals
from spark_synth.encoding.views import quoted
from spark_synth.schema.graph import filled_last, generation_order, links, owned_children, owners_last
from spark_synth.schema.joins import Join, before_values
from spark_synth.schema.model import ForeignKey, Schema

SUMMARY_BINS = {"mean": 16, "spread": 8, "first": 32, "span": 32}
WIDEST = 0.5  # spreads of a mean that one of its bins covers: a tail in one bin would lose who is far out
LONG = 30  # rows of a family, on average, from which on its means are worth such bins
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
        clustered = any(s.stat == CLUSTER for s in self.plans[table].summaries)
        folder = "coded" if self.plans[table].code else "clustered" if clustered else "frames"
        return spark.read.parquet(f"{self.work}/{folder}/{table}")


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
        rows[t] = written(_ordered(t, tables, plans, schema, seed), f"{work}/rows/{t}")

    each(order, ordered)

    frames: dict[str, DataFrame] = {}

    def parents(t: str) -> None:
        frame = written(_with_children(t, rows, frames, plans, schema, owners), f"{work}/frames/{t}")
        _fit_carried(frame, plans[t])
        clustered = [plans[c] for c, fk in owned_children(t, owners) if plans[c].clusters]
        if clustered:
            frame = add_clusters(frame, plans[t], clustered, seed, f"{work}/located/{t}")
        frames[t] = written(frame, f"{work}/clustered/{t}") if clustered else frame
        fit_totals(frames[t], plans[t], schema)
        fit_time(rows[t], plans[t], _base_candidates(plans[t], plans, schema), segment_rows)
        note(f"families of {t}")

    for level in owners_last(owners):
        each(level, parents)
    fit_codes(rows, frames, plans, seed, work, note)
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
            histogram = above.degrees[above.degree_of(t, owner.name)].histogram
            owner.families = sum(n for d, n in histogram if d)
    fitted = Fitted({t: plans[t] for t in order}, work, blooms)
    for t, join in joins.items():
        if join.edges != "neural":
            ends = {k.parent: fitted.frame(spark, k.parent) for k in plans[t].edges}
            plans[t].blocks = fit_blocks(rows[t], plans[t], plans, ends, alone=join.edges == "configuration")
    return fitted


def _sources(schema: Schema, table: str, owner: ForeignKey | None) -> list[ForeignKey]:
    """The foreign keys whose targets are generated before the rows of a table: its owner and its early links."""
    if schema.table(table).reference:
        return []
    early = [fk for fk in links(schema.table(table), owner) if not filled_last(table, fk)]
    return [*([owner] if owner else []), *(fk for fk in early if not schema.table(fk.parent).reference)]


def _filtered(plan: TablePlan) -> dict[str, int]:
    keys = [k.column for k in plan.keys if k.how == "pattern"]
    return dict.fromkeys(keys + [t.column for t in plan.texts], plan.rows)


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
        most, rows, widest = SUMMARY_BINS.get(summary.stat, 8), TIME_BIN_ROWS, math.inf
        if summary.stat not in ("first", "span"):
            families = profile.rows - profile.nulls
            most, rows = min(most, max(4, round(families ** (1 / 3)))), MIN_BIN_ROWS
            degree = plan.degrees[plan.degree_of(summary.table, summary.edge)]
            widest = WIDEST if degree.total >= LONG * families else math.inf
        summary.codec = fit_numeric(profile, None, most, rows, widest)
