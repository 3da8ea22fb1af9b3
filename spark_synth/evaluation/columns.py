"""What is measured of which column, and its form in Spark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import reduce

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, StringType, TimestampNTZType, TimestampType

from spark_synth.schema.model import ForeignKey, Kind, Table
from spark_synth.schema.names import quote


class Role(StrEnum):
    """How a column takes part in the evaluation."""

    NUMBER = "number"  # numeric and datetime: quantiles, correlations
    CATEGORY = "category"  # categorical and boolean: shares of values
    TEXT = "text"  # free text and personal data: lengths only, and nothing real in the output
    KEY = "key"  # nothing real in the output
    LINK = "link"  # part of a foreign key, whose values are those of the parent's key


def role(table: Table, name: str) -> Role:
    """The role of a column by its kind and by its part in foreign keys."""
    kind = table.columns[name].kind
    if kind in (Kind.NUMERIC, Kind.DATETIME):
        return Role.NUMBER
    if kind in (Kind.CATEGORICAL, Kind.BOOLEAN):
        return Role.CATEGORY
    if name in table.foreign_key_columns():
        return Role.LINK
    return Role.KEY if kind is Kind.KEY else Role.TEXT


def as_number(df: DataFrame, name: str, kind: Kind) -> SparkColumn:
    """The column as a finite double (datetimes: seconds since 1970); NULL, NaN and infinities become NULL."""
    column, type_ = F.col(quote(name)), df.schema[name].dataType
    if kind is Kind.DATETIME and isinstance(type_, StringType):
        column, type_ = F.to_timestamp(column), TimestampType()
    if isinstance(type_, DateType):
        column = F.unix_date(column) * F.lit(86400)
    elif isinstance(type_, TimestampNTZType):
        column = column.cast("timestamp")
    value = column.cast("double")
    return F.when(value.between(-1e300, 1e300), value)


def as_text(name: str) -> SparkColumn:
    """The column as a string, whatever its type."""
    return F.col(quote(name)).cast("string")


def as_length(name: str) -> SparkColumn:
    """The number of characters, as a double."""
    return F.length(as_text(name)).cast("double")


def known(values: Iterable[SparkColumn]) -> SparkColumn:
    """True where none of the values is NULL."""
    return reduce(lambda a, b: a & b, (v.isNotNull() for v in values), F.lit(True))


def identity(values: list[SparkColumn]) -> SparkColumn:
    """128 bits that stand for the values, NULL if any of them is NULL: two 64-bit hashes of different seeds."""
    return F.when(
        known(values), F.struct(F.xxhash64(*values).alias("a"), F.xxhash64(F.lit("second"), *values).alias("b"))
    )


def values_of(frame: DataFrame, table: Table) -> dict[str, SparkColumn]:
    """The columns that hold numbers, as doubles, and those that hold categories, as text."""
    roles = {c: role(table, c) for c in table.columns}
    return {
        c: as_number(frame, c, table.columns[c].kind) if r is Role.NUMBER else as_text(c)
        for c, r in roles.items()
        if r in (Role.NUMBER, Role.CATEGORY)
    }


def leading(fk: ForeignKey, parent: DataFrame, names: Sequence[str]) -> list[SparkColumn]:
    """The columns of a foreign key, in the types of those that it leads to, under these names."""
    types = [parent.schema[c].dataType for c in fk.parent_columns]
    return [F.col(quote(c)).cast(t).alias(n) for c, t, n in zip(fk.columns, types, names, strict=True)]


def led_to(fk: ForeignKey, names: Sequence[str]) -> list[SparkColumn]:
    """The columns of the parent that a foreign key leads to, under these names."""
    return [F.col(quote(c)).alias(n) for c, n in zip(fk.parent_columns, names, strict=True)]


def row_hash(table: Table, *seed: int) -> SparkColumn:
    """64 bits that stand for a row: of its primary key, or of all columns where there is none."""
    names = table.primary_key or tuple(table.columns)
    return F.xxhash64(*[F.lit(s) for s in seed], *[as_text(n) for n in names])


def enough(wanted: float, rows: float) -> float:
    """The share of so many rows that holds as many as are wanted, and a tenth more, as hashes pick about as many."""
    return min(1.0, 1.1 * wanted / max(1.0, rows))


def picked(table: Table, share: float) -> SparkColumn:
    """True for about this share of the rows, chosen by their hash."""
    if share >= 1:
        return F.lit(True)
    buckets = 1 << 24
    return F.pmod(row_hash(table), F.lit(buckets)) < F.lit(int(share * buckets))
