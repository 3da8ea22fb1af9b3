"""Work on many tables: several at a time, and what is made of each is written, so that nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pyspark.sql import DataFrame

T = TypeVar("T")
PARALLEL = 4  # tables worked on at the same time: fixed job costs overlap


def each(tables: list[str], work: Callable[[str], T]) -> list[T]:
    """`work` on every table, several at a time; the first failure, with a note that names its table, is raised after
    those under way have ended."""

    def noted(table: str) -> T:
        try:
            return work(table)
        except Exception as error:
            error.add_note(f"table {table}")
            raise

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(noted, tables))


def written(df: DataFrame, path: str) -> DataFrame:
    """`df`, written to `path` as Parquet and read from there: what follows reads it more than once."""
    df.write.mode("overwrite").parquet(path)
    return df.sparkSession.read.schema(df.schema).parquet(path)
