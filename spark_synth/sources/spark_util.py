"""Small helpers over Spark that every reader needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pyspark.sql import Column, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.dataframe import DataFrame
from pyspark.util import inheritable_thread_target

from spark_synth.schema.names import quote

__all__ = ["absolute", "any_null", "col", "exists", "latest_version", "measure", "quote", "run_parallel"]

T = TypeVar("T")
R = TypeVar("R")

_THREADS = 4  # jobs of small tables are mostly latency: a few at a time fill the cores


def col(name: str) -> Column:
    """The column of exactly that name, whatever characters it holds."""
    return F.col(quote(name))


def any_null(names: Iterable[str]) -> Column:
    """True where at least one of the columns is NULL."""
    condition = F.lit(False)
    for name in names:
        condition = condition | col(name).isNull()
    return condition


def measure(frame: DataFrame, aggregates: list[Column]) -> Row:
    """The one row of an aggregation over the whole frame."""
    row = frame.agg(*aggregates).first()
    assert row is not None  # an aggregation without groups always has one row
    return row


def run_parallel(spark: SparkSession, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`work` of every item, in threads that keep the session's job properties; results in the order of the items."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(inheritable_thread_target(work), items))


def absolute(path: str) -> str:
    """A local path made absolute, so that it does not hang on the JVM's idea of the working folder."""
    return path if ":/" in path else str(Path(path).absolute())


def exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or folder exists, on whatever file system Hadoop finds behind the path."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    hadoop = jvm.org.apache.hadoop.fs.Path(path)
    return bool(hadoop.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).exists(hadoop))


def latest_version(spark: SparkSession, folder: str) -> int:
    """The number of the last commit of a Delta table."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    log = jvm.org.apache.hadoop.fs.Path(f"{folder}/_delta_log")
    files = log.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).listStatus(log)
    names = [f.getPath().getName() for f in files]
    return max(int(n.removesuffix(".json")) for n in names if n.endswith(".json") and n[:-5].isdigit())
