"""Delta tables that a repeated stage writes once."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameWriter, Row, SparkSession
from pyspark.sql import functions as F

from spark_synth.errors import RunError, UserError
from spark_synth.schema.names import quote
from spark_synth.sinks.leftovers import HISTORY, remove_leftovers

_LOG = logging.getLogger(__name__)
_NAME = r"(?:\w+|`(?:[^`]|``)+`)"
_TABLE = re.compile(rf"{_NAME}\.{_NAME}\.{_NAME}")
_CATALOG_SCHEMA = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_NO_TABLE = ("DELTA_TABLE_ONLY_OPERATION", "DELTA_MISSING_DELTA_TABLE", "TABLE_OR_VIEW_NOT_FOUND")
_NEEDS_MAPPING = re.compile(r"[ ,;{}()\n\t=]")  # characters that Delta takes in a column name only with mapped names


def table_target(output: str, identifier: str, table: str, prefix: str = "") -> str:
    """Where a table of a run goes: a folder, or a name in the catalog when `output` is `catalog.schema`."""
    if _CATALOG_SCHEMA.fullmatch(output):
        name = prefix + table
        return f"{output}.{name if re.fullmatch(r'[A-Za-z_][A-Za-z0-9_]*', name) else quote(name)}"
    return f"{output.rstrip('/')}/{identifier}/tables/{table}"


def write_delta(
    df: DataFrame, target: str, app_id: str, version: int, expected: int | None = None, replace: bool = False
) -> int:
    """Append `df` to a Delta table, made where there is none, or replace its rows; returns the number of rows
    committed.

    The same `app_id` and `version` again write nothing and return the count of the first time. RunError when the
    count differs from `expected`. `target` is a folder or `catalog.schema.table`. In a folder, which has no other
    writer, what killed tasks and failed commits have left is removed (see sinks.leftovers), however this write ends.
    """
    spark = df.sparkSession
    commit = f"{app_id}@{version}"
    history = _history(spark, target)
    done = _committed(spark, target, history, commit)
    rows = done if done is not None else _write(df, target, app_id, version, replace)
    if done is not None:
        _tidy(spark, target, history, app_id)
    _LOG.info("%s: %d rows %s", target, rows, "written" if done is None else "were there already")
    if expected is not None and rows != expected:
        raise RunError(f"{target} holds {rows} rows of this run, {expected} were to be written")
    return rows


def read_delta(spark: SparkSession, target: str) -> DataFrame:
    """The rows of a Delta folder or catalog table."""
    return read_version(spark, target)[0]


def read_version(spark: SparkSession, target: str) -> tuple[DataFrame, int]:
    """The rows of a Delta folder or catalog table, and its version."""
    history = _history(spark, target)
    if history is None:
        raise UserError(f"{target} is not a Delta table")
    return spark.table(_sql_name(target)), max(int(c["version"]) for c in history)


def _write(df: DataFrame, target: str, app_id: str, version: int, replace: bool) -> int:
    commit = f"{app_id}@{version}"
    options: dict[str, str | int] = {"txnAppId": app_id, "txnVersion": version, "userMetadata": commit}
    if not _is_table_name(target):
        _save(_writer(df, options).mode("overwrite" if replace else "append"), target, df.sparkSession, app_id)
    elif replace:
        df.writeTo(target).options(**options).overwrite(F.lit(True))
    else:
        # made empty first: a table that is made and filled at once takes no transaction options
        _writer(df.limit(0), {}).mode("ignore").saveAsTable(target)
        _writer(df, options).mode("append").saveAsTable(target)
    spark = df.sparkSession
    history = _history(spark, target)
    _tidy(spark, target, history, app_id)
    rows = _committed(spark, target, history, commit)
    if rows is None:
        raise RunError(f"{target}: the commit of {commit} is not in the table's history; another run wrote it")
    return rows


def _save(writer: DataFrameWriter, target: str, spark: SparkSession, app_id: str) -> None:
    """Write to a folder, which is tidied where that fails."""
    try:
        writer.save(_absolute(target))
    except Exception:
        with suppress(Exception):  # the failure of the write tells more
            _tidy(spark, target, _history(spark, target), app_id)
        raise


def _tidy(spark: SparkSession, target: str, history: list[Row] | None, app_id: str) -> None:
    """Remove leftovers from a folder; where that fails the table is as good without, and a failed write tells more."""
    if _is_table_name(target):
        return
    try:
        left = remove_leftovers(spark, _absolute(target), history, app_id)
    except Exception as error:
        _LOG.info("%s: files that no commit names may be left: %s", target, error)
    else:
        _LOG.info("%s: %d files that no commit names removed", target, len(left))


def _writer(df: DataFrame, options: Mapping[str, str | int]) -> DataFrameWriter:
    writer = df.write.format("delta").options(**options)
    if any(_NEEDS_MAPPING.search(c) for c in df.columns):
        writer = writer.option("delta.columnMapping.mode", "name")
        writer = writer.option("delta.minReaderVersion", "2").option("delta.minWriterVersion", "5")
    return writer


def _committed(spark: SparkSession, target: str, history: list[Row] | None, commit: str) -> int | None:
    """Rows that the commit of that name added, None if there is none.

    Delta itself skips a repeated transaction without a word; the name in the history says how many rows it had.
    """
    entry = next((c for c in history or () if c["userMetadata"] == commit), None)
    if entry is None:
        return None
    metrics = entry["operationMetrics"] or {}
    return int(metrics["numOutputRows"]) if "numOutputRows" in metrics else read_delta(spark, target).count()


def _history(spark: SparkSession, target: str) -> list[Row] | None:
    """The commits of a table, None where there is no Delta table."""
    try:
        return spark.sql(f"DESCRIBE HISTORY {_sql_name(target)}").select(*HISTORY).collect()
    except AnalysisException as e:
        if e.getErrorClass() in _NO_TABLE:
            return None
        raise


def _sql_name(target: str) -> str:
    return target if _is_table_name(target) else f"delta.{quote(_absolute(target))}"


def _absolute(path: str) -> str:
    return path if ":/" in path else str(Path(path).absolute())


def _is_table_name(target: str) -> bool:
    return _TABLE.fullmatch(target) is not None
