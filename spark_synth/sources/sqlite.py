"""Tables of a SQLite file, read with Spark's JDBC source.

SQLite columns hold whatever was put in: dates as text, numbers in text columns. So every column is read as text and
typed by its kind, with what the table declares (text, decimals) as a hint.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spark_synth.errors import UserError
from spark_synth.schema.check import is_type, suggestion
from spark_synth.servers.declared import DeclaredKeys
from spark_synth.sources.files import RawTable
from spark_synth.sources.spark_util import quote

_DRIVER = "org.sqlite.JDBC"
SUFFIXES = (".sqlite", ".sqlite3", ".db")
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)
_TEXT = re.compile(r"CHAR|CLOB|TEXT|STRING", re.IGNORECASE)  # SQLite's own rule, and the common misnomer STRING


def is_sqlite(format_: str, path: str) -> bool:
    """Whether a source is a SQLite file."""
    return format_ == "sqlite" or (format_ == "auto" and path.endswith(SUFFIXES))


def list_sqlite_tables(path: str) -> list[str]:
    """Names of the tables of a file."""
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return [name for (name,) in _asked(path, names)]


def declared_keys(path: str, table: str) -> DeclaredKeys:
    """The keys that a table declares."""
    columns = _asked(path, "SELECT name, pk FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", table)
    parts = _asked(path, 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', table)
    foreign = []
    for _, group in groupby(parts, key=lambda part: part[0]):
        each = list(group)
        theirs = tuple(to for _, _, _, to in each if to is not None)
        foreign.append((tuple(own for _, _, own, _ in each), str(each[0][1]), theirs))
    of_index = "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND origin <> 'pk' AND NOT partial ORDER BY name"
    of_column = "SELECT name FROM pragma_index_info(?) ORDER BY seqno"
    indexes = [[name for (name,) in _asked(path, of_column, i)] for (i,) in _asked(path, of_index, table)]
    unique = tuple(tuple(map(str, names)) for names in indexes if all(names))  # one of an expression has no name
    return DeclaredKeys(tuple(name for name, _ in columns), tuple(foreign), unique)


def read_sqlite_table(spark: SparkSession, path: str, table: str) -> RawTable:
    """The table or view of that name in the SQLite file."""
    declared = _declared_types(path, table)
    _require_driver(spark)
    frame = (
        spark.read.format("jdbc")
        .option("url", f"jdbc:sqlite:{path}")
        .option("driver", _DRIVER)
        .option("dbtable", _sql_name(table))
        .option("customSchema", ", ".join(f"{quote(c)} STRING" for c in declared))
        .load()
    )
    found = {c: f"decimal({m[1]},{m[2] or 0})" for c, t in declared.items() if (m := _DECIMAL.search(t))}
    decimals = {c: t for c, t in found.items() if is_type(t)}
    untyped = frozenset(c for c, t in declared.items() if not _TEXT.search(t))
    return RawTable(frame, f"{path}: {table}", untyped, decimals)


def _declared_types(path: str, table: str) -> dict[str, str]:
    """Declared type of every column, from the file's own catalogue."""
    columns = _asked(path, "SELECT name, type FROM pragma_table_info(?)", table)
    if not columns:
        tables = _asked(path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        raise UserError(f"table {table!r} is not in {path}{suggestion(table, (t for (t,) in tables))}")
    return dict(columns)


def _asked(path: str, query: str, *values: str) -> list[Any]:
    """The rows of a query of the file's own catalogue."""
    if not Path(path).is_file():
        raise UserError(f"source {path} does not exist")
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.DatabaseError as e:
        raise UserError(f"source {path} cannot be read as a SQLite file: {e}") from None


def _require_driver(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    try:
        jvm.java.lang.Class.forName(_DRIVER, True, jvm.java.lang.Thread.currentThread().getContextClassLoader())
    except Exception:  # py4j wraps ClassNotFoundException
        raise UserError(
            "the Spark session has no SQLite driver: add org.xerial:sqlite-jdbc to spark.conf 'spark.jars.packages'"
        ) from None


def _sql_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
