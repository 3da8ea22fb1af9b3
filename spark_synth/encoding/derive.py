"""Rules that hold in every real row: columns that follow from others, and numbers that never exceed another.

A bounded sample proposes, one aggregation over all rows disposes, and one more reads the maps of determined columns.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.derive_bounds import TOLERANCE, Bound, bounds, clip_rules
from spark_synth.encoding.derive_calendar import calendar_rules
from spark_synth.encoding.derive_clock import clock_rules
from spark_synth.encoding.derive_linear import linear_rules
from spark_synth.encoding.derive_maps import GROUP_ROWS, MAX_KEYS, Determination, determinations, map_rules
from spark_synth.encoding.derive_near import near_pairs
from spark_synth.encoding.derive_sample import MIN_ROWS, Rule, Sample
from spark_synth.schema.model import ForeignKey, Table
from spark_synth.schema.names import quote


def find_rules(
    df: DataFrame,
    table: Table,
    owner: ForeignKey | None,
    seed: int,
    references: Collection[str] = (),
    group_rows: int = 3,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Rules in the order they must be applied to generated rows, and numbers near another one (encoding.near).

    Each is {"kind": "derived" | "clip", "column", "sql" (a Spark expression over quoted columns), "inputs"}: a derived
    column is left out of the model and computed, a clipped one is modelled and then bounded. A column has at most
    one rule. `references` are the tables whose real rows are kept: only their keys may determine another column.
    No value that is stored in a rule stands for fewer than `group_rows` real rows.
    """
    if table.reference:
        return [], {}
    sample = Sample(df, table, owner, references, seed)
    if sample.rows < MIN_ROWS:
        return [], {}
    rules = calendar_rules(sample)
    rules += linear_rules(sample, {r.column for r in rules})
    rules += clock_rules(sample, {r.column for r in rules})
    found = determinations(sample, {r.column for r in rules})
    limits = bounds(sample, {r.column for r in rules if r.kind == "derived"})
    if not rules and not found and not limits:
        return [], near_pairs(sample, ())
    checked = _check(df, sample, rules, found, limits)
    chosen: dict[str, Rule] = {}
    for rule in checked.rules:
        _choose(chosen, rule, checked.time)
    open_ = [d for d in checked.determinations if d.column not in chosen and d.column != checked.time]
    for rule in map_rules(df, sample, open_, checked.rows, group_rows):
        _choose(chosen, rule, checked.time)
    clips = {c: r for c, r in chosen.items() if r.kind == "clip"}
    derived = {c: r for c, r in chosen.items() if r.kind == "derived"}
    held = [b for b in checked.bounds if b.column != checked.time]
    bounded = clip_rules(sample, held, derived, {c: r.inputs for c, r in clips.items()})
    first = [r.to_json() for r in clips.values()] + bounded
    return sort_rules(first + [r.to_json() for r in derived.values()]), near_pairs(sample, derived)


@dataclass(frozen=True)
class _Checked:
    """What holds in all rows; time: the column that orders a family."""

    rows: int
    time: str | None
    rules: list[Rule]
    determinations: list[Determination]
    bounds: list[Bound]


def _check(
    df: DataFrame, sample: Sample, rules: list[Rule], found: list[Determination], limits: list[Bound]
) -> _Checked:
    """Every proposal against all rows, in one aggregation.

    Each row is exploded into the numbers of the conditions that it breaks, mostly none, and the keys of the maps to
    be: one narrow aggregate, where an aggregate per proposal would compile longer than it runs.
    """
    conditions = ["true"] + [r.breaks for r in rules] + [b.sql for b in limits]
    conditions += [f"{quote(c)} IS NULL" for c in sample.times]
    none = "CAST(NULL AS STRING)"
    cells = [f"IF({c}, struct({i} AS i, {none} AS k), NULL)" for i, c in enumerate(conditions)]
    cells += [f"struct({len(conditions) + i} AS i, {d.sql} AS k)" for i, d in enumerate(found)]
    # nulls are dropped after the explosion: array_compact would be interpreted, and takes twice as long
    seen = df.select(F.expr(f"explode(array({', '.join(cells)}))").alias("c")).where(F.col("c").isNotNull())
    keys = F.approx_count_distinct("c.k", 0.03).alias("keys")
    told = {r["i"]: r for r in seen.groupBy("c.i").agg(F.count(F.lit(1)).alias("n"), keys).collect()}
    counts = [told[i]["n"] if i in told else 0 for i in range(len(conditions))]
    rows, broken = counts[0], iter(counts[1:])
    held = [(n, r) for r in rules if (n := next(broken)) <= r.tolerance * rows]
    kept = [b for b in limits if next(broken) <= TOLERANCE * rows]
    nullable = {c for c in sample.times if next(broken)}
    most = min(MAX_KEYS, rows / GROUP_ROWS) * 1.1  # the counts are approximate
    few = [d for i, d in enumerate(found) if rows and told[len(conditions) + i]["keys"] <= most]
    best = {c: min(n for n, r in held if r.column == c) for c in {r.column for _, r in held}}
    return _Checked(rows, sample.time(nullable), [r for n, r in held if n == best[r.column]], few, kept)


def _choose(chosen: dict[str, Rule], rule: Rule, time: str | None) -> None:
    """Add a rule unless its column is modelled for good, has one already, or would follow from itself."""
    overridden = {c for r in chosen.values() if r.kind == "clip" for c in r.inputs}
    derived = {c for c, r in chosen.items() if r.kind == "derived"}
    if rule.column == time or rule.column in chosen or _follows(chosen, rule.inputs, rule.column):
        return
    if rule.kind == "derived" and rule.column in overridden:
        return  # clips are applied before anything is derived
    if rule.kind == "clip" and derived & set(rule.inputs):
        return
    chosen[rule.column] = rule


def _follows(chosen: dict[str, Rule], columns: Collection[str], target: str) -> bool:
    """Whether one of the columns is computed, at the end of the chain, from `target`."""
    return any(
        c == target or (c in chosen and _follows({k: v for k, v in chosen.items() if k != c}, chosen[c].inputs, target))
        for c in columns
    )


def sort_rules(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules in the order to apply them: what bounds columns, then what computes them, each after its inputs."""
    clips = [r for r in rules if r["kind"] == "clip"]
    return _ordered(clips) + _ordered([r for r in rules if r["kind"] != "clip"])


def _ordered(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules after those of their inputs."""
    by_column = {r["column"]: r for r in rules}
    before = {c: [i for i in r["inputs"] if i in by_column] for c, r in by_column.items()}
    return [by_column[c] for c in TopologicalSorter(before).static_order()]
