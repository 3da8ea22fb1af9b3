"""Tables of a catalog (`catalog.schema`), such as Unity Catalog: their rows at one version, and the keys declared in
`catalog.information_schema`, where the catalog has one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from spark_synth.errors import UserError
from spark_synth.schema.check import suggestion
from spark_synth.servers.declared import DeclaredKeys
from spark_synth.sources.files import RawTable, nested_as_text
from spark_synth.sources.spark_util import quote

# of the views that Databricks documents: a row for each column of a key, with the column that it refers to
_KEYS = """
SELECT own.table_name, own.constraint_name, told.constraint_type, own.column_name,
       other.table_name AS parent, other.column_name AS parent_column
FROM {views}.key_column_usage own
JOIN {views}.table_constraints told
  ON told.constraint_schema = own.constraint_schema AND told.constraint_name = own.constraint_name
 AND told.table_name = own.table_name
LEFT JOIN {views}.referential_constraints refers
  ON refers.constraint_schema = own.constraint_schema AND refers.constraint_name = own.constraint_name
LEFT JOIN {views}.key_column_usage other
  ON other.constraint_schema = refers.unique_constraint_schema AND other.constraint_name = refers.unique_constraint_name
 AND other.ordinal_position = own.position_in_unique_constraint
WHERE own.table_schema = :schema AND (other.table_schema = :schema OR told.constraint_type <> 'FOREIGN KEY')
ORDER BY own.table_name, own.constraint_name, own.ordinal_position
"""


def list_catalog_tables(spark: SparkSession, namespace: str) -> list[str]:
    """Names of the tables and views of `catalog.schema`; UserError where there is none of that name."""
    try:
        found = spark.sql(f"SHOW TABLES IN {_quoted(namespace)}").collect()
    except AnalysisException as error:
        raise UserError(f"source.catalog {namespace} cannot be read: {_first_line(error)}") from None
    return [r["tableName"] for r in found if not r["isTemporary"]]


def read_catalog_table(spark: SparkSession, namespace: str, table: str) -> RawTable:
    """The table of that name; of a Delta table the rows of its last version, whatever is written to it meanwhile."""
    name = f"{_quoted(namespace)}.{quote(table)}"
    try:
        version = _version(spark, name)
        reader = spark.read if version is None else spark.read.option("versionAsOf", version)
        frame = reader.table(name)
    except AnalysisException as error:
        there = list_catalog_tables(spark, namespace)
        if table not in there:
            raise UserError(f"table {table!r} is not in {namespace}{suggestion(table, there)}") from None
        raise UserError(f"table {table!r} of {namespace} cannot be read: {_first_line(error)}") from None
    return RawTable(nested_as_text(frame), f"{namespace}.{table}", version=version)


def catalog_keys(spark: SparkSession, namespace: str, names: Iterable[str]) -> dict[str, DeclaredKeys]:
    """The keys that the catalog declares of tables, by table; none where it has no information_schema."""
    catalog, _, schema = namespace.partition(".")
    try:
        found = spark.sql(_KEYS.format(views=f"{quote(catalog)}.information_schema"), {"schema": schema}).collect()
    except AnalysisException:  # no such views: a Hive metastore
        found = []
    keys = {name: DeclaredKeys() for name in names}
    for (table, _), group in groupby(found, key=lambda r: (r["table_name"], r["constraint_name"])):
        parts = list(group)
        columns, kind = tuple(p["column_name"] for p in parts), parts[0]["constraint_type"]
        told = keys.get(table, DeclaredKeys())
        if kind == "PRIMARY KEY":
            told = DeclaredKeys(columns, told.foreign, told.unique)
        elif kind == "FOREIGN KEY":
            link = (columns, parts[0]["parent"], tuple(p["parent_column"] for p in parts))
            told = DeclaredKeys(told.primary, (*told.foreign, link), told.unique)
        elif kind == "UNIQUE":
            told = DeclaredKeys(told.primary, told.foreign, (*told.unique, columns))
        keys[table] = told
    return keys


def _version(spark: SparkSession, name: str) -> int | None:
    """The last version of a Delta table; None where it is none."""
    told = {r["col_name"]: r["data_type"] for r in spark.sql(f"DESCRIBE TABLE EXTENDED {name}").collect()}
    if told.get("Provider", "").lower() != "delta":  # detail follows the columns, of which one may have that name
        return None
    return int(spark.sql(f"DESCRIBE HISTORY {name} LIMIT 1").collect()[0]["version"])


def _quoted(namespace: str) -> str:
    return ".".join(quote(part) for part in namespace.split("."))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
