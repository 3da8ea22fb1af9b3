"""Columns that repeat a column of the row they hang on or link to (an invoice's city that is its customer's).

They are not modelled: generation takes them from the row at the other end, so they agree in every row. Where they
only mostly agree (the price on an order line), whether they do is modelled besides the value: __same_<column>.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import Edge
from spark_synth.encoding.plan import SAME, TablePlan
from spark_synth.encoding.rows import attach
from spark_synth.encoding.views import quoted
from spark_synth.schema.model import ForeignKey, Kind, Schema

SAMPLE = 1000  # rows that propose; all rows are asked whether it holds
MIN_ROWS = 50
MOSTLY = 0.3  # share of rows that agree from which on this is modelled
MANY_VALUES = 20  # with fewer different values the network learns what agrees,
NEARLY = 0.9  # unless almost all rows do
Copies = tuple[tuple[str, str], ...]  # (column of the child, column of the parent)


def find_copies(
    tables: Mapping[str, DataFrame], table: str, schema: Schema, edges: list[ForeignKey]
) -> dict[str, Copies]:
    """By foreign key of `edges`: the value columns that equal one of its target in every row, NULL where it is NULL,
    and as __same_<column> those that mostly do.

    A column has one source, of the first edge that gives one. Columns with one value alone are left to the model.
    """
    agreed: dict[tuple[str, str, str], _Agreement] = {}
    for edge in edges:
        always = {c for (_, c, _), a in agreed.items() if a.always}
        pairs = [p for p in _candidates(table, schema, edge) if p[0] not in always]
        if pairs:
            close = _agreement(_joined(tables, table, edge, pairs).limit(SAMPLE), pairs)
            pairs = [p for p in pairs if p in close and (close[p].always or close[p].mostly)]
        if pairs:
            told = _agreement(_joined(tables, table, edge, pairs), pairs)
            agreed |= {(edge.name, *p): a for p, a in told.items()}
    copied = {c: (e, p) for (e, c, p), a in reversed(agreed.items()) if a.always}  # the first of several
    same = {c: (e, p) for (e, c, p), a in sorted(agreed.items(), key=lambda x: x[1].share) if a.mostly}
    found: dict[str, list[tuple[str, str]]] = {}
    for c in schema.table(table).columns:
        if c in copied:
            found.setdefault(copied[c][0], []).append((c, copied[c][1]))
        elif c in same:
            found.setdefault(same[c][0], []).append((SAME + c, same[c][1]))
    return {name: tuple(pairs) for name, pairs in found.items()}


def add_same(rows: DataFrame, tables: Mapping[str, DataFrame], plan: TablePlan) -> DataFrame:
    """`rows` with __same_<column>, whether it equals that at the other end, for the columns that mostly do."""
    for edge in plan.edges:
        pairs = [(c.removeprefix(SAME), p) for c, p in edge.copies if c.startswith(SAME)]
        if pairs:
            joined = _with_target(rows, tables[edge.parent], edge, [p for _, p in pairs])
            flags = [quoted(c).eqNullSafe(F.col(f"__v{i}")).alias(SAME + c) for i, (c, _) in enumerate(pairs)]
            rows = joined.select(*[quoted(c) for c in rows.columns], *flags)
    return rows


def _candidates(table: str, schema: Schema, edge: ForeignKey) -> list[tuple[str, str]]:
    child, parent = schema.table(table), schema.table(edge.parent)
    values = {c: child.columns[c].type for c in child.value_columns() if c not in child.primary_key}
    keys = set(parent.primary_key) | parent.foreign_key_columns()
    theirs = {c: v.type for c, v in parent.columns.items() if c not in keys and v.kind is not Kind.KEY}
    pairs = [(c, p) for c, t in values.items() for p, of in theirs.items() if t == of]
    return sorted(pairs, key=lambda pair: pair[0].lower() not in (pair[1].lower(), f"{edge.parent}_{pair[1]}".lower()))


def _joined(tables: Mapping[str, DataFrame], table: str, edge: ForeignKey, pairs: list[tuple[str, str]]) -> DataFrame:
    """c<i> and p<i> of every pair, for every row of the table."""
    columns = list(dict.fromkeys(p for _, p in pairs))
    joined = _with_target(tables[table], tables[edge.parent], edge, columns)
    own = [quoted(c).alias(f"c{i}") for i, (c, _) in enumerate(pairs)]
    return joined.select(*own, *[F.col(f"__v{columns.index(p)}").alias(f"p{i}") for i, (_, p) in enumerate(pairs)])


def _with_target(rows: DataFrame, target: DataFrame, edge: ForeignKey | Edge, columns: list[str]) -> DataFrame:
    """`rows` with __v<i>, the columns of the row at the other end."""
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(edge.parent_columns)]
    theirs = [quoted(c).alias(f"__v{i}") for i, c in enumerate(columns)]
    return attach(
        rows, edge.columns, target.select(*keys, *theirs), {f"__v{i}": f"__v{i}" for i in range(len(columns))}
    )


@dataclass(frozen=True)
class _Agreement:
    """Share of rows in which two columns are equal, and about how many values the first one has."""

    share: float
    values: int

    @property
    def always(self) -> bool:
        return self.share == 1 and self.values > 1

    @property
    def mostly(self) -> bool:
        needed = MOSTLY if self.values >= MANY_VALUES else NEARLY
        return needed <= self.share < 1 and self.values > 1


def _agreement(joined: DataFrame, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], _Agreement]:
    """How far the columns of each pair agree; none where there are too few rows to tell."""
    cells = [
        F.struct(F.col(f"c{i}").eqNullSafe(F.col(f"p{i}")).alias("same"), F.hash(f"c{i}").alias("value"))
        for i in range(len(pairs))
    ]
    exploded = joined.select(F.posexplode(F.array(*cells)).alias("pair", "cell"))
    asked = [
        F.count_if("cell.same").alias("same"),
        F.min("cell.value").alias("low"),
        F.max("cell.value").alias("high"),
        F.approx_count_distinct("cell.value").alias("values"),
        F.count(F.lit(1)).alias("rows"),
    ]
    rows = exploded.groupBy("pair").agg(*asked).collect()
    return {
        pairs[r["pair"]]: _Agreement(r["same"] / r["rows"], max(r["values"], 2) if r["low"] != r["high"] else 1)
        for r in sorted(rows, key=lambda r: int(r["pair"]))
        if r["rows"] >= MIN_ROWS
    }
