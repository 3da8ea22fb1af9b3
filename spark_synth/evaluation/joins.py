"""Rows of a table with the columns of the rows that they are tied to, and samples of them in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.evaluation.columns import as_text, known, row_hash, values_of
from spark_synth.schema.model import ForeignKey, Schema
from spark_synth.schema.names import quote

SAMPLE_ROWS = 50_000  # joined rows that a model learns from, and is tested on
GENERATIONS = 2  # parents and grandparents
MOST_JOINS = 10  # rows that a row is joined with, nearest first
PLACE, FAMILY = "__place", "__family"


@dataclass(frozen=True)
class Joined:
    """A sample of joined rows: numbers as floats, categories as text, and which columns are which."""

    rows: pd.DataFrame
    numbers: list[str]
    categories: list[str]


def joined(
    frames: Mapping[str, DataFrame], schema: Schema, table: str, below: Collection[str] | None = None
) -> DataFrame:
    """The rows of a table with the columns of the rows that its foreign keys lead to and, if others refer to it, one
    row for each combination of these: of all tables that do, or of those in `below`. Columns are named table.column;
    keys are left out."""
    base = _with_above(_named(frames[table], schema, table, table), frames, schema, table, 1)
    children = [(c, fk) for c, fk in schema.children(table) if c != table and (below is None or c in below)]
    for child, fk in children:
        prefix = child if [c for c, _ in children].count(child) == 1 else f"{child}[{'+'.join(fk.columns)}]"
        base = base.join(_named(frames[child], schema, child, prefix), _match(fk, prefix, table), "left")
    return _without_keys(base)


def with_ancestors(
    base: DataFrame,
    frames: Mapping[str, DataFrame],
    schema: Schema,
    table: str,
    owners: Mapping[str, str | None],
    generations: int,
    labels: Sequence[str] = (),
) -> DataFrame:
    """The rows `base` of a table, each with the columns of the rows that its foreign keys lead to, and theirs, one row
    for each. Beside them stay the `labels` of `base`, and there are PLACE, a hash of the row, and FAMILY, a hash of
    the key of the highest owner that was reached, or PLACE where there is none."""
    spec = schema.table(table)
    own = _named(base, schema, table, table, [row_hash(spec).alias(PLACE), *map(F.col, labels)])
    top = _topmost(schema, table, owners, generations)
    family = F.col(PLACE)
    if top:
        keys = [F.col(quote(k)) for k in top]
        family = F.when(known(keys), F.xxhash64(*keys)).otherwise(family)
    return _without_keys(_with_above(own, frames, schema, table, generations).withColumn(FAMILY, family))


def along_owners(schema: Schema, owners: Mapping[str, str | None], kept: Collection[str]) -> Schema:
    """The schema with no other foreign keys than those under which rows are owned and those that lead to kept rows.

    A classifier that sees the values of a parent knows which parent it is, and needs no more where it learns from some
    of its children and is asked about others. Children of one owner can be kept together; those of several cannot.
    """
    out = schema.model_copy(deep=True)
    for t, spec in out.tables.items():
        spec.foreign_keys = [fk for fk in spec.foreign_keys if fk.name == owners.get(t) or fk.parent in kept]
    return out


def ancestors(schema: Schema, table: str, generations: int) -> Iterator[tuple[str, ForeignKey, str]]:
    """(prefix of the row that refers, its foreign key, prefix of the row referred to), nearest first; a table is not
    met twice on one way up."""
    level, count = [(table, table, frozenset({table}))], 0
    for _ in range(generations):
        above = []
        for t, prefix, met in level:
            for fk in schema.table(t).foreign_keys:
                if fk.parent not in met and count < MOST_JOINS:
                    up = f"{'' if prefix == table else prefix + '/'}{fk.parent}[{'+'.join(fk.columns)}]"
                    yield prefix, fk, up
                    above.append((fk.parent, up, met | {fk.parent}))
                    count += 1
        level = above


def sample_of(rows: DataFrame, most: int = SAMPLE_ROWS, seed: int = 0) -> Joined:
    """About `most` of the rows that `joined` made, on the driver: all of them if they are fewer."""
    count = rows.count()
    if count > most:
        rows = rows.sample(fraction=min(1.0, 1.05 * most / count), seed=seed).limit(most)
    return Joined(rows.toPandas(), *kinds_of(rows))


def kinds_of(rows: DataFrame) -> tuple[list[str], list[str]]:
    """Names of the columns with numbers and of those with categories, among values in the form of `values_of`."""
    return [c for c, kind in rows.dtypes if kind == "double"], [c for c, kind in rows.dtypes if kind == "string"]


def _with_above(
    rows: DataFrame, frames: Mapping[str, DataFrame], schema: Schema, table: str, generations: int
) -> DataFrame:
    for prefix, fk, up in ancestors(schema, table, generations):
        rows = rows.join(_named(frames[fk.parent], schema, fk.parent, up), _match(fk, prefix, up), "left")
    return rows


def _topmost(schema: Schema, table: str, owners: Mapping[str, str | None], generations: int) -> list[str]:
    """The key columns that tell the highest owner within reach; none if no row owns those of the table."""
    ups = {(prefix, fk.name): (fk.parent, up) for prefix, fk, up in ancestors(schema, table, generations)}
    found: list[str] = []
    at: tuple[str, str] | None = (table, table)
    while at:
        t, prefix = at
        own = next((fk for fk in schema.table(t).foreign_keys if fk.name == owners.get(t)), None)
        if own is None:
            break
        found = [f"key:{prefix}.{c}" for c in own.columns]
        at = ups.get((prefix, own.name))
    return found


def _named(
    frame: DataFrame, schema: Schema, table: str, prefix: str, others: list[SparkColumn] | None = None
) -> DataFrame:
    """The values of a table as prefix.column, the columns of its keys as key:prefix.column, and others."""
    spec = schema.table(table)
    values = [v.alias(f"{prefix}.{c}") for c, v in values_of(frame, spec).items()]
    referred = {p for _, fk in schema.children(table) for p in fk.parent_columns}
    keys = sorted(referred | set(spec.primary_key) | spec.foreign_key_columns())
    return frame.select(*(others or []), *values, *[as_text(k).alias(f"key:{prefix}.{k}") for k in keys])


def _without_keys(rows: DataFrame) -> DataFrame:
    return rows.select(*[quote(c) for c in rows.columns if not c.startswith("key:")])


def _match(fk: ForeignKey, child: str, parent: str) -> list[SparkColumn]:
    return [
        F.col(quote(f"key:{child}.{c}")) == F.col(quote(f"key:{parent}.{p}"))
        for c, p in zip(fk.columns, fk.parent_columns, strict=True)
    ]
