"""Under which key the rows of a table lie together in time."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_synth.schema.graph import choose_owners
from spark_synth.schema.model import Kind, Schema
from spark_synth.sources.gathered import gather

ROWS = {"users": 50, "movies": 80, "ratings": 1000}


@pytest.fixture
def ratings(spark: SparkSession) -> DataFrame:
    """Users rate 20 movies within a day, on a day of their own."""
    user, start = F.col("id") % 50, F.timestamp_seconds(F.lit(1_000_000_000) + F.col("id") % 50 * 1_000_000)
    when = F.timestamp_seconds(F.unix_timestamp(start) + F.col("id") % 19 * 1000)
    return spark.range(1000).select(
        user.alias("user"),
        (F.col("id") * 37 % 80).alias("movie"),
        F.when(F.col("id") != 7, when).alias("at"),
        start.alias("day"),
    )


def schema_of(time: str) -> Schema:
    schema = Schema()
    for name in ("users", "movies"):
        schema.add_table(name, primary_key="id")
    schema.add_table("ratings", columns={"user": "key", "movie": "key", time: "datetime"})
    for name in ("user", "movie"):
        schema.add_foreign_key(f"ratings.{name}", f"{name}s.id")
    return schema


def test_the_key_under_which_times_lie_together_owns(spark: SparkSession, ratings: DataFrame) -> None:
    schema = schema_of("at")
    assert schema.table("ratings").columns["at"].kind is Kind.DATETIME
    gather(spark, {"ratings": ratings}, schema, ROWS)
    by_user, by_movie = schema.table("ratings").foreign_keys
    assert by_user.gathered > 0.99 and by_movie.gathered < 0.2
    owner = choose_owners(schema, ROWS)["ratings"]
    assert owner is by_user  # though there are more movies


def test_families_of_one_moment_are_no_sequence(spark: SparkSession, ratings: DataFrame) -> None:
    schema = schema_of("day")
    gather(spark, {"ratings": ratings}, schema, ROWS)
    by_user, by_movie = schema.table("ratings").foreign_keys
    assert by_user.gathered == 0 and choose_owners(schema, ROWS)["ratings"] is by_movie


@pytest.mark.parametrize("type_, owner", [("bigint", "order"), ("string", "product")])
def test_numbers_that_rows_were_given_tell_when_they_came(spark: SparkSession, type_: str, owner: str) -> None:
    schema = Schema()
    for name in ("orders", "products"):
        schema.add_table(name, primary_key="id")
    schema.add_table("lines", primary_key="id")
    for name in ("order", "product"):
        schema.add_foreign_key(f"lines.{name}", f"{name}s.id")
    lines = spark.range(1000).selectExpr(f"cast(id as {type_}) as id", "id div 10 as order", "id * 37 % 300 as product")
    rows = {"orders": 100, "products": 300, "lines": 1000}
    gather(spark, {"lines": lines}, schema, rows)
    chosen = choose_owners(schema, rows)["lines"]
    assert chosen is not None and chosen.name == f"lines.{owner}"


def test_tables_with_one_key_are_not_looked_at(spark: SparkSession) -> None:
    schema = schema_of("at")
    schema.table("ratings").foreign_keys.pop()
    gather(spark, {}, schema, ROWS)
