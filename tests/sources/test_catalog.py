"""A catalog as a source: Delta tables, a table of another kind, a view, and keys declared in an information_schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_synth.config import SourceSettings
from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.sources import keys_of, list_tables, open_database, read_table

CATALOG = "spark_catalog"
CONSTRAINTS = {
    "table_constraints": "constraint_schema, constraint_name, table_name, constraint_type",
    "key_column_usage": "constraint_schema, constraint_name, table_schema, table_name, column_name, ordinal_position, "
    "position_in_unique_constraint",
    "referential_constraints": "constraint_schema, constraint_name, unique_constraint_schema, unique_constraint_name",
}
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "table_constraints": [
        ("shop", "c_pk", "customers", "PRIMARY KEY"),
        ("shop", "o_pk", "orders", "PRIMARY KEY"),
        ("shop", "o_fk", "orders", "FOREIGN KEY"),
        ("other", "c_pk", "customers", "PRIMARY KEY"),
    ],
    "key_column_usage": [
        ("shop", "c_pk", "shop", "customers", "region", 1, None),
        ("shop", "c_pk", "shop", "customers", "number", 2, None),
        ("shop", "o_pk", "shop", "orders", "id", 1, None),
        ("shop", "o_fk", "shop", "orders", "who", 1, 2),
        ("shop", "o_fk", "shop", "orders", "where", 2, 1),
        ("other", "c_pk", "other", "customers", "x", 1, None),
    ],
    "referential_constraints": [("shop", "o_fk", "shop", "c_pk")],
}


@pytest.fixture(scope="module")
def shop(spark: SparkSession) -> Iterator[SourceSettings]:
    """`spark_catalog.shop`, and what it declares of its tables."""
    for schema in ("shop", "information_schema"):
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {CATALOG}.{schema}")
    customers = spark.range(20).selectExpr("'n' AS region", "id AS number", "array(id, 1) AS marks")
    customers.write.format("delta").saveAsTable("shop.customers")
    orders = spark.range(60).selectExpr("id", "id % 20 AS who", "'n' AS `where`", "id / 7 AS price")
    orders.write.format("parquet").saveAsTable("shop.orders")
    spark.sql("CREATE VIEW shop.dear AS SELECT * FROM shop.orders WHERE price > 4")
    for view, columns in CONSTRAINTS.items():
        types = ", ".join(f"{c.strip()} {'int' if 'position' in c else 'string'}" for c in columns.split(","))
        spark.createDataFrame(ROWS[view], types).write.format("parquet").saveAsTable(f"information_schema.{view}")
    yield SourceSettings(catalog=f"{CATALOG}.shop")
    for schema in ("shop", "information_schema"):
        spark.sql(f"DROP SCHEMA {CATALOG}.{schema} CASCADE")


def test_tables_and_their_keys(spark: SparkSession, shop: SourceSettings) -> None:
    names = list_tables(spark, shop)
    assert names == ["customers", "dear", "orders"]
    keys = keys_of(spark, shop, names)
    assert keys["customers"].primary == ("region", "number") and keys["orders"].primary == ("id",)
    assert keys["orders"].foreign == ((("who", "where"), "customers", ("number", "region")),)
    assert not keys["dear"].primary and not keys["dear"].foreign


def test_rows_are_those_of_one_version(spark: SparkSession, shop: SourceSettings) -> None:
    raw = read_table(spark, shop, "customers")
    spark.sql("INSERT INTO shop.customers VALUES ('n', 99, array(1))")
    assert raw.version == 0 and raw.frame.count() == 20
    assert raw.frame.where("number = 3").first()["marks"] == "[3,1]"  # type: ignore[index]
    assert read_table(spark, shop, "customers").version == 1
    assert read_table(spark, shop, "orders").version is None and read_table(spark, shop, "dear").version is None
    spark.sql("DELETE FROM shop.customers WHERE number = 99")


def test_a_database_is_opened(spark: SparkSession, shop: SourceSettings) -> None:
    schema = Schema().add_table("customers", ["region", "number"], {"marks": "text"})
    schema.add_table("orders", "id", {"price": "numeric"})
    schema.add_foreign_key("orders.(where,who)", "customers.(region,number)")
    database = open_database(spark, shop, schema, 0)
    assert database.rows == {"customers": 20, "orders": 60} and not any(database.orphans.values())
    assert database.places["customers"] == (f"{CATALOG}.shop.customers", 2)


@pytest.mark.parametrize(
    ("catalog", "table", "told"),
    [
        ("spark_catalog.shop", "custmers", "table 'custmers' is not in spark_catalog.shop (did you mean 'customers'?)"),
        ("spark_catalog.nowhere", "t", "source.catalog spark_catalog.nowhere cannot be read"),
    ],
)
def test_what_is_not_there(spark: SparkSession, shop: SourceSettings, catalog: str, table: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        read_table(spark, SourceSettings(catalog=catalog), table)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("catalog", ["shop", "a.b.c", "a."])
def test_a_catalog_is_named_with_its_schema(catalog: str) -> None:
    with pytest.raises(ValueError, match=r"catalog\.schema"):
        SourceSettings(catalog=catalog)


def test_without_an_information_schema_no_keys_are_told(spark: SparkSession, shop: SourceSettings) -> None:
    spark.sql(f"ALTER TABLE {CATALOG}.information_schema.key_column_usage RENAME TO information_schema.elsewhere")
    assert not keys_of(spark, shop, ["customers"])["customers"].primary
    spark.sql(f"ALTER TABLE {CATALOG}.information_schema.elsewhere RENAME TO information_schema.key_column_usage")
