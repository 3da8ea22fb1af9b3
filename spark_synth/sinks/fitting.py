"""Rows in the form that a database takes: times of day, JSON, arrays, identifiers and texts as its types want them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from spark_synth.schema.check import UUID
from spark_synth.schema.names import quote
from spark_synth.servers.address import SQLITE

_ARRAY = r"^\{[^\\]*\}$"
_HEX = r"(.{8})(.{4})(.{4})(.{4})(.{12})"


def fitting_rows(rows: DataFrame, table: sa.Table, dialect: Dialect) -> DataFrame:
    """The rows with the columns of the table that they have, in the order of the rows."""
    names = [c for c in rows.columns if c in table.columns]
    return rows.select(*[_fitted(F.col(quote(c)), table.columns[c], dialect).alias(c) for c in names])


def _fitted(value: Column, column: sa.Column[Any], dialect: Dialect) -> Column:
    type_ = column.type
    if isinstance(type_, sa.Enum):
        first = F.lit(None) if column.nullable else F.lit(type_.enums[0])
        return F.when(value.isNull() | value.isin(type_.enums), value).otherwise(first)
    if isinstance(type_, sa.ARRAY):
        said = F.regexp_replace(value, r'(["\\])', r"\\$1")
        return F.when(value.isNull() | value.rlike(_ARRAY), value).otherwise(F.concat(F.lit('{"'), said, F.lit('"}')))
    if isinstance(type_, sa.JSON):
        valid = value.isNull() | F.get_json_object(value, "$").isNotNull()
        return F.when(valid, value).otherwise(F.to_json(F.array(value)))
    if isinstance(type_, sa.Uuid):
        made = F.regexp_replace(F.md5(value), _HEX, "$1-$2-$3-$4-$5")
        return F.when(value.isNull() | value.rlike(UUID), value).otherwise(made)
    if isinstance(type_, sa.Time):
        return F.date_format(value, "HH:mm:ss.SSSSSS")
    if isinstance(type_, sa.String):
        text = F.translate(value.cast("string"), "\0", "")  # which no database takes in a text
        return F.substring(text, 1, type_.length) if type_.length else text
    if dialect.name == SQLITE:
        return _plain(value, type_)
    return value.cast("timestamp") if isinstance(type_, sa.DateTime) and type_.timezone else value


def _plain(value: Column, type_: TypeEngine[Any]) -> Column:
    """What SQLite has no type for, as SQLAlchemy and most others keep it there."""
    if isinstance(type_, sa.Date):
        return F.date_format(value, "yyyy-MM-dd")
    if isinstance(type_, sa.DateTime):
        return F.date_format(value, "yyyy-MM-dd HH:mm:ss.SSSSSS")
    return value.cast("double") if isinstance(type_, sa.Numeric) else value
