from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_synth.config import SourceSettings
from spark_synth.errors import UserError
from spark_synth.schema import Column, Kind, Schema
from spark_synth.sources import open_database


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "my shop.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            CREATE TABLE "the customer" (id INTEGER PRIMARY KEY, "full name" TEXT, born DATE, vip BOOLEAN, zip TEXT);
            INSERT INTO "the customer" VALUES (1, 'Ann "A"', '1990-02-03', 1, '1'), (5000000000, NULL, NULL, 0, '2');
            CREATE TABLE orders (nr TEXT PRIMARY KEY, customer INTEGER, at DATETIME, total NUMERIC(10,2), w REAL);
            INSERT INTO orders VALUES ('007', 1, '2020-01-01 10:00:00', 12.5, 2), ('8', 99, NULL, NULL, NULL);
        """)
    return path


def _schema() -> Schema:
    schema = Schema().add_table("the customer", "id", {"full name": "text", "born": "datetime", "vip": "boolean"})
    schema.tables["the customer"].columns["zip"] = Column(kind=Kind.CATEGORICAL)
    schema.add_table("orders", "nr", {"at": "datetime", "total": "numeric", "w": "numeric"})
    return schema.add_foreign_key("orders.customer", "the customer.id")


def test_reads_what_the_file_holds(spark: SparkSession, shop: Path) -> None:
    database = open_database(spark, SourceSettings(path=str(shop)), _schema(), 0)
    assert {c: v.type for c, v in database.schema.tables["the customer"].columns.items()} == {
        "id": "bigint",
        "full name": "string",
        "born": "date",
        "vip": "boolean",
        "zip": "string",
    }
    assert {c: v.type for c, v in database.schema.tables["orders"].columns.items()} == {
        "nr": "string",
        "customer": "bigint",
        "at": "timestamp",
        "total": "decimal(10,2)",
        "w": "double",
    }
    first = database.tables["orders"].where("nr = '007'").first()
    assert first is not None and (first["customer"], str(first["total"]), first["w"]) == (1, "12.50", 2.0)
    assert database.orphans == {"orders.customer": 1}


def test_unknown_table_and_no_database(spark: SparkSession, shop: Path, tmp_path: Path) -> None:
    schema = Schema().add_table("order", "nr")
    with pytest.raises(UserError, match=r"table 'order' is not in .*did you mean 'orders'"):
        open_database(spark, SourceSettings(path=str(shop)), schema, 0)
    (tmp_path / "x.db").write_text("this is no database at all, only text that is long enough" * 10)
    with pytest.raises(UserError, match="cannot be read as a SQLite file"):
        open_database(spark, SourceSettings(path=str(tmp_path / "x.db")), schema, 0)
