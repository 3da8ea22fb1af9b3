"""Rows into the tables of a database server, from Spark's executors, many partitions at a time.

PostgreSQL takes them by COPY, from Arrow's CSV; others by many rows an INSERT. A partition is one transaction. What is
loaded are tables of other names, which get theirs when all are full (pipeline.export): a reader never sees a half.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy.engine import URL

from spark_synth.errors import RunError
from spark_synth.servers.address import engine_of, first_line, shown

Batches = Iterable[pa.RecordBatch]
INSERTED = 5_000  # rows of an INSERT


def load_rows(rows: DataFrame, table: sa.Table, url: URL) -> int:
    """Put the rows, which have the columns of the table or some of them, into it; how many there were."""
    loaded = rows.mapInArrow(_loader(table, url), "rows bigint").agg(F.sum("rows")).first()
    return int(loaded[0] or 0) if loaded else 0


def insertion(table: sa.Table, columns: Iterable[str]) -> sa.Insert:
    """An INSERT into some columns that leaves values as they are: they have been fitted to the types already."""
    return sa.insert(sa.table(table.name, *[sa.column(c) for c in columns], schema=table.schema))


def _insert_rows(connection: sa.Connection, table: sa.Table, batches: Batches) -> int:
    """Put batches into a table by INSERT; how many rows there were."""
    done = 0
    for batch in batches:
        into = insertion(table, batch.schema.names)
        for part in (batch.slice(i, INSERTED) for i in range(0, batch.num_rows, INSERTED)):
            connection.execute(into, part.to_pylist())
            done += part.num_rows
    return done


def _loader(table: sa.Table, url: URL) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    """What a task does with its batches."""

    def load(batches: Batches) -> Iterator[pa.RecordBatch]:
        engine = engine_of(url)
        try:
            with engine.begin() as connection:
                copies = engine.dialect.name == "postgresql"
                done = _copy_rows(connection, table, batches) if copies else _insert_rows(connection, table, batches)
        except sa.exc.SQLAlchemyError as error:
            raise RunError(f"table {table.name}: writing to {shown(url)} failed: {first_line(error, url)}") from None
        finally:
            engine.dispose()
        yield pa.record_batch([pa.array([done], pa.int64())], ["rows"])

    return load


def _copy_rows(connection: sa.Connection, table: sa.Table, batches: Batches) -> int:
    """COPY of PostgreSQL: an empty field without quotes is NULL, and Arrow puts quotes around every text."""
    quote = connection.dialect.identifier_preparer
    done = 0
    cursor = connection.connection.cursor()
    for batch in batches:
        names = ", ".join(map(quote.quote_identifier, batch.schema.names))
        text = io.BytesIO()
        pyarrow.csv.write_csv(batch, text, pyarrow.csv.WriteOptions(include_header=False))
        with cursor.copy(f"COPY {quote.format_table(table)} ({names}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(text.getbuffer())
        done += batch.num_rows
    return done
