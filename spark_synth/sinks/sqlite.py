"""Synthetic tables in a SQLite file: all of them in one transaction, with their constraints, or none.

SQLite has one writer and its file lies with the driver, so rows come there, a partition of Spark at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pyspark.sql import DataFrame
from sqlalchemy.engine import URL, Connection
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from spark_synth.errors import RunError
from spark_synth.servers.address import SQLITE, engine_of, told_plainly
from spark_synth.sinks.ddl import Design
from spark_synth.sinks.load import INSERTED, insertion


def write_sqlite(path: Path, made: Design, rows: Mapping[str, DataFrame], replace: bool) -> dict[str, int]:
    """Make the tables in the file, which may hold others, and fill them; rows by table.

    UserError where one is there already and is not to be replaced; RunError, and a file as it was, where that fails.
    """
    url = URL.create(SQLITE, database=str(path))
    new = not path.exists()
    engine = engine_of(url)
    try:
        with told_plainly(url, "writing to"), engine.connect() as connection:
            raw = connection.execution_options(isolation_level="AUTOCOMMIT")  # transactions are begun below
            found = made.existing(raw, str(path), replace)
            raw.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                counts = _fill(raw, made, rows, found)
            except BaseException:
                raw.exec_driver_sql("ROLLBACK")
                raise
            raw.exec_driver_sql("COMMIT")
    except BaseException:
        if new:
            path.unlink(missing_ok=True)
        raise
    finally:
        engine.dispose()
    return counts


def _fill(connection: Connection, made: Design, rows: Mapping[str, DataFrame], old: list[str]) -> dict[str, int]:
    for name in old:
        connection.execute(DropTable(sa.Table(name, sa.MetaData())))
    for table in made.tables.values():
        connection.execute(CreateTable(table))
    counts = {}
    for name, table in made.tables.items():
        counts[name] = 0
        into = insertion(table, rows[name].columns)
        for some in _some(rows[name]):
            connection.execute(into, some)
            counts[name] += len(some)
    for index in made.indexes():
        connection.execute(CreateIndex(index))
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    own = [b for b in broken if b[0] in {t.name for t in made.tables.values()}]
    if own:
        raise RunError(f"table {own[0][0]}: {len(own)} rows refer to no row of {own[0][2]}; nothing was written")
    return counts


def _some(rows: DataFrame) -> Iterator[list[dict[str, Any]]]:
    each = (row.asDict() for row in rows.toLocalIterator())
    while some := list(islice(each, INSERTED)):
        yield some
