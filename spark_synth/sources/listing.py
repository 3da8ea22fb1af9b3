"""What a source holds where no schema tells: the names of its tables, each as it is, and the keys that it declares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from spark_synth.errors import UserError
from spark_synth.servers.declared import DeclaredKeys, load_declared
from spark_synth.sources.catalog import catalog_keys, list_catalog_tables, read_catalog_table
from spark_synth.sources.files import RawTable, list_file_tables, read_file_table
from spark_synth.sources.spark_util import absolute, exists
from spark_synth.sources.sqlite import declared_keys, is_sqlite, list_sqlite_tables, read_sqlite_table

if TYPE_CHECKING:
    from spark_synth.config import SourceSettings

DECLARED, TAKEN = "declared.json", "snapshot.json"  # beside the tables of a snapshot


def list_tables(spark: SparkSession, source: SourceSettings) -> list[str]:
    """Names of all tables, sorted; UserError where there is no source, or nothing in it."""
    if source.catalog:
        found = list_catalog_tables(spark, source.catalog)
        if not found:
            raise UserError(f"source.catalog {source.catalog} holds no table")
        return sorted(found)
    check_there(spark, source)
    path = absolute(source.path)
    sqlite = is_sqlite(source.format, path)
    names = list_sqlite_tables(path) if sqlite else list_file_tables(spark, path, source.format)
    if not names:
        raise UserError(f"source.path {source.path} holds no table (source.format is {source.format})")
    return sorted(names)


def check_there(spark: SparkSession, source: SourceSettings) -> None:
    """UserError where a path leads nowhere."""
    if not source.catalog and not exists(spark, absolute(source.path)):
        raise UserError(f"source.path {source.path} does not exist")


def read_table(spark: SparkSession, source: SourceSettings, name: str) -> RawTable:
    """One table as its source gives it."""
    if source.catalog:
        return read_catalog_table(spark, source.catalog, name)
    path = absolute(source.path)
    if is_sqlite(source.format, path):
        return read_sqlite_table(spark, path, name)
    return read_file_table(spark, path, source.format, name)


def is_thinned(source: SourceSettings) -> bool:
    """Whether the tables are the copy of a share of a server's, in which links may lead to rows that are not there."""
    told = Path(source.path) / TAKEN
    return source.sample < 1 and bool(source.path) and told.exists()


def keys_of(spark: SparkSession, source: SourceSettings, names: Iterable[str]) -> dict[str, DeclaredKeys]:
    """The keys that the source declares of tables; plain files declare none."""
    if source.catalog:
        return catalog_keys(spark, source.catalog, names)
    path = absolute(source.path)
    if is_sqlite(source.format, path):
        return {name: declared_keys(path, name) for name in names}
    told = Path(path) / DECLARED
    tables = load_declared(told)[0] if told.exists() else {}
    return {name: tables[name].keys if name in tables else DeclaredKeys() for name in names}
