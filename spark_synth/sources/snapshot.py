"""The tables of a database server, read once by Spark through JDBC: what a session reads, and how it is cut.

All tables are read as they are at one moment, where the server keeps one for several sessions (see servers.address).
Columns get plain names inside the query, so that no name of the database has to be quoted by Spark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlalchemy.engine import URL, Connection, Dialect
from sqlalchemy.sql import ColumnElement, Select, TableClause

from spark_synth.servers.address import jdbc_options
from spark_synth.servers.declared import DeclaredColumn, DeclaredTable
from spark_synth.sources.thinned import Thinned

ROWS_AT_ONCE = 250_000  # of a table that a task reads
FETCHED = 10_000  # rows that come with one answer of the server
_WHOLE = ("Integer", "BigInteger", "SmallInteger")
_AS_TEXT = ("Uuid", "Enum", "JSON", "ARRAY", "Interval", "Text")


@dataclass(frozen=True)
class Part:
    """How much of a table there is: its rows, and the range of the whole number that it is cut by, if it has one."""

    rows: int
    column: str | None = None
    low: int = 0
    high: int = 0


def readable(table: DeclaredTable) -> list[DeclaredColumn]:
    """Columns that are read; binary ones are not."""
    return [c for c in table.columns if c.type["name"] != "LargeBinary"]


def measure_table(
    connection: Connection, name: str, table: DeclaredTable, namespace: str | None, thinned: Thinned | None = None
) -> Part:
    """Rows of a table, those of a share alone where one is taken, and the range of the first column of its primary key,
    where that is a whole number."""
    column = table.column(table.keys.primary[0]) if table.keys.primary else None
    whole = column if column and column.type["name"] in _WHOLE else None
    frame = _frame(name, table, namespace)
    asked: list[Any] = [sa.func.count()]
    asked += [sa.func.min(frame.c[whole.name]), sa.func.max(frame.c[whole.name])] if whole else []
    found = connection.execute(_thin(sa.select(*asked).select_from(frame), name, frame, thinned)).one()
    if whole is None or found[1] is None:
        return Part(int(found[0]))
    return Part(int(found[0]), whole.name, int(found[1]), int(found[2]))


def read_server_table(
    spark: SparkSession,
    url: URL,
    dialect: Dialect,
    name: str,
    table: DeclaredTable,
    namespace: str | None,
    part: Part,
    session: str | None,
    thinned: Thinned | None = None,
) -> DataFrame:
    """The rows of a table, those of a share alone where one is taken; every task reads a range of its key in a session
    of its own, begun by `session`."""
    columns, frame = readable(table), _frame(name, table, namespace)
    query = _thin(_query(frame, columns, dialect.name), name, frame, thinned)
    options: dict[str, str | int] = {
        **jdbc_options(url),
        "dbtable": f"({in_full(query, dialect)}) q",
        "fetchsize": FETCHED,
        "preferTimestampNTZ": "true",
    }
    if session:
        options["sessionInitStatement"] = session
    tasks = -(-part.rows // ROWS_AT_ONCE)
    if part.column and tasks > 1:
        at = [c.name for c in columns].index(part.column)
        options |= {"partitionColumn": f"c{at}", "lowerBound": part.low, "upperBound": part.high + 1}
        options["numPartitions"] = tasks
    read = spark.read.format("jdbc").options(**options).load()
    zoned = [c.type["name"] == "DateTime" and c.type.get("timezone") for c in columns]
    values = [F.col(f"c{i}").cast("timestamp") if z else F.col(f"c{i}") for i, z in enumerate(zoned)]
    return read.select(*[value.alias(c.name) for value, c in zip(values, columns, strict=True)])


def in_full(query: Select[Any], dialect: Dialect) -> str:
    """The text of a query with its values in it, as a driver takes it that knows no parameters."""
    told = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return told.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else told


def _frame(name: str, table: DeclaredTable, namespace: str | None) -> TableClause:
    return sa.table(name, *[sa.column(c.name) for c in table.columns], schema=namespace)


def _thin(query: Select[Any], name: str, frame: TableClause, thinned: Thinned | None) -> Select[Any]:
    kept = thinned.condition(name, frame) if thinned else None
    return query if kept is None else query.where(kept)


def _query(frame: TableClause, columns: list[DeclaredColumn], dialect: str) -> Select[Any]:
    """The SELECT that a table is read by, its columns called c0, c1, ..."""
    return sa.select(*[_read(frame.c[c.name], c.type, dialect).label(f"c{i}") for i, c in enumerate(columns)])


def _read(value: ColumnElement[Any], type_: Mapping[str, Any], dialect: str) -> ColumnElement[Any]:
    """A column in a form that Spark has a type for."""
    if type_["name"] in _AS_TEXT:
        return sa.cast(value, sa.Text())
    if type_["name"] == "CHAR":
        return sa.func.rtrim(value)  # the padding comes back where it is written
    if type_["name"] == "Numeric" and not type_.get("precision"):
        return sa.cast(value, sa.Double())  # of any scale: Spark would give all values eighteen decimals
    if type_["name"] == "DateTime" and type_.get("timezone") and dialect == "postgresql":
        return sa.func.timezone("UTC", value)  # else it would be told in the zone of the reading process
    return value
