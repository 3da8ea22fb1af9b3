"""What holds in every real row, an order of two values or a column that follows from another: does it hold here too?

Rules are looked for in a sample of the real rows and counted over all rows of both sides. Dependencies of one column on
another are those of dependency discovery (Huhtala et al., 1999, TANE), without its search of sets of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import Role, as_number, as_text, leading, led_to, picked, role
from spark_synth.evaluation.task import in_one_task
from spark_synth.schema.model import ForeignKey, Kind, Schema

LEAST_ROWS = 50  # complete ones, below which a rule may be chance
SURPRISE = 0.05  # of the rows would break a rule if one of its columns were shuffled, or it says nothing
MOST_RULES = 20  # of each kind in a table, those that shuffling breaks most
HOLDS = 0.99  # of all real rows, as the sample may have missed exceptions


@dataclass(frozen=True)
class Rule:
    """`first <= second` in every row (order), or rows alike in `first` are alike in `second` (dependency)."""

    kind: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first} <= {self.second}" if self.kind == "order" else f"{self.first} determines {self.second}"


def evaluate_rules(
    real: Mapping[str, DataFrame],
    synth: Mapping[str, DataFrame],
    schema: Schema,
    table: str,
    *,
    rows: int,
    sample_rows: int,
    most_columns: int,
) -> list[dict[str, Any]]:
    """Rules of a table of so many real `rows`: `rule` in words, its `kind`, and the shares of the `real` and `synth`
    rows that keep it (None where none has both values).

    Orders are of two numbers of a row, of two dates, or of one and a date of a row that a foreign key leads to;
    dependencies are of categories and keys on each other.
    """
    kinds = _kinds(schema, table, most_columns)
    sample = _values(real, schema, table, kinds, min(1.0, sample_rows / max(1, rows)))
    rules = _found(sample, kinds)
    if not rules:
        return []
    sides = [_values(frames, schema, table, kinds, 1.0) for frames in (real, synth)]
    both = sides[0].withColumn("side", F.lit(0)).union(sides[1].withColumn("side", F.lit(1)))
    places = {name: f"f{i}" for i, name in enumerate(kinds)}
    held = _orders_held(both, rules, places) | _dependencies_held(both, rules, places)
    return [
        {"rule": str(r), "kind": r.kind, "real": held[r][0], "synth": held[r][1]}
        for r in rules
        if (held[r][0] or 0.0) >= HOLDS
    ]


def _kinds(schema: Schema, table: str, most: int) -> dict[str, str]:
    """By name `number`, `time` or `text`, at most so many of each."""
    spec = schema.table(table)
    found = {}
    for name, column in spec.columns.items():
        what = role(spec, name)
        if what is Role.NUMBER:
            found[name] = "time" if column.kind is Kind.DATETIME else "number"
        elif what in (Role.CATEGORY, Role.LINK):
            found[name] = "text"
    for fk in spec.foreign_keys:
        above = schema.table(fk.parent).columns if fk.parent != table else {}
        found |= {_above(fk, c): "time" for c, v in above.items() if v.kind is Kind.DATETIME}
    taken = {kind: [n for n, k in found.items() if k == kind][:most] for kind in ("number", "time", "text")}
    return {n: k for n, k in found.items() if n in taken[k]}


def _above(fk: ForeignKey, column: str) -> str:
    return f"{fk.parent}[{'+'.join(fk.columns)}].{column}"


def _values(
    frames: Mapping[str, DataFrame], schema: Schema, table: str, kinds: Mapping[str, str], share: float
) -> DataFrame:
    """f0, f1, ...: the columns in the order of `kinds`, numbers and times as doubles, for a share of the rows."""
    spec, frame = schema.table(table), frames[table]
    places = {name: f"f{i}" for i, name in enumerate(kinds)}
    own = [
        (as_text(n) if kinds[n] == "text" else as_number(frame, n, spec.columns[n].kind)).alias(place)
        for n, place in places.items()
        if n in spec.columns
    ]
    links = [(fk, _dates(fk, schema, kinds)) for fk in spec.foreign_keys]
    links = [(fk, dates) for fk, dates in links if dates]
    names = [[f"k{i}_{j}" for j in range(len(fk.columns))] for i, (fk, _) in enumerate(links)]
    keys = [k for (fk, _), n in zip(links, names, strict=True) for k in leading(fk, frames[fk.parent], n)]
    out = frame.where(picked(spec, share)).select(*own, *keys)
    for (fk, dates), n in zip(links, names, strict=True):
        above = frames[fk.parent]
        values = [as_number(above, c, Kind.DATETIME).alias(places[_above(fk, c)]) for c in dates]
        out = out.join(above.select(*led_to(fk, n), *values), n, "left")
    return out.select(*places.values())


def _dates(fk: ForeignKey, schema: Schema, kinds: Mapping[str, str]) -> list[str]:
    return [c for c in schema.table(fk.parent).columns if _above(fk, c) in kinds]


def _found(sample: DataFrame, kinds: Mapping[str, str]) -> list[Rule]:
    """The rules of a sample, looked for in one Spark task."""

    def look(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
        seen = rows.set_axis(list(kinds), axis=1).sort_values(list(kinds), na_position="first")
        return [*_orders(seen, kinds), *_dependencies(seen, kinds)]

    return [Rule(*each) for each in in_one_task(sample, look) or []]


def _orders(rows: pd.DataFrame, kinds: Mapping[str, str]) -> list[tuple[str, str, str]]:
    found = []
    for a, b in permutations([n for n, k in kinds.items() if k != "text"], 2):
        if kinds[a] != kinds[b]:
            continue
        pair = rows[[a, b]].to_numpy(dtype=float)
        x, y = pair[~np.isnan(pair).any(1)].T
        if len(x) >= LEAST_ROWS and (x <= y).all() and (x < y).any():
            found.append((float((x > _shuffled(y)).mean()), ("order", a, b)))
    return _best(found)


def _dependencies(rows: pd.DataFrame, kinds: Mapping[str, str]) -> list[tuple[str, str, str]]:
    found = []
    for a, b in permutations([n for n, k in kinds.items() if k == "text"], 2):
        pair = rows[[a, b]].dropna()
        again = int(pair[a].duplicated(keep=False).sum())
        if again < LEAST_ROWS or pair[b].nunique() < 2 or len(pair.drop_duplicates()) > pair[a].nunique():
            continue
        mixed = pd.DataFrame({"a": pair[a].to_numpy(), "b": _shuffled(pair[b].to_numpy())})
        kept = mixed.groupby(["a", "b"]).size().groupby("a").max().sum()
        found.append((float(1 - kept / len(mixed)), ("dependency", a, b)))
    return _best(found)


def _shuffled(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(values)


def _best(found: list[tuple[float, tuple[str, str, str]]]) -> list[tuple[str, str, str]]:
    telling = sorted((f for f in found if f[0] >= SURPRISE), key=lambda f: (-f[0], f[1]))
    return [rule for _, rule in telling[:MOST_RULES]]


_Held = dict[Rule, list[float | None]]


def _orders_held(both: DataFrame, rules: list[Rule], places: Mapping[str, str]) -> _Held:
    """By rule the shares of both sides, in one job over all rows."""
    orders = [r for r in rules if r.kind == "order"]
    if not orders:
        return {}
    parts: list[SparkColumn] = []
    for i, r in enumerate(orders):
        a, b = F.col(places[r.first]), F.col(places[r.second])
        parts += [F.count(a + b).alias(f"n{i}"), F.count(F.when(a <= b, 1)).alias(f"k{i}")]
    found = {row["side"]: row for row in both.groupBy("side").agg(*parts).collect()}
    return {r: [_share(found.get(s), f"k{i}", f"n{i}") for s in (0, 1)] for i, r in enumerate(orders)}


def _dependencies_held(both: DataFrame, rules: list[Rule], places: Mapping[str, str]) -> _Held:
    """Likewise: rows keep the rule that have the commonest value among those that are alike in the first column."""
    wanted = [r for r in rules if r.kind == "dependency"]
    if not wanted:
        return {}
    cells = [
        F.struct(F.lit(i).alias("rule"), F.col(places[r.first]).alias("a"), F.col(places[r.second]).alias("b"))
        for i, r in enumerate(wanted)
    ]
    melted = both.select("side", F.explode(F.array(*cells)).alias("cell")).select("side", "cell.*").dropna()
    pairs = melted.groupBy("side", "rule", "a", "b").agg(F.count(F.lit(1)).alias("n"))
    groups = pairs.groupBy("side", "rule", "a").agg(F.sum("n").alias("n"), F.max("n").alias("k"))
    sums = groups.groupBy("side", "rule").agg(F.sum("n").alias("n"), F.sum("k").alias("k")).collect()
    found = {(row["side"], row["rule"]): row for row in sums}
    return {r: [_share(found.get((s, i)), "k", "n") for s in (0, 1)] for i, r in enumerate(wanted)}


def _share(row: Row | None, kept: str, rows: str) -> float | None:
    return row[kept] / row[rows] if row is not None and row[rows] else None


def rules_score(rules: Iterable[Mapping[str, Any]]) -> float | None:
    """How much of what holds in the real rows holds in the synthetic ones: the mean share, 1 if all of it does."""
    shares = [min(1.0, r["synth"] / r["real"]) for r in rules if r["synth"] is not None]
    return float(np.mean(shares)) if shares else None
