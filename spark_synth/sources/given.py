"""Rows that the user gives for a table: one Delta or Parquet folder, Parquet or CSV file, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.sources.files import RawTable, read_table_at
from spark_synth.sources.integrity import orphan_keys
from spark_synth.sources.parsing import cast_to
from spark_synth.sources.spark_util import any_null, col, exists, measure


def read_given(
    spark: SparkSession,
    table: str,
    path: str,
    types: Mapping[str, str],
    schema: Schema,
    parents: Mapping[str, DataFrame],
    filled: Sequence[str],
) -> DataFrame:
    """The rows at `path` with the columns of `table` in their types; UserError where they cannot be its rows.

    parents: the rows of the tables that its foreign keys lead to; filled: columns that may not be NULL.
    """
    place = path if ":/" in path else str(Path(path).absolute())
    if not exists(spark, place):
        raise UserError(f"--given {table}: {path} does not exist")
    raw = read_table_at(spark, place)
    missing = [c for c in types if c not in raw.frame.columns]
    if missing:
        raise UserError(f"--given {table}: {path} has no column {', '.join(missing)}")
    formats = {c: v.format for c, v in schema.table(table).columns.items()}
    have = dict(raw.frame.dtypes)
    typed = {c: col(c) if have[c] == t else cast_to(c, t, formats.get(c)) for c, t in types.items()}
    _check_values(f"--given {table}", raw, typed, types, filled)
    rows = raw.frame.select(*[typed[c].alias(c) for c in types])
    _check_keys(f"--given {table}", table, rows, schema, parents)
    return rows


def _check_values(
    flag: str, raw: RawTable, typed: Mapping[str, Column], types: Mapping[str, str], filled: Sequence[str]
) -> None:
    counts = [F.count(F.lit(1)).alias("rows")]
    counts += [F.count_if(col(c).isNotNull() & v.isNull()).alias(f"bad{i}") for i, (c, v) in enumerate(typed.items())]
    counts += [F.count_if(col(c).isNull()).alias(f"empty{i}") for i, c in enumerate(filled)]
    counts += [F.count(col(raw.ragged)).alias("ragged")] if raw.ragged else []
    seen = measure(raw.frame, counts)
    if not seen["rows"]:
        raise UserError(f"{flag}: {raw.place} has no rows")
    if raw.ragged and seen["ragged"]:
        raise UserError(f"{flag}: {seen['ragged']} lines of {raw.place} {raw.misfit}")
    for i, c in enumerate(typed):
        if seen[f"bad{i}"]:
            raise UserError(f"{flag}: {seen[f'bad{i}']} values of {c} are not of type {types[c]}")
    for i, c in enumerate(filled):
        if seen[f"empty{i}"]:
            raise UserError(f"{flag}: {c}, which orders the rows of a family, is NULL in {seen[f'empty{i}']} rows")


def _check_keys(flag: str, table: str, rows: DataFrame, schema: Schema, parents: Mapping[str, DataFrame]) -> None:
    key = schema.table(table).primary_key
    if key:
        named = ", ".join(key)
        repeated = F.count(F.lit(1)) - F.count_distinct(*map(col, key))
        seen = measure(rows, [F.count_if(any_null(key)).alias("null"), repeated.alias("repeated")])
        if seen["null"]:
            raise UserError(f"{flag}: primary key ({named}) is NULL in {seen['null']} rows")
        if seen["repeated"]:
            raise UserError(f"{flag}: primary key ({named}) is that of another row in {seen['repeated']} rows")
    for fk in schema.table(table).foreign_keys:
        lost = orphan_keys({**parents, table: rows}, table, fk).count()
        if lost:
            raise UserError(f"{flag}: {lost} rows have a ({', '.join(fk.columns)}) that no row of {fk.parent} has")
