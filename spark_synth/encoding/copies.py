"""Columns that repeat a column of the row they hang on or link to (an invoice's city that is its customer's).

They are not modelled: generation takes them from the row at the other end, so they agree in every row.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.views import quoted
from spark_synth.schema.model import ForeignKey, Kind, Schema

SAMPLE = 1000  # rows that propose; all rows are asked whether it holds
MIN_ROWS = 50
Copies = tuple[tuple[str, str], ...]  # (column of the child, column of the parent)


def find_copies(
    tables: Mapping[str, DataFrame], table: str, schema: Schema, edges: list[ForeignKey]
) -> dict[str, Copies]:
    """By foreign key of `edges`: the value columns that equal one of its target in every row, NULL where it is NULL.

    A column has one source, of the first edge that gives one. Columns with one value alone are left to the model.
    """
    found: dict[str, Copies] = {}
    taken: set[str] = set()
    for edge in edges:
        pairs = [p for p in _candidates(table, schema, edge) if p[0] not in taken]
        joined = _joined(tables, table, edge, pairs) if pairs else None
        if joined is not None:
            pairs = _holding(joined.limit(SAMPLE), pairs)
            pairs = _holding(_joined(tables, table, edge, pairs), pairs) if pairs else []
            source = dict(reversed(pairs))  # the first of several
            found[edge.name] = tuple((c, source[c]) for c in schema.table(table).columns if c in source)
            taken |= set(source)
    return {name: copies for name, copies in found.items() if copies}


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
    keys = [quoted(c).alias(f"__k{i}") for i, c in enumerate(edge.parent_columns)]
    above = tables[edge.parent].select(*keys, *[quoted(c).alias(f"__v{i}") for i, c in enumerate(columns)])
    match = [quoted(c) == F.col(f"__k{i}") for i, c in enumerate(edge.columns)]
    joined = tables[table].join(above, match, "left")
    own = [quoted(c).alias(f"c{i}") for i, (c, _) in enumerate(pairs)]
    return joined.select(*own, *[F.col(f"__v{columns.index(p)}").alias(f"p{i}") for i, (_, p) in enumerate(pairs)])


def _holding(joined: DataFrame, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs whose columns are equal in every row, and not always the same."""
    cells = [
        F.struct(F.col(f"c{i}").eqNullSafe(F.col(f"p{i}")).alias("same"), F.hash(f"c{i}").alias("value"))
        for i in range(len(pairs))
    ]
    exploded = joined.select(F.posexplode(F.array(*cells)).alias("pair", "cell"))
    asked = [
        F.min(F.col("cell.same").cast("int")).alias("same"),
        F.min("cell.value").alias("low"),
        F.max("cell.value").alias("high"),
        F.count(F.lit(1)).alias("rows"),
    ]
    rows = exploded.groupBy("pair").agg(*asked).collect()
    kept = {r["pair"] for r in rows if r["same"] and r["low"] != r["high"] and r["rows"] >= MIN_ROWS}
    return [p for i, p in enumerate(pairs) if i in kept]
